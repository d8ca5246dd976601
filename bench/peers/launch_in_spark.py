"""The features of new products in PySpark on this machine, from PostgreSQL and back.

What is read goes to Spark as Arrow, and its Python workers, which have the result as Arrow, write it: JDBC would want a
server that listens on TCP, and write rows by INSERT.
"""

from itertools import chain

import pyarrow

from peers import arrow, in_spark, launch_sql

MEMORY = "8g"
# Sorting the wide rows for each join took longer.
HASH_JOINS = {"spark.sql.join.preferSortMergeJoin": "false", "spark.sql.autoBroadcastJoinThreshold": "64MB"}

DIALECT = launch_sql.Dialect(
    week="CAST(floor(datediff({moment}, DATE '2000-01-03') / 7) AS INT)",
    monday="date_add(DATE '2000-01-03', 7 * {week})",
    each="explode(sequence({first}, {last}))",
)


class Peer:
    name = in_spark.NAME

    def __init__(self, schema, folder):
        self.schema = schema
        self.session = in_spark.start(folder, MEMORY)
        for name, value in HASH_JOINS.items():
            self.session.conf.set(name, value)

    def build(self, table):
        """Fills the table."""
        for name, query in launch_sql.TABLES.items():
            read = arrow.read(query.format(schema=self.schema))
            self.session.createDataFrame(read).createOrReplaceTempView(name)
        *steps, result = launch_sql.steps(DIALECT)
        for step in steps:
            made = self.session.sql(step.query)
            (made.cache() if step.again else made).createOrReplaceTempView(step.name)
        self.session.sql(result.query).mapInArrow(writer(self.schema, table), "rows bigint").collect()
        self.session.catalog.clearCache()

    def stop(self):
        self.session.stop()


def writer(schema, table):
    """Copies all that a task has at once."""

    def write(batches):
        for first in batches:
            reader = pyarrow.RecordBatchReader.from_batches(first.schema, chain([first], batches))
            yield pyarrow.record_batch({"rows": [arrow.append(schema, table, reader)]})

    return write
