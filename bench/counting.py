"""What it costs to count what is scored: the library preloaded, beside the same library that is not."""

from data import warm
from measure import connect, figure, medians, seconds
from standby import standby

TITLE = "Counting"
NOTE = """One statement, `SELECT sum(predict('wide', real[30])) FROM table`, on one core, the table in shared buffers. A standby of
the benchmarks' server has the library in `shared_preload_libraries` and counts what it scores; the primary, which has the
same pages and the same library, does not. The counts are looked at afterwards."""

QUERY = "SELECT sum(reco.predict('wide', x)) FROM wide_array"
STATEMENTS = 3  # a turn: one alone is shorter than what else happens on a machine
AT_MOST = 1.03


def run(scale):
    with connect() as plain:
        warm(plain, "wide_array")
        with standby("-c shared_preload_libraries=pg_recommend") as port, connect(port=port) as counted:
            counted.execute("SELECT pg_prewarm('wide_array')")
            times = medians(2 * scale.repetitions + 1, counted=lambda: a_turn(counted), plain=lambda: a_turn(plain))
            check_counts(counted, plain, scale)
    ours, theirs = (f"{times[side] / STATEMENTS / scale.rows * 1e6:.3f} µs a row" for side in ("counted", "plain"))
    ratio = times["counted"] / times["plain"]
    return [figure("predict(model, real[30])", ours, f"{theirs}, not counted", ratio, at_most=AT_MOST)]


def a_turn(connection):
    return sum(seconds(connection, QUERY) for _ in range(STATEMENTS))


def check_counts(counted, plain, scale):
    """That the one counts and the other does not."""
    rows = "SELECT coalesce(sum(value), 0) FROM reco.metrics WHERE name = 'reco_scoring_rows_total'"
    (found,), (none,) = (connection.execute(rows).fetchone() for connection in (counted, plain))
    if found < scale.rows or none:
        raise SystemExit(f"error: {found:,.0f} rows are counted, and {none:,.0f} where none should be")
