"""Rows out of COPY … TO STDOUT through psycopg, which hands them over one by one, as one numpy array."""

import numpy

import copy_format


def read(connection, query, columns):
    """The rows of a COPY to standard output, whose columns are these and never NULL."""
    with connection.cursor().copy(query) as copy:
        received = b"".join(copy)
    row = copy_format.row_type(columns)
    start, end = len(copy_format.SIGNATURE), len(received) - len(copy_format.TRAILER)
    return numpy.frombuffer(received, row, (end - start) // row.itemsize, start)
