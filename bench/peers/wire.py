"""Rows out of COPY … TO STDOUT as one numpy array, taken off the socket as they come.

A driver hands the rows over one by one, which costs more than all the rest. Rows of a fixed size come in messages of
a fixed size, so a client that speaks the protocol itself can do without: the fastest client we could think of.
"""

import os
import socket
import struct

import numpy

import copy_format

READY = b"Z\0\0\0\5I"  # the last message, outside a transaction


def read(_connection, query, columns):
    """The rows of a COPY to standard output, whose columns are these and never NULL; on a connection of its own."""
    connection = connect()
    connection.sendall(message(b"Q", query.encode() + b"\0"))
    received = receive(connection)
    connection.sendall(message(b"X", b""))
    connection.close()

    row = copy_format.row_type(columns)
    framed = numpy.dtype([("tag", "S1"), ("length", ">i4"), ("row", row)])
    # The signature shares the first row's message, so its last bytes stand where that row's frame would.
    start = received.index(copy_format.SIGNATURE) + len(copy_format.SIGNATURE) - (framed.itemsize - row.itemsize)
    end = received.rindex(message(b"d", copy_format.TRAILER))
    messages = numpy.frombuffer(received, framed, (end - start) // framed.itemsize, start)
    if not (messages["length"][1:] == row.itemsize + 4).all():
        raise ValueError("rows of different sizes")
    return messages["row"]


def connect():
    connection = socket.socket(socket.AF_UNIX)
    connection.connect(f"{os.environ['PGHOST']}/.s.PGSQL.{os.environ['PGPORT']}")
    names = {"user": os.environ["PGUSER"], "database": os.environ["PGDATABASE"], "options": os.environ["PGOPTIONS"]}
    pairs = b"".join(f"{name}\0{value}\0".encode() for name, value in names.items())
    connection.sendall(struct.pack(">ii", len(pairs) + 9, 3 << 16) + pairs + b"\0")
    receive(connection)
    return connection


def message(tag, body):
    return tag + struct.pack(">i", len(body) + 4) + body


def receive(connection):
    """All bytes until the server waits for the next query."""
    buffer, end = bytearray(1 << 24), 0
    while True:
        if end == len(buffer):
            buffer.extend(bytes(len(buffer)))
        end += (got := connection.recv_into(memoryview(buffer)[end:]))
        if got == 0:
            raise ConnectionError("the server closed the connection")
        if buffer[max(0, end - len(READY)) : end] == READY:
            del buffer[end:]
            return buffer
