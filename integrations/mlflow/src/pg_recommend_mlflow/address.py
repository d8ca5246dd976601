"""URIs of the form pg-recommend://user@host:port/database?host=/socket, libpq's with another scheme.

After the database comes what is meant of it: runs/<id>, or models/<name>/<version>. An id is a uuid to PostgreSQL and the
same 32 digits without hyphens to MLflow.
"""

import hashlib
import re
import uuid
from dataclasses import dataclass
from urllib.parse import parse_qsl, quote, unquote, urlencode, urlsplit

import psycopg
from mlflow.exceptions import MlflowException
from mlflow.protos.databricks_pb2 import INVALID_PARAMETER_VALUE, RESOURCE_DOES_NOT_EXIST

SCHEME = "pg-recommend"
SECRETS = {"password", "sslpassword"}
PLAIN = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]*")


@dataclass(frozen=True)
class Address:
    """Where a catalog is, and the path of a file in it."""

    conninfo: str
    public: str
    """The URI of the catalog without what is secret: it is shown to whoever looks at a run."""
    path: str

    @classmethod
    def of(cls, uri: str) -> "Address":
        parts = urlsplit(uri)
        database, _, path = parts.path.lstrip("/").partition("/")
        if parts.scheme != SCHEME or not database:
            raise MlflowException(
                f"a catalog is named {SCHEME}://user@host:port/database, or {SCHEME}://user@/database?host=/socket/folder",
                INVALID_PARAMETER_VALUE,
            )
        whole = f"postgresql://{parts.netloc}/{database}" + (f"?{parts.query}" if parts.query else "")
        try:
            psycopg.conninfo.conninfo_to_dict(whole)
        except psycopg.ProgrammingError as error:
            # libpq's message does not repeat the password.
            raise MlflowException(f"the URI of the catalog: {error}", INVALID_PARAMETER_VALUE) from None
        return cls(whole, without_secrets(parts, database), path.strip("/"))

    def with_path(self, path: str) -> str:
        """The URI of a file or folder of the catalog."""
        base, question, query = self.public.partition("?")
        return f"{base}/{path}{question}{query}"


def without_secrets(parts, database: str) -> str:
    user, at, host = parts.netloc.rpartition("@")
    query = [(key, value) for key, value in parse_qsl(parts.query, keep_blank_values=True) if key not in SECRETS]
    netloc = user.partition(":")[0] + at + host
    return f"{SCHEME}://{netloc}/{database}" + (f"?{urlencode(query, quote_via=quote, safe='/')}" if query else "")


def hex_of(identifier: uuid.UUID) -> str:
    return identifier.hex


def uuid_of(run_id: str) -> uuid.UUID:
    """The uuid that MLflow's id of a run stands for; an id that is none is of no run."""
    if not re.fullmatch(r"[0-9a-f]{32}", str(run_id)):
        raise MlflowException(f"no run has the id {run_id}", RESOURCE_DOES_NOT_EXIST)
    return uuid.UUID(run_id)


def experiment_id(model: str) -> str:
    """18 digits, as MLflow's own ids have, that follow from the model's name."""
    digest = hashlib.sha256(model.encode()).digest()
    return str(10**17 + int.from_bytes(digest[:8], "big") % (9 * 10**17))


def spelled(model: str) -> str:
    """The name of a model as one segment of a path that no server or client changes."""
    return model if PLAIN.fullmatch(model) else "~" + model.encode().hex()


def unspelled(segment: str) -> str:
    if not segment.startswith("~"):
        return unquote(segment)
    try:
        return bytes.fromhex(segment[1:]).decode()
    except ValueError:
        raise MlflowException(f"{segment} is the name of no model", RESOURCE_DOES_NOT_EXIST) from None
