"""A standby of the benchmarks' cluster."""

import os
import pwd
import subprocess
from contextlib import contextmanager
from pathlib import Path

from measure import connect


@contextmanager
def standby(settings=""):
    """The port of a running one, in the primary's socket folder, with all that was committed there before. `settings`: of
    its own, as the command line of a server has them."""
    data = Path(os.environ["PG_RECOMMEND_NOOP"]).with_name("standby")
    port = int(os.environ["PGPORT"]) + 1
    as_server_user("rm", "-rf", data)
    as_server_user("pg_basebackup", "-R", "--checkpoint=fast", "--no-sync", "-D", data)
    options = f"-p {port} {settings}"
    as_server_user("pg_ctl", "-D", data, "-l", data / "log", "-w", "-o", options, "start", stdout=subprocess.DEVNULL)
    try:
        yield port
    finally:
        as_server_user("pg_ctl", "-D", data, "-m", "immediate", "-w", "stop", stdout=subprocess.DEVNULL)
        as_server_user("rm", "-rf", data)


def as_server_user(*command, **options):
    """The server does not run as root, so it is run as the owner of the primary's data."""
    with connect() as connection:
        (primary,) = connection.execute("SHOW data_directory").fetchone()
    owner = pwd.getpwuid(os.stat(primary).st_uid).pw_name
    su = ["runuser", "-u", owner, "--"] if os.geteuid() == 0 else []
    subprocess.run([*su, *map(str, command)], check=True, cwd="/", **options)
