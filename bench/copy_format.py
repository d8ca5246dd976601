"""PostgreSQL's binary COPY format for rows of fixed-size columns, as numpy arrays."""

import numpy

SIGNATURE = b"PGCOPY\n\xff\r\n\0" + bytes(8)
TRAILER = b"\xff\xff"


def row_type(columns):
    """The type of a row of these (name, type) columns; a type with a shape stands for so many columns."""
    fields = [("columns", ">i2")]
    for name, kind, *shape in columns:
        fields.append((name, [("length", ">i4"), ("value", kind)], *shape))
    return numpy.dtype(fields)


def rows(count, columns):
    """Rows of these columns, their lengths filled in."""
    made = numpy.zeros(count, row_type(columns))
    width = 0
    for name, kind, *shape in columns:
        made[name]["length"] = numpy.dtype(kind).itemsize
        width += shape[0] if shape else 1
    made["columns"] = width
    return made


def load(connection, table, made):
    with connection.cursor().copy(f"COPY {table} FROM STDIN (FORMAT binary)") as copy:
        copy.write(SIGNATURE)
        copy.write(made.data.cast("B"))
        copy.write(TRAILER)
