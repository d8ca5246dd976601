"""What the first score costs a new connection, in time and in memory, beside PL/Python."""

import statistics

from measure import connect, figure, seconds

TITLE = "A new connection"
NOTE = """Time: the first score of a connection less its second, medians over new connections; nothing else runs on
the connection before. Memory: what a backend has more after scoring 1,000 rows than after summing their columns
without the extension: its private pages, and of every library the resident pages, even those that other backends
share. *Its own* are the private pages alone, which each further backend adds."""

ONE = "SELECT {function} FROM wide w WHERE id = 1"
WARM = "SELECT sum(c1 + c30) FROM wide w WHERE id <= 1000"
MANY = "SELECT sum({function}) FROM wide w WHERE id <= 1000"
OURS, PEER = "reco.predict('wide', w)", "plpython_predict(w)"

PRIVATE = ("Private_Clean:", "Private_Dirty:")
# Whether another process has a library's pages mapped too is chance.
LIBRARIES_WHOLE = ("Rss:",)


def run(scale):
    first = {name: [] for name in (OURS, PEER)}
    for _ in range(scale.connections):
        for name in first:
            first[name].append(extra_of_first(name))
    extra = {name: statistics.median(values) * 1e3 for name, values in first.items()}
    resident = {name: added(name, LIBRARIES_WHOLE) for name in first}
    own = {name: added(name, PRIVATE) for name in first}
    return [
        beside_python("first score less the second", extra, unit="ms", at_most=20),
        beside_python("memory a scoring backend adds", resident, unit="MB", at_most=5),
        beside_python("its own of that", own, unit="MB"),
    ]


def beside_python(what, values, unit, at_most=None):
    ours, peer = (f"{values[name]:.1f} {unit}" for name in (OURS, PEER))
    return figure(what, ours, f"{peer}, PL/Python with numpy", values[OURS], unit=unit, at_most=at_most)


def extra_of_first(function):
    with connect() as connection:
        first, second = (seconds(connection, ONE.format(function=function)) for _ in range(2))
    return first - second


def added(function, libraries):
    """Megabytes."""
    return statistics.median(growth(function, libraries) for _ in range(5)) / 2**20


def growth(function, libraries):
    """Bytes."""
    with connect() as connection:
        connection.execute(WARM)
        before = memory(connection, libraries)
        connection.execute(MANY.format(function=function))
        return memory(connection, libraries) - before


def memory(connection, libraries):
    """Private pages, and of the mappings of libraries what is asked for."""
    total, counted = 0, ()
    with open(f"/proc/{connection.info.backend_pid}/smaps") as file:
        for line in file:
            name, *rest = line.split()
            if not name.endswith(":"):  # a mapping begins, its path at the end
                counted = libraries if ".so" in line else PRIVATE
            elif name in counted:
                total += int(rest[0]) * 1024
    return total
