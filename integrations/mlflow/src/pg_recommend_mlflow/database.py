"""Connections to the database of a catalog: a pool for each, transactions that only read, PostgreSQL's errors as MLflow's."""

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import psycopg
from mlflow.exceptions import MlflowException
from mlflow.protos.databricks_pb2 import (
    INTERNAL_ERROR,
    INVALID_PARAMETER_VALUE,
    PERMISSION_DENIED,
    TEMPORARILY_UNAVAILABLE,
)
from psycopg import IsolationLevel
from psycopg.rows import dict_row
from psycopg_pool import ConnectionPool, PoolTimeout

from pg_recommend_mlflow.address import SCHEME, Address

CONNECTIONS = 8
WAIT_SECONDS = 10
IDLE_SECONDS = 60
STATEMENT_SECONDS = int(os.environ.get("PG_RECOMMEND_MLFLOW_STATEMENT_TIMEOUT", "30"))
# A file of weights may have a gigabyte.
FILE_SECONDS = 600

# What `mlflow server` tells its workers (mlflow.server.constants; importing that would import its whole server).
SERVER_STORE = "_MLFLOW_SERVER_FILE_STORE"
SERVER_ARTIFACT_ROOT = "_MLFLOW_SERVER_ARTIFACT_ROOT"
SERVER_ARTIFACTS = "_MLFLOW_SERVER_ARTIFACT_DESTINATION"

_opened: dict[str, "Database"] = {}
_opening = threading.Lock()


class Database:
    def __init__(self, conninfo: str):
        self.conninfo = conninfo
        self._pool: ConnectionPool | None = None
        self._process = None
        self._lock = threading.Lock()

    @classmethod
    def at(cls, address: Address) -> "Database":
        """The database of an address that the administrator gave; its password is remembered for addresses without one."""
        with _opening:
            known = _opened.get(address.public)
            if known is None:
                known = _opened[address.public] = cls(address.conninfo)
            return known

    @classmethod
    def known_at(cls, address: Address) -> "Database":
        """The database of an address that came with a run. A server connects to none that it was not started with: else
        whoever may write a location into another store could send it, with its password file, to any host."""
        if address.public not in _opened:
            given = [Address.of(uri) for uri in given_to_server()]
            same = [other for other in given if other.public == address.public]
            if environment(SERVER_ARTIFACT_ROOT) and not same:
                raise MlflowException(f"this server was not started with {address.public}", PERMISSION_DENIED)
            address = same[0] if same else address
        return cls.at(address)

    def check(self) -> None:
        """An error that says why the catalog cannot be read, before anybody opens a page."""
        try:
            with psycopg.connect(self.conninfo, connect_timeout=WAIT_SECONDS) as connection:
                found = connection.execute(
                    "SELECT (SELECT e.extversion FROM pg_catalog.pg_extension AS e"
                    " WHERE e.extname OPERATOR(pg_catalog.=) 'pg_recommend'),"
                    " (SELECT pg_catalog.has_schema_privilege(n.oid, 'USAGE') FROM pg_catalog.pg_namespace AS n"
                    " WHERE n.nspname OPERATOR(pg_catalog.=) 'reco'), current_user, pg_catalog.current_database()"
                ).fetchone()
        except psycopg.Error as error:
            raise as_mlflow(error) from error
        version, may_use, role, name = found
        if version is None:
            raise MlflowException(f"the database {name} has no catalog: CREATE EXTENSION pg_recommend", INVALID_PARAMETER_VALUE)
        if not may_use:
            raise MlflowException(f'the role {role} may not look: GRANT USAGE ON SCHEMA reco TO "{role}"', PERMISSION_DENIED)

    @contextmanager
    def reading(self) -> Iterator[psycopg.Connection]:
        """One state of the catalog for everything that is read inside."""
        with self._transaction(True, IsolationLevel.REPEATABLE_READ, STATEMENT_SECONDS) as connection:
            yield connection

    @contextmanager
    def exporting(self) -> Iterator[psycopg.Connection]:
        """For reco.export_model, which writes into the audit that it was called."""
        with self._transaction(False, IsolationLevel.READ_COMMITTED, FILE_SECONDS) as connection:
            yield connection

    @contextmanager
    def _transaction(self, read_only: bool, isolation: IsolationLevel, seconds: int) -> Iterator[psycopg.Connection]:
        try:
            with self._connections().connection() as connection:
                connection.set_read_only(read_only)
                connection.set_isolation_level(isolation)
                # For the transaction alone, so that a pooler that deals out transactions passes nothing on.
                connection.execute(
                    "SELECT pg_catalog.set_config('statement_timeout', %s, true),"
                    " pg_catalog.set_config('search_path', 'pg_catalog, pg_temp', true)",
                    [f"{seconds}s"],
                )
                yield connection
        except PoolTimeout as error:
            raise MlflowException(
                f"no connection to the database within {WAIT_SECONDS} seconds; the log says why", TEMPORARILY_UNAVAILABLE
            ) from error
        except psycopg.Error as error:
            raise as_mlflow(error) from error

    def _connections(self) -> ConnectionPool:
        """A pool of this process: a connection cannot be shared with one that it forked from."""
        with self._lock:
            if self._pool is None or self._process != os.getpid():
                self._process = os.getpid()
                self._pool = ConnectionPool(
                    self.conninfo,
                    # Prepared statements do not survive a pooler that deals out transactions.
                    kwargs={"row_factory": dict_row, "prepare_threshold": None, "connect_timeout": WAIT_SECONDS},
                    min_size=0,
                    max_size=CONNECTIONS,
                    max_idle=IDLE_SECONDS,
                    timeout=WAIT_SECONDS,
                    # One that did not survive a restart of the server is replaced before it is used.
                    check=ConnectionPool.check_connection,
                    name="pg-recommend",
                    open=True,
                )
            return self._pool


def environment(name: str) -> str:
    return os.environ.get(name, "")


def given_to_server() -> list[str]:
    return [uri for uri in map(environment, (SERVER_STORE, SERVER_ARTIFACTS)) if uri.startswith(f"{SCHEME}:")]


CODES = {
    "42501": PERMISSION_DENIED,  # insufficient_privilege
    "25006": PERMISSION_DENIED,  # read_only_sql_transaction: export_model on a standby
    "57014": TEMPORARILY_UNAVAILABLE,  # query_canceled: the statement timeout
}


def as_mlflow(error: psycopg.Error) -> MlflowException:
    """PostgreSQL's message and hint, under the code by which MLflow chooses the HTTP status."""
    lines = [error.diag.message_primary or str(error).strip()]
    if error.diag.message_hint:
        lines.append(error.diag.message_hint)
    unreachable = isinstance(error, psycopg.OperationalError)
    code = CODES.get(error.sqlstate or "", TEMPORARILY_UNAVAILABLE if unreachable else INTERNAL_ERROR)
    return MlflowException("PostgreSQL: " + "\n".join(lines), code)
