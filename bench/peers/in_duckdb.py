"""The trailing windows in DuckDB, from a table in its own file to another one there."""

import time

import duckdb

from peers import trailing

NAME = f"DuckDB {duckdb.__version__}, two threads"
THREADS = 2

LINES = {
    "household_id": "BIGINT",
    "store_id": "BIGINT",
    "product_id": "BIGINT",
    "quantity": "INTEGER",
    "sales_value": "DECIMAL(10, 2)",
    "retail_disc": "DECIMAL(10, 2)",
    "coupon_disc": "DECIMAL(10, 2)",
    "coupon_match_disc": "DECIMAL(10, 2)",
    "sold_at": "TIMESTAMP",
}
STORES = {"store_id": "BIGINT", "region": "VARCHAR"}

# A household counts in the week of its purchase and in the three after.
BUILD = f"""CREATE TABLE trailing_sales AS
WITH purchases AS (
    SELECT product_id, region, CAST(date_trunc('week', sold_at) AS DATE) AS week, household_id,
           CAST(sales_value AS DOUBLE) AS sales, quantity,
           CAST(retail_disc + coupon_disc + coupon_match_disc AS DOUBLE) AS discount
    FROM sales JOIN stores USING (store_id)
    WHERE sold_at < (SELECT date_trunc('week', max(sold_at)) FROM sales)
), weekly AS MATERIALIZED (
    {trailing.WEEKLY}
), windows AS (
    SELECT product_id, region, week,
       {trailing.columns()}
    FROM weekly
    WINDOW {trailing.windows("week - DATE '2000-01-03'", lambda weeks: 7 * weeks)}
), households AS (
    SELECT product_id, region, week, count(DISTINCT household_id) AS households_4w
    FROM (
        SELECT product_id, region, household_id, unnest([week, week + 7, week + 14, week + 21]) AS week FROM purchases
    ) AS counted
    SEMI JOIN weekly USING (product_id, region, week)
    GROUP BY product_id, region, week
)
SELECT * FROM windows JOIN households USING (product_id, region, week)"""


class Database:
    """The sales, in a file in this folder."""

    def __init__(self, connection, folder):
        self.folder = folder
        self.connection = duckdb.connect(folder / "sales.duckdb", config={"threads": THREADS})
        for table, columns in ("sales", LINES), ("stores", STORES):
            self.load(connection, table, columns)

    def load(self, connection, table, columns):
        file = self.folder / f"{table}.csv"
        with open(file, "wb") as to, connection.cursor().copy(
            f"COPY (SELECT {', '.join(columns)} FROM {table}) TO STDOUT (FORMAT csv)"
        ) as copy:
            for part in copy:
                to.write(part)
        kinds = ", ".join(f"{name} {kind}" for name, kind in columns.items())
        self.connection.execute(f"CREATE TABLE {table} ({kinds})")
        self.connection.execute(f"COPY {table} FROM '{file}' (FORMAT csv, HEADER false)")
        file.unlink()

    def export(self, table):
        """The table as Parquet, which is what Spark reads."""
        file = self.folder / f"{table}.parquet"
        self.connection.execute(f"COPY {table} TO '{file}' (FORMAT parquet)")
        return file

    def build(self):
        """Seconds."""
        self.connection.execute("DROP TABLE IF EXISTS trailing_sales")
        self.connection.execute("CHECKPOINT")
        start = time.perf_counter()
        self.connection.execute(BUILD)
        return time.perf_counter() - start

    def totals(self):
        return self.connection.execute(f"SELECT {trailing.TOTALS} FROM trailing_sales").fetchone()
