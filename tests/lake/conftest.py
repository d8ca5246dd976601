"""Stores on the loopback, a PostgreSQL, and a way between them that can be cut.

Called by scripts/test-lake, which says by the environment where the server is and which Azurite to start."""

import base64
import json
import os
import secrets
import shutil
import socket
import subprocess
import sys
import threading
import time
from datetime import datetime, timedelta, timezone
from pathlib import Path

import boto3
import psycopg
import pytest
from azure.storage.blob import BlobServiceClient, generate_container_sas

ACCOUNT = "lakeaccount"
SECRET = base64.b64encode(secrets.token_bytes(32)).decode()
CREDENTIALS = Path(os.environ["LAKE_WORK"], "credentials.json")
ROWS = int(os.environ.get("LAKE_ROWS", "10000000"))


def free_port():
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return found.getsockname()[1]


def wait_for(what, found, seconds=60):
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if result := found():
            return result
        time.sleep(0.05)
    pytest.fail(f"not within {seconds} s: {what}")


def listens(port):
    with socket.socket() as tried:
        return tried.connect_ex(("127.0.0.1", port)) == 0


def started(command, port, **environment):
    process = subprocess.Popen(command, env=os.environ | environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    wait_for(f"{command[0]} listens", lambda: listens(port))
    return process


class Way:
    """A way to a store: connections to its port go on to the store's. It can be cut after so many bytes of answers."""

    def __init__(self, to):
        self.to, self.cut_after, self.cuts_left, self.cut = to, None, 0, 0
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        threading.Thread(target=self.accept, daemon=True).start()

    def accept(self):
        while True:
            near, _ = self.listener.accept()
            far = socket.create_connection(("127.0.0.1", self.to))
            threading.Thread(target=self.pump, args=(near, far, False), daemon=True).start()
            threading.Thread(target=self.pump, args=(far, near, True), daemon=True).start()

    def pump(self, source, target, answers):
        passed = 0
        try:
            while data := source.recv(65536):
                passed += len(data)
                if answers and self.cut_after is not None and passed > self.cut_after and self.cuts_left > 0:
                    self.cuts_left -= 1
                    self.cut += 1
                    break
                target.sendall(data)
        except OSError:
            pass
        for end in (source, target):
            try:
                end.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass

    def open(self):
        self.cut_after, self.cuts_left, self.cut = None, 0, 0


class Bucket:
    """A bucket of S3 as moto has it."""

    uri = "s3://lake/"

    def __init__(self, port):
        self.way = Way(port)
        keys = {"aws_access_key_id": "test-access", "aws_secret_access_key": SECRET}
        self.client = boto3.client("s3", endpoint_url=f"http://127.0.0.1:{port}", region_name="us-east-1", **keys)
        self.client.create_bucket(Bucket="lake")
        self.options = keys | {"aws_endpoint": f"http://127.0.0.1:{self.way.port}", "aws_region": "us-east-1"}

    def put(self, name, file):
        self.client.upload_file(str(file), "lake", name)

    def names(self):
        return sorted(found["Key"] for found in self.client.list_objects_v2(Bucket="lake").get("Contents", []))

    def uploads(self):
        return self.client.list_multipart_uploads(Bucket="lake").get("Uploads", [])

    def clear(self):
        for name in self.names():
            self.client.delete_object(Bucket="lake", Key=name)


class Container:
    """A container of Azure as Azurite has it."""

    uri = f"abfss://lake@{ACCOUNT}.dfs.core.windows.net/"

    def __init__(self, port):
        self.way = Way(port)
        self.client = BlobServiceClient(f"http://127.0.0.1:{port}/{ACCOUNT}", credential=SECRET).create_container("lake")
        self.options = {
            "azure_storage_account_key": SECRET,
            "azure_storage_endpoint": f"http://127.0.0.1:{self.way.port}/{ACCOUNT}",
        }

    def put(self, name, file):
        with open(file, "rb") as data:
            self.client.upload_blob(name, data, overwrite=True)

    def names(self):
        return sorted(self.client.list_blob_names())

    def uploads(self):
        return []

    def clear(self):
        for name in self.names():
            self.client.delete_blob(name)

    def expired(self):
        past = datetime.now(timezone.utc) - timedelta(hours=1)
        token = generate_container_sas(ACCOUNT, "lake", account_key=SECRET, permission="rl", expiry=past)
        return {"azure_storage_sas_key": token, "azure_storage_endpoint": self.options["azure_storage_endpoint"]}


@pytest.fixture(scope="session")
def s3():
    port = free_port()
    process = started([str(Path(sys.executable).with_name("moto_server")), "-H", "127.0.0.1", "-p", str(port)], port)
    yield Bucket(port)
    process.terminate()


@pytest.fixture(scope="session")
def azure():
    port = free_port()
    folder = Path(os.environ["LAKE_WORK"], "azurite")
    command = [os.environ["AZURITE"], "--blobPort", str(port), "--skipApiVersionCheck", "--silent", "--location", str(folder)]
    process = started(command, port, AZURITE_ACCOUNTS=f"{ACCOUNT}:{SECRET}")
    yield Container(port)
    process.terminate()
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(params=["s3", "azure"])
def store(request):
    found = request.getfixturevalue(request.param)
    found.way.open()
    found.clear()
    return found


def write_credentials(by_prefix):
    CREDENTIALS.write_text(json.dumps(by_prefix))
    CREDENTIALS.chmod(0o600)
    if user := os.environ.get("SERVER_USER"):
        shutil.chown(CREDENTIALS, user)


@pytest.fixture
def credentials(s3, azure):
    write_credentials({one.uri: one.options for one in (s3, azure)})
    return write_credentials


@pytest.fixture
def connection(credentials):
    with psycopg.connect("dbname=lake", autocommit=True) as connection:
        connection.execute(f"SET reco.lake_credentials_file = '{CREDENTIALS}'")
        connection.execute("DROP TABLE IF EXISTS sales")
        connection.execute(
            "CREATE TABLE sales (sale_id bigint, product_id integer, region text, sold_at timestamptz, amount numeric(12, 2), quantity real)"
        )
        yield connection
