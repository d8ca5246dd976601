"""The trailing windows in PySpark on this machine, from Parquet to Parquet."""

import time

import pyspark
from pyspark.sql import SparkSession

from peers import trailing

NAME = f"PySpark {pyspark.__version__}, local[2]"
PARTITIONS = 4

# Each week's households as a set, the sets of four weeks put together in the same pass as the sums. The lines are dealt
# out once, by what all later steps go by. Joining each line to the weeks that it counts in took two to three times as
# long.
WEEKLY = trailing.WEEKLY.replace("count(*)", "collect_set(household_id) AS households, count(*)")
BUILD = f"""WITH purchases AS (
    SELECT /*+ REPARTITION({PARTITIONS}, product_id, region) */
           product_id, region, CAST(date_trunc('week', sold_at) AS date) AS week, household_id,
           CAST(sales_value AS double) AS sales, quantity,
           CAST(retail_disc + coupon_disc + coupon_match_disc AS double) AS discount
    FROM sales JOIN stores USING (store_id)
    WHERE sold_at < (SELECT date_trunc('week', max(sold_at)) FROM sales)
), weekly AS (
    {WEEKLY}
)
SELECT product_id, region, week,
       {trailing.columns()},
       CAST(size(array_distinct(flatten(collect_list(households) OVER four))) AS bigint) AS households_4w
FROM weekly
WINDOW {trailing.windows("datediff(week, DATE '2000-01-03')", lambda weeks: 7 * weeks)}"""


def start(folder, memory="4g"):
    """A session on two cores, whose own files go into the folder."""
    settings = {
        "spark.driver.memory": memory,
        "spark.local.dir": folder / "spark",
        "spark.log.level": "ERROR",
        "spark.sql.session.timeZone": "UTC",
        "spark.sql.shuffle.partitions": PARTITIONS,
        "spark.ui.enabled": "false",
        "spark.ui.showConsoleProgress": "false",
    }
    builder = SparkSession.builder.master("local[2]")
    for name, value in settings.items():
        builder = builder.config(name, str(value))
    return builder.getOrCreate()


class Session:
    """Over the tables in these Parquet files; what it writes goes into the folder."""

    def __init__(self, folder, tables):
        self.result = str(folder / "trailing_sales.parquet")
        self.session = start(folder)
        for name, file in tables.items():
            self.session.read.parquet(str(file)).createOrReplaceTempView(name)

    def build(self):
        """Seconds."""
        start = time.perf_counter()
        self.session.sql(BUILD).write.mode("overwrite").parquet(self.result)
        return time.perf_counter() - start

    def totals(self):
        self.session.read.parquet(self.result).createOrReplaceTempView("trailing_sales")
        return self.session.sql(f"SELECT {trailing.TOTALS} FROM trailing_sales").first()

    def stop(self):
        self.session.stop()
