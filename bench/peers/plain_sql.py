"""The trailing windows in plain SQL, in the fastest way known to us that uses count(DISTINCT).

Each week's trailing households are counted through an index over the sales. Joining each sale to the weeks that it
counts in, or the windows over arrays of households, took longer.
"""

import time

from peers import trailing

NAME = "plain SQL"
TABLE = "by_plain_sql"
SETTINGS = ["work_mem = '512MB'"]

# In order, so that the index and what reads through it go through the pages once.
PURCHASES = """CREATE TEMP TABLE purchases AS
SELECT product_id, region, date_trunc('week', sold_at)::date AS week, household_id,
       sales_value::float8 AS sales, quantity, (retail_disc + coupon_disc + coupon_match_disc)::float8 AS discount
FROM sales JOIN stores USING (store_id)
WHERE sold_at < (SELECT date_trunc('week', max(sold_at)) FROM sales)
ORDER BY product_id, region, week"""

INDEX = "CREATE INDEX ON purchases (product_id, region, week) INCLUDE (household_id)"

# Integers as the windows' order: a range of an interval adds to a timestamp for every row.
BUILD = f"""CREATE TABLE {TABLE} AS
WITH weekly AS (
    {trailing.WEEKLY}
), windows AS (
    SELECT product_id, region, week,
       {trailing.columns()}
    FROM weekly
    WINDOW {trailing.windows("week - date '2000-01-03'", lambda weeks: 7 * weeks)}
)
SELECT windows.*, (
    SELECT count(DISTINCT household_id)
    FROM purchases
    WHERE purchases.product_id = windows.product_id AND purchases.region = windows.region
      AND purchases.week BETWEEN windows.week - 21 AND windows.week
) AS households_4w
FROM windows"""

STATEMENTS = [
    PURCHASES,
    INDEX,
    "VACUUM ANALYZE purchases",
    BUILD,
    f"ALTER TABLE {TABLE} ADD PRIMARY KEY (product_id, region, week)",
]


def build(connection):
    """Seconds."""
    for setting in SETTINGS:
        connection.execute(f"SET {setting}")
    connection.execute(f"DROP TABLE IF EXISTS {TABLE}, pg_temp.purchases")
    connection.execute("CHECKPOINT")
    start = time.perf_counter()
    for statement in STATEMENTS:
        connection.execute(statement)
    return time.perf_counter() - start


def totals(connection):
    return connection.execute(f"SELECT {trailing.TOTALS} FROM {TABLE}").fetchone()
