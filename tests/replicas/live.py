"""A primary and two standbys under Patroni, scored on by eight clients. scripts/test-replicas starts this, as the server's user:

    live.py WORK_FOLDER FOLDER_OF_POSTGRESQL'S_PROGRAMS

The nodes are three addresses of loopback. Four clients connect as applications do, by a list of hosts with
target_session_attrs=any, and four through pgbouncer in transaction mode. While versions are promoted, A/B tests are started and
stopped and the leader is killed, no query on another node fails, and every statement is scored by one version: what it returns is
what one state of the catalog gives. Every check is a function whose first line says `# Check: …`."""

import os
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.request
from collections import Counter
from pathlib import Path

import psycopg2
import yaml

WORK, BIN = Path(sys.argv[1]), Path(sys.argv[2])
NODES = {f"node{n}": f"127.0.0.{10 + n}" for n in (1, 2, 3)}
PASSWORD = secrets.token_hex(16)
DEADLINE = 120  # seconds that a condition may take to come true
CLIENTS = 8

TABLES = """
CREATE EXTENSION pg_recommend;
CREATE TABLE rows AS
SELECT p::bigint AS product_id, 'r' || r AS region, date '2024-01-01' + 7 * w AS week, (p % 7)::real AS taste, ((p + w) % 5)::real AS season,
       CASE WHEN w < 24 THEN (p * 7919 + r * 104729 + w * 1299709) % 100 < 10 + 10 * (p % 7) END AS bought
FROM generate_series(1, 60) AS p, generate_series(0, 3) AS r, generate_series(0, 24) AS w;
ALTER TABLE rows ADD PRIMARY KEY (product_id, region, week);
ANALYZE rows;
SELECT reco.create_feature_view('weekly', $$SELECT w::date AS week, p::bigint AS product_id, 'r1' COLLATE "C" AS region, true AS bought
    FROM generate_series($1::timestamp, $2::timestamp, '7 days') AS w, generate_series(1, 3) AS p$$,
    '{product_id,region}', label => 'bought', available => 'SELECT current_date - 60, current_date');
SELECT reco.schedule_refresh('weekly', '* * * * *');
"""
TRAIN = """CALL reco.train('launch', 'rows', 'bought', params => '{"epochs": 5, "hidden": [8], "seed": %d}', keys => '{product_id,region}',
                           time_column => 'week')"""
# What the keys are scored by, and what their newest rows are: of a champion both are of one version; an A/B test divides the keys.
SCORE = """
SELECT md5((SELECT string_agg(reco.recommend(p, 'r' || r, 'launch')::text, ' ' ORDER BY p, r)
            FROM generate_series(1::bigint, 60) AS p, generate_series(0, 3) AS r)),
       md5((SELECT string_agg(reco.predict('launch', f)::text, ' ' ORDER BY product_id, region)
            FROM rows AS f WHERE week = '2024-06-17'))"""
ARMS = """[{"arm": "a", "version": 1, "share": 0.5}, {"arm": "b", "version": 2, "share": 0.5}]"""


def say(text):
    print(f"    {text}", flush=True)


def wait_for(what, condition):
    until = time.monotonic() + DEADLINE
    while True:
        try:
            found = condition()
        except (psycopg2.OperationalError, psycopg2.InterfaceError):
            found = None
        if found:
            return found
        if time.monotonic() > until:
            raise SystemExit(f"waited {DEADLINE} s in vain: {what}")
        time.sleep(0.1)


def free_port(addresses):
    """One that is free on each of the addresses."""
    while True:
        sockets = [socket.socket() for _ in addresses]
        try:
            sockets[0].bind((addresses[0], 0))
            port = sockets[0].getsockname()[1]
            for one, address in zip(sockets[1:], addresses[1:]):
                one.bind((address, port))
            return port
        except OSError:
            continue
        finally:
            for one in sockets:
                one.close()


