"""What the peers build: the columns over the trailing windows, in the SQL that PostgreSQL, DuckDB and Spark share."""

import math

WEEKS = {1: "one", 4: "four", 13: "thirteen"}

# Each is one number of the whole table: equal counts are exact, sums of doubles depend on the order of addition.
EXACT = ["count(*)", "sum(households_4w)", "sum(quantity_13w)", "sum(transactions_4w)"]
ROUNDED = ["sum(sales_13w)", "sum(avg_discount_13w)", "sum(price_4w)"]
TOTALS = ", ".join(EXACT + ROUNDED)
AGREEMENT = 1e-9

WEEKLY = """SELECT product_id, region, week, sum(sales) AS sales, sum(quantity) AS quantity, count(*) AS transactions,
           sum(discount) AS discount
    FROM purchases
    GROUP BY product_id, region, week"""


def columns():
    """Of a query from WEEKLY with the windows `four` and `thirteen`; the first week needs no window."""
    amounts = [named(1, "sales", "quantity", "transactions", "discount")]
    for weeks in 4, 13:
        summed = (f"sum({what}) OVER {WEEKS[weeks]}" for what in ("sales", "quantity", "transactions", "discount"))
        amounts.append(named(weeks, *summed))
    return ",\n       ".join(amounts)


def named(weeks, sales, quantity, transactions, discount):
    return (
        f"{sales} AS sales_{weeks}w, CAST({quantity} AS bigint) AS quantity_{weeks}w, "
        f"CAST({transactions} AS bigint) AS transactions_{weeks}w,\n       "
        f"{discount} / {transactions} AS avg_discount_{weeks}w, "
        f"{sales} / nullif({quantity}, 0) AS price_{weeks}w"
    )


def windows(week, preceding):
    """`preceding` says how many weeks before the row's, in the units of the expression `week`."""
    return ", ".join(
        f"{WEEKS[weeks]} AS (PARTITION BY product_id, region ORDER BY {week} "
        f"RANGE BETWEEN {preceding(weeks - 1)} PRECEDING AND CURRENT ROW)"
        for weeks in (4, 13)
    )


def check_agreement(name, totals, expected):
    exact = len(EXACT)
    same = [int(one) == int(other) for one, other in zip(totals[:exact], expected[:exact])]
    same += [math.isclose(one, other, rel_tol=AGREEMENT) for one, other in zip(totals[exact:], expected[exact:])]
    if not all(same):
        both = ", ".join(f"{of}: {one} and {other}" for of, one, other in zip(EXACT + ROUNDED, totals, expected))
        raise SystemExit(f"error: {name} computes something else: {both}")
