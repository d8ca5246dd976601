"""The features of new products, as somebody would compute them with DuckDB or Spark: in steps, of plain aggregates.

Amounts are cents and weeks count from a Monday, so that all sums are exact and a step from week to week is an addition.
What counts in several weeks is dealt out to each of them, as one row a week. A customer counts in a week by the last
purchase before its end; that makes distinct customers of any number of weeks one plain count.
"""

from dataclasses import dataclass

LAUNCH_WEEKS, WARM_UP_WEEKS = 12, 8
WINDOWS = 1, 4, 13

# What is read from PostgreSQL: name, query.
TABLES = {
    "sales": """SELECT product_id, store_id, household_id, sold_at, quantity, (100 * sales_value)::bigint AS sales,
                       (100 * (retail_disc + coupon_disc + coupon_match_disc))::bigint AS discount
                FROM {schema}.sales""",
    "stores": "SELECT store_id, region FROM {schema}.stores",
    "products": "SELECT product_id, product_category AS category, brand, department FROM {schema}.products",
}


@dataclass
class Dialect:
    """Where DuckDB and Spark differ."""

    week: str  # number of the week of a {moment}
    monday: str  # of the {week} of that number
    each: str  # a row for each whole number {first} to {last}

    def weeks(self, first, last):
        return self.each.format(first=first, last=last)


@dataclass
class Step:
    name: str
    query: str
    again: bool = False  # is read more than once


def steps(dialect):
    """The last is the result."""
    return [
        Step("calendar", calendar(dialect), again=True),
        Step("lines", lines(dialect), again=True),
        Step("weekly", WEEKLY, again=True),
        Step("visits", VISITS, again=True),
        Step("regions", "SELECT region, min(week) AS since FROM weekly WHERE purchases > 0 GROUP BY region", again=True),
        Step("launches", LAUNCHES, again=True),
        Step("candidates", candidates(dialect)),
        Step("sold_here", sold(dialect, "product_id, region"), again=True),
        Step("sold_everywhere", sold(dialect, "product_id")),
        Step("customers_here", customers_of_launches(dialect, "product_id, region")),
        Step("customers_everywhere", customers_of_launches(dialect, "product_id")),
        Step("spread", SPREAD),
        Step("trading", trading(dialect)),
        Step("category_sold", category_sold(dialect)),
        Step("category_customers", category_customers(dialect)),
        Step("launched", launched(dialect)),
        Step("succeeded", succeeded(dialect)),
        Step("features", features(dialect)),
    ]


def calendar(dialect):
    """The first week and the last one that is over."""
    first, complete = (dialect.week.format(moment=moment) for moment in ("min(sold_at)", "max(sold_at) + INTERVAL '1' DAY"))
    return f"SELECT {first} AS first, {complete} - 1 AS last FROM sales"


def lines(dialect):
    return f"""SELECT product_id, region, week, household_id, quantity, sales, discount
    FROM (
        SELECT product_id, region, {dialect.week.format(moment="sold_at")} AS week, household_id, quantity, sales, discount
        FROM sales JOIN stores USING (store_id)
    ) AS placed CROSS JOIN calendar
    WHERE week <= last"""


WEEKLY = """SELECT product_id, region, week, sum(sales) AS sales, sum(quantity) AS quantity, sum(discount) AS discount,
           count(*) FILTER (WHERE quantity > 0) AS purchases,
           sum(CASE WHEN quantity < 0 THEN -quantity ELSE 0 END) AS returned
    FROM lines
    GROUP BY product_id, region, week"""

VISITS = "SELECT DISTINCT product_id, region, household_id, week FROM lines WHERE quantity > 0"

LAUNCHES = f"""SELECT product_id, launch, category, coalesce(category, '') AS category_key, brand, department
    FROM (SELECT product_id, min(week) AS launch FROM weekly WHERE purchases > 0 GROUP BY product_id) AS first_sales
    LEFT JOIN products USING (product_id)
    CROSS JOIN calendar
    WHERE launch >= first + {WARM_UP_WEEKS}"""


def candidates(dialect):
    weeks = dialect.weeks("launch", f"least(launch + {LAUNCH_WEEKS - 1}, last)")
    return f"""SELECT product_id, launch, category, category_key, brand, department, {weeks} AS week
    FROM launches CROSS JOIN calendar"""


