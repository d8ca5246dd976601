"""Parquet files in stores: loaded and saved whole or not at all, in bounded memory, whatever happens on the way."""

import os
import pwd
import subprocess
import threading
from pathlib import Path

import psycopg
import pyarrow
import pyarrow.compute
import pyarrow.parquet
import pytest
from conftest import CREDENTIALS, ROWS, SECRET, wait_for

WORK = Path(os.environ["LAKE_WORK"])
# Of the process and of what the backend has for itself, in MB, for files of any size.
MOST_OF_THE_PROCESS = 400
MOST_OF_THE_BACKEND = 100


def sales(first, count):
    ids = pyarrow.array(range(first, first + count), pyarrow.int64())
    small = pyarrow.compute.cast(pyarrow.compute.bit_wise_and(ids, 1023), pyarrow.int32())
    micros = pyarrow.compute.add(pyarrow.compute.multiply(ids, 1_000_000), 1_600_000_000_000_000)
    return pyarrow.table({
        "sale_id": ids,
        "product_id": small,
        "region": pyarrow.array([f"region {n % 7}" for n in range(first, first + count)]),
        "sold_at": pyarrow.compute.cast(micros, pyarrow.timestamp("us", "UTC")),
        "amount": pyarrow.compute.cast(small, pyarrow.decimal128(12, 2)),
        "quantity": pyarrow.compute.cast(small, pyarrow.float32()),
    })  # fmt: skip


def write(name, first, count, row_group=1_000_000):
    path = WORK / name
    pyarrow.parquet.write_table(sales(first, count), path, row_group_size=row_group)
    return path


def count(connection):
    return connection.execute("SELECT count(*) FROM sales").fetchone()[0]


def load(connection, store, name="", **arguments):
    more = "".join(f", {key} => '{value}'" for key, value in arguments.items())
    connection.execute(f"CALL reco.load_parquet('sales', '{store.uri}{name}'{more})")


def refused(connection, run, sqlstate):
    with pytest.raises(psycopg.Error) as caught:
        run()
    error = caught.value
    assert error.sqlstate == sqlstate, error
    told = f"{error} {error.diag.message_detail} {error.diag.message_hint}"
    assert SECRET not in told and "sig=" not in told, told
    return told


def test_a_folder_comes_back_as_it_was_saved(connection, store):
    connection.execute(
        "INSERT INTO sales SELECT n, n % 5, CASE n % 3 WHEN 0 THEN 'a/b' WHEN 1 THEN 'ö' END, 'epoch'::timestamptz + n * interval '1 s', n / 4.0, n "
        "FROM generate_series(1, 20000) AS n"
    )
    connection.execute(f"CALL reco.save_parquet('sales', '{store.uri}out/', partition_by => '{{region}}')")
    assert len(store.names()) == 3, store.names()
    digest = "SELECT md5(string_agg(s::text, '|' ORDER BY sale_id)) FROM sales AS s"
    before = connection.execute(digest).fetchone()
    load(connection, store, "out/", mode="replace")
    assert connection.execute(digest).fetchone() == before
    load(connection, store, "out/", mode="new_files")
    assert count(connection) == 20000
    load(connection, store, "out/region=*/part-*.parquet")
    assert count(connection) == 40000
    told = refused(connection, lambda: connection.execute(f"CALL reco.save_parquet('sales', '{store.uri}out/')"), "22023")
    assert "files below" in told


def test_a_query_that_fails_leaves_nothing(connection, store):
    query = "SELECT n, repeat(md5(n::text), 100), 1 / (300000 - n) FROM generate_series(1, 300001) AS n"
    refused(connection, lambda: connection.execute(f"CALL reco.save_parquet('{query}', '{store.uri}out.parquet')"), "22012")
    assert store.names() == [] and store.uploads() == []


def peak(pid, field):
    """Megabytes, of a process that may be gone."""
    try:
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    except OSError:
        return 0
    return max((int(line.split()[1]) / 1024 for line in lines if line.startswith(field)), default=0)


