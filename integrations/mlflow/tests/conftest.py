"""A catalog with trainings, which scripts/test-mlflow has made; MLflow's own server on it; a browser."""

import os
import socket
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import psycopg
import pytest

from pg_recommend_mlflow.registry import RegistryStore
from pg_recommend_mlflow.tracking import TrackingStore

HOST, PORT, DATABASE = (os.environ.get(name, "") for name in ("PGHOST", "PGPORT", "PGDATABASE"))
CHROMIUM = (
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync", "--window-size=1500,1400",
)  # fmt: skip


def uri(role: str = "postgres") -> str:
    return f"pg-recommend://{role}@:{PORT}/{DATABASE}?host={HOST}"


@pytest.fixture(scope="session")
def store():
    return TrackingStore(uri())


@pytest.fixture(scope="session")
def registry():
    return RegistryStore(uri())


@pytest.fixture
def sql():
    """What the catalog says, past MLflow."""
    with psycopg.connect(host=HOST, port=PORT, dbname=DATABASE, user="postgres", autocommit=True) as connection:
        yield lambda query, *values: connection.execute(query, values).fetchall()


@pytest.fixture(scope="session")
def launch(store):
    return store.get_experiment_by_name("launch").experiment_id


@pytest.fixture(scope="session")
def named(store, launch):
    """The runs of the model launch, by name."""
    return {run.info.run_name: run for run in store.search_runs([launch], "", 1)}


class Server:
    def __init__(self, url: str, log: Path):
        self.url, self.log = url, log

    def complaints(self) -> list[str]:
        lines = self.log.read_text().splitlines()
        return [line for line in lines if "ERROR" in line or "Traceback" in line or '" 5' in line]


def free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return found.getsockname()[1]


def wait_until(ready, seconds: float, what: str):
    """The first true answer."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        answer = ready()
        if answer:
            return answer
        time.sleep(0.1)
    raise AssertionError(f"{what}: not within {seconds} seconds")


def answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=5) as response:
            return response.status == 200
    except OSError:
        return False


@pytest.fixture(scope="session")
def server(tmp_path_factory):
    folder = tmp_path_factory.mktemp("server")
    port, log = free_port(), folder / "log"
    url = f"http://127.0.0.1:{port}"
    command = [sys.executable, "-m", "mlflow", "server", "--host", "127.0.0.1", "--port", str(port), "--workers", "1"]
    command += ["--backend-store-uri", uri(), "--artifacts-destination", uri()]
    with log.open("w") as output:
        started = subprocess.Popen(command, cwd=folder, stdout=output, stderr=subprocess.STDOUT)
        try:
            wait_until(lambda: started.poll() is not None or answers(f"{url}/health"), 120, "mlflow server")
            assert started.poll() is None, log.read_text()
            yield Server(url, log)
        finally:
            started.terminate()
            started.wait(30)


@pytest.fixture(scope="session")
def browser(tmp_path_factory):
    from selenium import webdriver
    from selenium.webdriver.chrome.service import Service

    options = webdriver.ChromeOptions()
    options.binary_location = "/usr/bin/chromium"
    for flag in [*CHROMIUM, f"--user-data-dir={tmp_path_factory.mktemp('profile')}"]:
        options.add_argument(flag)
    options.set_capability("goog:loggingPrefs", {"performance": "ALL"})
    driver = webdriver.Chrome(options=options, service=Service("/usr/bin/chromedriver"))
    try:
        yield driver
    finally:
        driver.quit()