class Running:
    """etcd, three Patronis with their servers, and pgbouncer."""

    def __init__(self):
        self.processes = {}
        addresses = list(NODES.values())
        self.port, self.rest = free_port(addresses), free_port(addresses)
        self.etcd, self.peer, self.bouncer = (free_port(["127.0.0.1"]) for _ in range(3))
        (WORK / "pgbouncer.ini").write_text(self.pgbouncer())
        (WORK / "users").write_text(f'"postgres" "{PASSWORD}"\n')
        for name, address in NODES.items():
            (WORK / f"{name}.yaml").write_text(yaml.safe_dump(self.patroni(name, address)))

    def pgbouncer(self):
        databases = "".join(f"{name} = host={address} port={self.port} dbname=postgres\n" for name, address in NODES.items())
        return f"""[databases]
{databases}[pgbouncer]
listen_addr = 127.0.0.1
listen_port = {self.bouncer}
unix_socket_dir =
auth_type = scram-sha-256
auth_file = {WORK}/users
pool_mode = transaction
default_pool_size = 4
server_login_retry = 1
query_wait_timeout = 5
"""

    def patroni(self, name, address):
        parameters = {"shared_preload_libraries": "pg_recommend", "hot_standby_feedback": "on", "fsync": "off", "max_connections": 60,
                      "shared_buffers": "64MB", "timezone": "UTC", "max_worker_processes": 16, "reco.training_threads": "1"}
        host = f"{address}:{self.port}"
        user = {"username": "postgres", "password": PASSWORD}
        return {
            "scope": "shop", "name": name, "etcd3": {"host": f"127.0.0.1:{self.etcd}"},
            "restapi": {"listen": f"{address}:{self.rest}", "connect_address": f"{address}:{self.rest}"},
            "bootstrap": {
                "dcs": {"ttl": 10, "loop_wait": 1, "retry_timeout": 3,
                        "postgresql": {"use_pg_rewind": True, "parameters": parameters}},
                "initdb": [{"encoding": "UTF8"}, {"locale": "C.UTF-8"}, "data-checksums"],
                "pg_hba": [f"host {database} all 127.0.0.0/8 scram-sha-256" for database in ("all", "replication")],
            },
            "postgresql": {
                "listen": host, "connect_address": host, "bin_dir": str(BIN), "data_dir": str(WORK / name), "pgpass": str(WORK / f"{name}.pgpass"),
                "authentication": {"superuser": user, "replication": user, "rewind": user},
                "parameters": {"unix_socket_directories": ""},
            },
        }

    def run(self, name, *command):
        # A session of its own, so that a node can be killed with all its processes.
        log = open(WORK / f"{name}.log", "ab")
        self.processes[name] = subprocess.Popen(command, stdout=log, stderr=log, stdin=subprocess.DEVNULL, start_new_session=True, cwd=WORK)

    def start(self):
        client, peer = f"http://127.0.0.1:{self.etcd}", f"http://127.0.0.1:{self.peer}"
        self.run("etcd", "/usr/bin/etcd", "--data-dir", str(WORK / "etcd"), "--listen-client-urls", client, "--advertise-client-urls", client,
                 "--listen-peer-urls", peer, "--initial-advertise-peer-urls", peer, "--initial-cluster", f"default={peer}")
        for name in NODES:
            self.start_node(name)
        self.run("pgbouncer", "/usr/sbin/pgbouncer", str(WORK / "pgbouncer.ini"))

    def start_node(self, name):
        self.run(name, "/usr/bin/python3", "/usr/bin/patroni", str(WORK / f"{name}.yaml"))

    def kill(self, name):
        """As if its machine were gone: Patroni, and the server with all its processes."""
        postmaster = int((WORK / name / "postmaster.pid").read_text().split()[0])
        os.killpg(self.processes.pop(name).pid, signal.SIGKILL)
        os.kill(postmaster, signal.SIGKILL)
        wait_for(f"the server of {name} is gone", lambda: self.role(name) is None)

    def role(self, name):
        """What its Patroni says that the node is; None if there is none."""
        try:
            with urllib.request.urlopen(f"http://{NODES[name]}:{self.rest}/patroni", timeout=5) as answer:
                found = yaml.safe_load(answer.read())
        except OSError:
            return None
        return found.get("role") if found.get("state") == "running" else found.get("state")

    def leader(self):
        return next((name for name in NODES if self.role(name) in ("master", "primary")), None)

    def stop(self):
        for name in ("pgbouncer", *NODES, "etcd"):
            process = self.processes.get(name)
            if process and process.poll() is None:
                process.terminate()
                try:
                    process.wait(30)
                except subprocess.TimeoutExpired:
                    os.killpg(process.pid, signal.SIGKILL)

    def connect(self, hosts, attributes="any", port=None, database="postgres"):
        connection = psycopg2.connect(host=",".join(hosts), port=port or self.port, dbname=database, user="postgres", password=PASSWORD,
                                      target_session_attrs=attributes, connect_timeout=5)
        connection.autocommit = True
        return connection

    def node(self, name):
        return self.connect([NODES[name]])

    def primary(self):
        return self.connect(list(NODES.values()), "read-write")

    def on_primary(self, *statements):
        """The rows of the last statement."""
        connection = self.primary()
        try:
            cursor = connection.cursor()
            for statement in statements:
                cursor.execute(statement)
            return cursor.fetchall() if cursor.description else None
        finally:
            connection.close()