def test_ten_million_lines_in_bounded_memory_with_progress(connection, s3):
    s3.clear()
    files = 10
    for n in range(files):
        path = write("part.parquet", n * ROWS // files, ROWS // files)
        s3.put(f"big/part-{n}.parquet", path)
        path.unlink()
    told, seen, stop = [], {"process": 0, "backend": 0, "tuples": 0}, threading.Event()
    connection.add_notice_handler(lambda notice: told.append(notice.message_primary))

    def watch():
        backend = connection.info.backend_pid
        with psycopg.connect("dbname=lake", autocommit=True) as other:
            while not stop.wait(0.1):
                for child in Path(f"/proc/{backend}/task/{backend}/children").read_text().split():
                    seen["process"] = max(seen["process"], peak(child, "VmHWM"))
                seen["backend"] = max(seen["backend"], peak(backend, "RssAnon"))
                for (tuples,) in other.execute("SELECT tuples_processed FROM pg_stat_progress_copy").fetchall():
                    seen["tuples"] = max(seen["tuples"], tuples)

    watching = threading.Thread(target=watch)
    watching.start()
    try:
        load(connection, s3, "big/")
    finally:
        stop.set()
        watching.join()
    print(f"{ROWS} lines: process {seen['process']:.0f} MB, backend {seen['backend']:.0f} MB; {told[-1]}")
    assert count(connection) == ROWS
    assert connection.execute("SELECT sum(sale_id) FROM sales").fetchone()[0] == ROWS * (ROWS - 1) // 2
    assert 0 < seen["process"] < MOST_OF_THE_PROCESS and seen["backend"] < MOST_OF_THE_BACKEND, seen
    assert 0 < seen["tuples"] <= ROWS
    assert any("10 of 10 files" in words for words in told) and f"{ROWS} rows loaded" in told[-1], told


def test_a_connection_that_is_cut_is_tried_again(connection, store):
    store.put("sales.parquet", write("cut.parquet", 0, 200_000, 50_000))
    store.way.cut_after, store.way.cuts_left = 100_000, 2
    load(connection, store, "sales.parquet")
    assert store.way.cut == 2 and count(connection) == 200_000


def test_a_connection_that_stays_cut_is_an_error_and_nothing_is_loaded(connection, store):
    store.put("sales.parquet", write("cut.parquet", 0, 200_000, 50_000))
    store.way.cut_after, store.way.cuts_left = 100_000, 10**9
    told = refused(connection, lambda: load(connection, store, "sales.parquet"), "58030")
    assert "sales.parquet" in told and count(connection) == 0


def test_credentials_that_have_expired_are_an_error(connection, azure, credentials):
    azure.way.open()
    azure.put("sales.parquet", write("some.parquet", 0, 10))
    credentials({azure.uri: azure.expired()})
    told = refused(connection, lambda: load(connection, azure, "sales.parquet"), "42501")
    assert "expired" in told and count(connection) == 0


def test_a_file_that_others_may_read_gives_no_credentials(connection, s3):
    CREDENTIALS.chmod(0o644)
    refused(connection, lambda: load(connection, s3), "22023")


def test_a_file_that_changes_while_it_is_read_is_an_error(connection, store):
    store.put("sales.parquet", write("old.parquet", 0, 1_000_000, 50_000))
    other = write("new.parquet", 5, 1_000_000, 50_000)
    # The load waits at its first row until the file is another.
    connection.execute(
        "CREATE OR REPLACE FUNCTION hold() RETURNS trigger LANGUAGE plpgsql AS "
        "'BEGIN PERFORM pg_advisory_xact_lock_shared(1); RETURN NEW; END'"
    )
    connection.execute("CREATE TRIGGER hold BEFORE INSERT ON sales FOR EACH ROW EXECUTE FUNCTION hold()")
    with psycopg.connect("dbname=lake", autocommit=True) as holder:
        holder.execute("SELECT pg_advisory_lock(1)")
        result = []

        def run():
            result.append(refused(connection, lambda: load(connection, store, "sales.parquet"), "22000"))

        loading = threading.Thread(target=run)
        loading.start()
        waiting = "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted"
        wait_for("the load waits", lambda: holder.execute(waiting).fetchone()[0] == 1)
        store.put("sales.parquet", other)
        holder.execute("SELECT pg_advisory_unlock(1)")
        loading.join()
    assert "was changed while it was read" in result[0] and count(connection) == 0


@pytest.mark.skipif(os.geteuid() != 0, reason="mounting a small disk takes root")
def test_a_disk_that_is_full_is_an_error_and_nothing_is_left(connection):
    disk = WORK / "disk"
    disk.mkdir(exist_ok=True)
    owner = pwd.getpwnam(os.environ["SERVER_USER"]).pw_uid
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size=4m,mode=700,uid={owner}", "tmpfs", str(disk)], check=True)
    try:
        query = "SELECT n, md5(n::text) FROM generate_series(1, 500000) AS n"
        for place in ("one.parquet", "folder/"):
            told = refused(connection, lambda: connection.execute(f"CALL reco.save_parquet('{query}', 'file://{disk}/{place}')"), "53100")
            assert "No space left" in told
            assert list(disk.iterdir()) == []
    finally:
        subprocess.run(["umount", str(disk)], check=True)
