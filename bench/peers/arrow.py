"""Tables of PostgreSQL to Arrow and back, by binary COPY: the driver that the Arrow project makes for it.

The server is the one that the environment names.
"""

from adbc_driver_postgresql import dbapi

SERVER = "postgresql://"  # libpq fills in the rest


def read(query):
    with dbapi.connect(SERVER) as connection, connection.cursor() as cursor:
        cursor.execute(query)
        return cursor.fetch_arrow_table()


def append(schema, table, rows):
    """`rows`: a table or a reader of record batches, with the columns of the table in PostgreSQL. How many were written."""
    with dbapi.connect(SERVER) as connection:
        with connection.cursor() as cursor:
            written = cursor.adbc_ingest(table, rows, mode="append", db_schema_name=schema)
        connection.commit()
    return written