def sold(dialect, keys):
    """The least-squares slope needs the sum of each week's quantity times its distance from the middle of the weeks since
    the launch."""
    last = f"launch + {LAUNCH_WEEKS - 1}"
    weeks = dialect.weeks("greatest(week, launch)", f"least(week + {WINDOWS[-1] - 1}, {last}, last)")
    amounts = ", ".join(
        f"sum({what}){during(weeks)} AS {what}_{weeks}w" for what in ("sales", "quantity", "discount") for weeks in WINDOWS
    )
    n = "(of_week - min(launch) + 1)"
    distance = "quantity * (2 * (week - of_week) + of_week - launch)"  # doubled
    return f"""SELECT {keys}, of_week AS week, {amounts}, sum(purchases) AS purchases, sum(returned) AS returned_13w,
           sum({distance}) FILTER (WHERE week >= launch) / 2.0 * 12 / nullif({n} * ({n} * {n} - 1), 0) AS trend
    FROM (
        SELECT {keys}, launch, week, sales, quantity, discount, purchases, returned, {weeks} AS of_week
        FROM weekly JOIN launches USING (product_id) CROSS JOIN calendar
        WHERE week BETWEEN launch - {WINDOWS[-1] - 1} AND {last}
    ) AS counted
    GROUP BY {keys}, of_week"""


def during(weeks):
    return "" if weeks == WINDOWS[-1] else f" FILTER (WHERE of_week - week < {weeks})"


def customers_of_launches(dialect, keys):
    counts = ", ".join(f"count(*){during(weeks)} AS customers_{weeks}w" for weeks in WINDOWS)
    last = f"launch + {LAUNCH_WEEKS - 1}"
    visits = f"""SELECT DISTINCT {keys}, household_id, week, least({last}, last) AS until
                FROM visits JOIN launches USING (product_id) CROSS JOIN calendar
                WHERE week <= {last}"""
    return customers(dialect, keys, visits, WINDOWS[-1], counts)


def category_customers(dialect):
    visits = """SELECT DISTINCT coalesce(category, '') AS category_key, region, household_id, week, last AS until
                FROM visits LEFT JOIN products USING (product_id) CROSS JOIN calendar"""
    return customers(dialect, "category_key, region", visits, 4, "count(*) AS customers_4w")


def customers(dialect, keys, visits, most, counts):
    """A visit is the last one until the next; it counts up to `until`, and for so many weeks at most."""
    weeks = dialect.weeks("week", f"least(next - 1, week + {most - 1}, until)")
    return f"""SELECT {keys}, of_week AS week, {counts}
    FROM (
        SELECT {keys}, week, {weeks} AS of_week
        FROM (
            SELECT {keys}, week, until, lead(week) OVER (PARTITION BY {keys}, household_id ORDER BY week) AS next
            FROM (
                {visits}
            ) AS visited
        ) AS followed
    ) AS counted
    GROUP BY {keys}, of_week"""


SPREAD = "SELECT product_id, week, count(*) AS regions FROM sold_here WHERE purchases > 0 GROUP BY product_id, week"


def trading(dialect):
    return f"""SELECT week, count(*) AS regions
    FROM (SELECT {dialect.weeks("since", "last")} AS week FROM regions CROSS JOIN calendar) AS counted
    GROUP BY week"""


def category_sold(dialect):
    return f"""SELECT category_key, region, of_week AS week, sum(sales) AS sales_4w, sum(quantity) AS quantity_4w
    FROM (
        SELECT category_key, region, sales, quantity, {dialect.weeks("week", "least(week + 3, last)")} AS of_week
        FROM (
            SELECT coalesce(category, '') AS category_key, region, week, sum(sales) AS sales, sum(quantity) AS quantity
            FROM weekly LEFT JOIN products USING (product_id)
            GROUP BY 1, 2, 3
        ) AS weeks CROSS JOIN calendar
    ) AS counted
    GROUP BY category_key, region, of_week"""


def a_year_of(dialect, query):
    """Launches count from the week in which their first four weeks are over, for a year."""
    weeks = dialect.weeks("launch + 3", "least(launch + 52, last)")
    return f"""(
        SELECT compared.*, {weeks} AS of_week FROM ({query}) AS compared CROSS JOIN calendar WHERE launch + 3 <= last
    ) AS counted"""


def launched(dialect):
    cohorts = "SELECT category_key, launch, count(*) AS launches FROM launches GROUP BY category_key, launch"
    return f"""SELECT category_key, week, launches, launches / sum(launches) OVER (PARTITION BY week) AS share
    FROM (
        SELECT category_key, of_week AS week, sum(launches) AS launches
        FROM {a_year_of(dialect, cohorts)}
        GROUP BY category_key, of_week
    ) AS cohorts"""


