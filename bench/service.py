"""recommend by key beside a service over HTTP that looks the row up and scores it."""

import json
import re
import socket
import subprocess
import sys
import tempfile
import urllib.request
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from time import monotonic

import by_key
from data import REGIONS, warm
from measure import connect, figure, medians

TITLE = "recommend(product_id, region) beside a service"
NOTE = """The peer is Flask under gunicorn: a request looks the newest row up in the same table with a prepared statement
of psycopg, on a connection that its thread keeps, scores it with PyTorch, and answers in JSON. Ours is pgbench with
prepared statements over the socket. Both draw product and region at random. wrk makes the requests, with one thread and as
many connections as pgbench has clients: a fraction of a core, so that what is measured is the service. Everything
runs on the same cores. gunicorn runs as is best for it: of 2, 3 and 4 workers, each of the kind that closes the connection
after an answer (sync) and of the kind that keeps it (gthread, 4 threads), the one with the most requests a second, 8
connections."""

BENCH = Path(__file__).parent
CLIENTS = 8
AGREEMENT = 1e-5
SETTINGS = [(workers, kind) for workers in (2, 3, 4) for kind in ("sync", "gthread")]
START_SECONDS = 120

REQUEST = """request = function()
  return wrk.format("GET", "/recommend/" .. math.random(1, {products}) .. "/" .. math.random(1, {regions}))
end
"""


def run(scale):
    with connect() as connection:
        warm(connection, "launch_features", "launch_features_pkey")
    with tempfile.TemporaryDirectory() as folder:
        recommend, request = Path(folder, "recommend.sql"), Path(folder, "request.lua")
        places = {"products": scale.products, "regions": REGIONS}
        recommend.write_text(by_key.VARIABLES.format(**places) + by_key.RECOMMEND)
        request.write_text(REQUEST.format(**places))
        best = best_setting(scale, request)
        with service(*best) as port:
            return [
                beside_service(scale, recommend, request, port, best, clients, bound)
                for clients, bound in ((1, None), (CLIENTS, 20))
            ]


def beside_service(scale, recommend, request, port, setting, clients, bound):
    seconds = scale.pgbench_seconds
    rates = medians(
        scale.repetitions,
        ours=partial(by_key.pgbench, recommend, clients, seconds),
        peer=partial(wrk, request, port, clients, seconds),
    )
    return figure(
        f"by key, {clients} client{'s' if clients > 1 else ''}",
        f"{rates['ours']:,.0f}/s",
        f"{rates['peer']:,.0f}/s, Flask, gunicorn ({setting[0]} {setting[1]} workers), PyTorch",
        rates["ours"] / rates["peer"],
        at_least=bound,
    )


def best_setting(scale, request):
    rates = {}
    for setting in SETTINGS:
        with service(*setting) as port:
            check_agreement(port)
            wrk(request, port, CLIENTS, 1)
            rates[setting] = wrk(request, port, CLIENTS, scale.pgbench_seconds)
    print(", ".join(f"{workers} {kind}: {rate:,.0f}/s" for (workers, kind), rate in rates.items()), flush=True)
    return max(rates, key=rates.get)


def wrk(request, port, connections, duration):
    """Requests answered a second."""
    command = ["wrk", "-t1", f"-c{connections}", f"-d{duration}s", "-s", str(request), f"http://127.0.0.1:{port}"]
    output = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    if trouble := re.search(r"(Non-2xx|Socket errors).*", output):
        raise SystemExit(f"error: the service answers with errors: {trouble[0]}")
    return float(re.search(r"Requests/sec:\s*([0-9.]+)", output)[1])


@contextmanager
def service(workers, kind):
    """The port of a running one."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    threads = 4 if kind == "gthread" else 1
    command = [sys.executable, "-m", "gunicorn", "--preload", "--log-level", "error", "--workers", str(workers)]
    command += ["--worker-class", kind, "--threads", str(threads), "--keep-alive", "75"]
    command += ["--bind", f"127.0.0.1:{port}", "peers.flask_service:app"]
    process = subprocess.Popen(command, cwd=BENCH)
    try:
        wait_until_it_answers(process, port)
        yield port
    finally:
        process.terminate()
        process.wait()


def wait_until_it_answers(process, port):
    end = monotonic() + START_SECONDS
    while process.poll() is None and monotonic() < end:
        try:
            answer(port, 1, "1")
            return
        except OSError:
            # Refused at once while nothing listens: the wait is on the process, which would end if it failed.
            try:
                process.wait(0.2)
            except subprocess.TimeoutExpired:
                pass
    raise SystemExit("error: the service does not start")


def check_agreement(port):
    with connect() as connection:
        for product in range(1, 21):
            region = str(product % REGIONS + 1)
            ours = connection.execute("SELECT reco.recommend(%s::bigint, %s)", [product, region]).fetchone()[0]
            if abs(ours - answer(port, product, region)) > AGREEMENT:
                raise SystemExit(f"error: the service scores product {product} in region {region} otherwise")


def answer(port, product, region):
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/recommend/{product}/{region}") as response:
        return json.load(response)["score"]