def is_lost(code):
    """Whether an error says that the connection is gone, or that pgbouncer's own is."""
    return code is None or code.startswith(("57P", "08"))


class Client(threading.Thread):
    """Scores until it is stopped. When its connection is lost it connects anew, as an application does."""

    def __init__(self, running, number, stopped):
        super().__init__(daemon=True)
        self.running, self.number, self.stopped = running, number, stopped
        self.seen, self.by_node, self.failed = Counter(), Counter(), []

    def connect(self):
        names = list(NODES)
        first = self.number % len(names)
        names = names[first:] + names[:first]
        if self.number < CLIENTS // 2:
            connection = self.running.connect([NODES[name] for name in names])
            name = next(name for name in names if NODES[name] == connection.info.host)
            return name, connection
        # pgbouncer has a database for each node; the first that answers is taken.
        for name in names:
            try:
                connection = self.running.connect(["127.0.0.1"], port=self.running.bouncer, database=name)
                connection.cursor().execute("SELECT 1")
                return name, connection
            except psycopg2.Error:
                continue
        raise SystemExit("pgbouncer leads to no node")

    def run(self):
        node, connection = self.connect()
        while not self.stopped.is_set():
            try:
                cursor = connection.cursor()
                cursor.execute(SCORE)
                self.seen[cursor.fetchone()] += 1
                self.by_node[node] += 1
            except psycopg2.Error as error:
                self.failed.append((node, error.pgcode, str(error).strip()))
                connection.close()
                node, connection = self.connect()
        connection.close()


class Timer(threading.Thread):
    """Calls reco.run_due() on whichever node is the primary, as a timer of the system does."""

    def __init__(self, running, stopped):
        super().__init__(daemon=True)
        self.running, self.stopped = running, stopped

    def run(self):
        while not self.stopped.wait(0.5):
            try:
                self.running.on_primary("CALL reco.run_due()")
            except psycopg2.Error:
                continue