def succeeded(dialect):
    first_months = """SELECT category_key, region, launch, count(*) FILTER (WHERE purchases > 0) AS sold,
               sum(quantity) AS quantity
        FROM (
            SELECT category_key, region, launch, product_id, sum(purchases) AS purchases, sum(quantity) AS quantity
            FROM weekly JOIN launches USING (product_id)
            WHERE week BETWEEN launch AND launch + 3
            GROUP BY category_key, region, launch, product_id
        ) AS first_months
        GROUP BY category_key, region, launch"""
    return f"""SELECT category_key, region, of_week AS week, sum(sold) AS sold, sum(quantity) AS quantity
    FROM {a_year_of(dialect, first_months)}
    GROUP BY category_key, region, of_week"""


def features(dialect):
    """The columns are those of the launch view, in its order."""
    monday = dialect.monday.format(week="c.week")
    amounts = [*windows("", "h", "hc"), *windows("all_", "a", "ac")]
    season = f"2 * pi() * dayofyear({monday}) / 365.25"
    numbers = [
        *amounts,
        ("category_sales_4w", "coalesce(cs.sales_4w / 100.0, 0)"),
        ("category_quantity_4w", "coalesce(cs.quantity_4w, 0)"),
        ("category_customers_4w", "coalesce(cc.customers_4w, 0)"),
        ("price_to_category", "a.sales_4w / nullif(a.quantity_4w, 0) / nullif(cs.sales_4w / nullif(cs.quantity_4w, 0), 0)"),
        ("category_launch_share", "coalesce(l.share, 0)"),
        ("category_launches_sold", "coalesce(s.sold, 0) / l.launches"),
        ("category_launch_quantity", "coalesce(s.quantity, 0) / l.launches"),
        ("weeks_since_launch", "c.week - c.launch"),
        ("trend", "coalesce(h.trend, 0)"),
        ("all_trend", "coalesce(a.trend, 0)"),
        ("regions_sold", "coalesce(p.regions, 0)"),
        ("regions_share", "coalesce(p.regions, 0) / t.regions"),
        ("season_sin", f"sin({season})"),
        ("season_cos", f"cos({season})"),
    ]
    columns = ",\n           ".join(f"CAST({expression} AS FLOAT) AS {name}" for name, expression in numbers)
    here = "product_id = c.product_id AND {0}.region = r.region AND {0}.week = c.week"
    everywhere = "product_id = c.product_id AND {0}.week = c.week"
    of_category = "category_key = c.category_key AND {0}.region = r.region AND {0}.week = c.week"
    the_same_for_all_regions = {
        "a": ("sold_everywhere", everywhere),
        "ac": ("customers_everywhere", everywhere),
        "p": ("spread", everywhere),
        "l": ("launched", "category_key = c.category_key AND {0}.week = c.week"),
    }
    of_a_region = {
        "cs": ("category_sold", of_category),
        "cc": ("category_customers", of_category),
        "s": ("succeeded", of_category),
        "h": ("sold_here", here),
        "hc": ("customers_here", here),
        "n": ("weekly", "product_id = c.product_id AND n.region = r.region AND n.week = c.week + 1"),
    }
    return f"""SELECT c.product_id, r.region, {monday} AS week,
           {columns},
           c.category, c.brand, c.department,
           CASE WHEN c.week < k.last THEN coalesce(n.purchases > 0, false) END AS purchased
    FROM candidates AS c
    CROSS JOIN calendar AS k
    JOIN trading AS t ON t.week = c.week
    {joined(the_same_for_all_regions)}
    JOIN regions AS r ON r.since <= c.week
    {joined(of_a_region)}"""


def joined(steps):
    return "\n    ".join(f"LEFT JOIN {step} AS {name} ON {name}.{on.format(name)}" for name, (step, on) in steps.items())


def windows(prefix, sold, customers):
    for what, expression in (
        ("sales", f"coalesce({sold}.sales_{{0}}w / 100.0, 0)"),
        ("quantity", f"coalesce({sold}.quantity_{{0}}w, 0)"),
        ("customers", f"coalesce({customers}.customers_{{0}}w, 0)"),
        ("discount", f"{sold}.discount_{{0}}w / nullif({sold}.sales_{{0}}w + {sold}.discount_{{0}}w, 0)"),
        ("price", f"{sold}.sales_{{0}}w / 100.0 / nullif({sold}.quantity_{{0}}w, 0)"),
    ):
        for weeks in WINDOWS:
            yield f"{prefix}{what}_{weeks}w", expression.format(weeks)
    yield f"{prefix}returned_13w", f"coalesce({sold}.returned_13w, 0)"
