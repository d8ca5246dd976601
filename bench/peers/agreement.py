"""Whether a peer's table holds the same rows as ours."""

# Distinct customers up to here are counted, beyond they are estimated.
COUNTED = 384
CLOSE, ESTIMATE = 1e-5, 0.05
TINY = 1e-9  # beside nothing


def check(connection, name, schema, ours, theirs, keys):
    """Ends with an error where a row is in one table only, or a column of a row is something else."""
    columns = connection.execute(
        """SELECT attname, format_type(atttypid, NULL) FROM pg_attribute
           WHERE attrelid = %s::regclass AND attnum > 0 AND NOT attisdropped ORDER BY attnum""",
        [f"{schema}.{ours}"],
    ).fetchall()
    values = [(column, kind) for column, kind in columns if column not in keys]
    different = ", ".join(f"count(*) FILTER (WHERE NOT {same(column, kind)})" for column, kind in values)
    rows, alone, *counts = connection.execute(
        f"""SELECT count(*), count(*) FILTER (WHERE o.{keys[0]} IS NULL OR t.{keys[0]} IS NULL), {different}
            FROM {schema}.{ours} AS o FULL JOIN {schema}.{theirs} AS t USING ({", ".join(keys)})"""
    ).fetchone()
    wrong = {"rows of one alone": alone} | {column: count for (column, _), count in zip(values, counts)}
    if any(wrong.values()):
        listed = ", ".join(f"{what} {count:,}" for what, count in wrong.items() if count)
        raise SystemExit(f"error: {name} computes something else in these of {rows:,} rows: {listed}")


def same(column, kind):
    """The condition, never NULL."""
    one, other = f"o.{column}", f"t.{column}"
    if kind not in ("real", "double precision"):
        return f"({one} IS NOT DISTINCT FROM {other})"
    apart = f"abs({one}::float8 - {other})"
    most = f"greatest(abs({one}), abs({other}))"
    share = f"CASE WHEN {most} > {COUNTED} THEN {ESTIMATE} ELSE {CLOSE} END" if "customers" in column else f"{CLOSE}"
    return f"coalesce({apart} <= {TINY} + {most}::float8 * {share}, {one} IS NULL AND {other} IS NULL)"