class Story:
    def __init__(self, running):
        self.running, self.stopped, self.states = running, threading.Event(), {}
        self.clients = [Client(running, n, self.stopped) for n in range(CLIENTS)]
        self.timer = Timer(running, self.stopped)

    def remember(self, what):
        """What every statement returns in this state of the catalog."""
        self.states[self.running.on_primary(SCORE)[0]] = what

    def promote(self, version):
        self.running.on_primary(f"SELECT reco.promote('launch', {version})")

    def wait_everywhere(self, version):
        """Every node that lives sees the version as the champion."""
        for name in self.running.processes.keys() & NODES.keys():
            connection = self.running.node(name)
            connection.cursor().execute(f"CALL reco.wait_for('launch', {version}, time_limit => '{DEADLINE} s')")
            connection.close()

    def scored(self):
        return sum(sum(client.seen.values()) for client in self.clients)

    def wait_for_scores(self, count):
        wanted = self.scored() + count
        wait_for(f"{count} statements more", lambda: self.scored() >= wanted)

    def prepare(self):
        # Check: one of three nodes leads, two follow it
        leader = wait_for("a leader", self.running.leader)
        wait_for("two standbys", lambda: sorted(self.running.role(name) or "" for name in NODES if name != leader) == ["replica"] * 2)
        self.running.on_primary(TABLES, TRAIN % 1, TRAIN % 2)
        self.remember("version 1")
        self.promote(2)
        self.remember("version 2")
        assert len(self.states) == 2, "the versions score alike"
        self.wait_everywhere(2)
        for thread in (*self.clients, self.timer):
            thread.start()
        self.wait_for_scores(100)

    def promotions(self, count):
        # Check: a promotion is seen by each node, wait_for says when, and each of its later statements is of the new version
        for n in range(count):
            version = 1 + n % 2
            self.promote(version)
            self.wait_everywhere(version)
            for name in self.running.processes.keys() & NODES.keys():
                connection = self.running.node(name)
                cursor = connection.cursor()
                cursor.execute(SCORE)
                assert self.states[cursor.fetchone()] == f"version {version}", name
                connection.close()
            self.wait_for_scores(20)

    def ab_tests(self, name):
        # Check: A/B tests begin and end under load
        for n in range(3):
            self.running.on_primary(f"SELECT reco.start_ab_test('{name} {n}', 'launch', '{ARMS}')")
            self.remember(f"A/B test {name} {n}")
            self.wait_for_scores(50)
            self.running.on_primary(f"SELECT reco.stop_ab_test('{name} {n}')")

    def refreshed(self):
        return self.running.on_primary("SELECT count(*) FROM reco.schedule_runs WHERE status = 'succeeded'")[0][0]

    def schedules(self):
        # Check: what is scheduled goes on, on whichever node leads
        before = self.refreshed()
        wait_for("a scheduled refresh", lambda: self.refreshed() > before)

    def lag(self):
        # Check: each standby tells how far behind it is
        for name in self.running.processes.keys() & NODES.keys():
            connection = self.running.node(name)
            cursor = connection.cursor()
            cursor.execute("SELECT value FROM reco.metrics WHERE name = 'reco_standby_lag_seconds'")
            assert cursor.fetchone()[0] < DEADLINE, name
            connection.close()

    def failover(self):
        # Check: the leader is killed, and another leads
        leader = self.running.leader()
        begun, scored = time.monotonic(), self.scored()
        self.running.kill(leader)
        wait_for("another leader", lambda: self.running.leader() not in (None, leader))
        self.running.on_primary("SELECT 1")
        say(f"{leader} was killed; {self.running.leader()} leads {time.monotonic() - begun:.0f} s later; "
            f"{self.scored() - scored} statements were scored meanwhile")
        return leader

    def back(self, name):
        # Check: the node that was killed comes back as a standby, and sees what was promoted meanwhile
        self.running.start_node(name)
        wait_for(f"{name} follows", lambda: self.running.role(name) == "replica")
        self.promote(2)
        self.wait_everywhere(2)

    def end(self, killed):
        # Check: no query failed on a node that lived, and each statement was of one version
        self.stopped.set()
        for client in self.clients:
            client.join()
        seen, by_node, failed = Counter(), Counter(), []
        for client in self.clients:
            seen += client.seen
            by_node += client.by_node
            failed += client.failed
        mixed = {state: count for state, count in seen.items() if state not in self.states}
        named = Counter()
        for state, count in seen.items():
            named[self.states.get(state, "?")] += count
        say(f"{sum(seen.values())} statements of 480 scores each: {dict(by_node)}, {dict(named)}")
        say(f"failed: {len(failed)}, as their connection to {killed} was lost" if failed else "failed: none")
        assert not mixed, f"two versions in one statement: {mixed}"
        assert all(node == killed and is_lost(code) for node, code, _ in failed), failed
        assert set(by_node) == set(NODES), "every node was scored on"


def main():
    shutil.rmtree(WORK / "etcd", ignore_errors=True)
    running = Running()
    try:
        running.start()
        story = Story(running)
        story.prepare()
        story.promotions(10)
        story.ab_tests("before")
        story.schedules()
        story.lag()
        killed = story.failover()
        story.promotions(6)
        story.ab_tests("after")
        story.schedules()
        story.lag()
        story.back(killed)
        story.end(killed)
    finally:
        running.stop()


main()
