"""The features of new products in DuckDB, from PostgreSQL and back."""

import duckdb

from peers import arrow, launch_sql
from peers.in_duckdb import NAME, THREADS

DIALECT = launch_sql.Dialect(
    week="CAST((CAST({moment} AS DATE) - DATE '2000-01-03') // 7 AS INTEGER)",
    monday="DATE '2000-01-03' + 7 * {week}",
    each="CAST(unnest(generate_series({first}, {last})) AS INTEGER)",
)


class Peer:
    name = NAME

    def __init__(self, schema):
        self.schema = schema

    def build(self, table):
        """Fills the table."""
        *steps, result = launch_sql.steps(DIALECT)
        with duckdb.connect(config={"threads": THREADS}) as database:
            for name, query in launch_sql.TABLES.items():
                database.register(name, arrow.read(query.format(schema=self.schema)))
            for step in steps:
                database.execute(f"CREATE TEMP TABLE {step.name} AS {step.query}")
            arrow.append(self.schema, table, database.sql(result.query).to_arrow_reader())
