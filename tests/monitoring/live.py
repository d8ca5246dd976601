"""Prometheus, exporter and Alertmanager on a live server. scripts/test-monitoring starts this:

    live.py FOLDER_OF_PROGRAMS WORK_FOLDER PSQL

Every check is a function whose first line says `# Check: …`. The rules are the repository's, without the waiting (`for`) that
keeps short disturbances away, so that an alert may be expected within two scrapes."""

import http.server
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.parse
import urllib.request
from pathlib import Path

PROGRAMS, WORK, PSQL = Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3]
REPO = Path(__file__).resolve().parent.parent.parent
MONITORING = REPO / "monitoring"
SCRAPE = 2  # seconds
DEADLINE = 60  # seconds that a condition may take to come true

SETUP = """
CREATE EXTENSION pg_recommend;
CREATE ROLE exporter LOGIN IN ROLE reco_monitor;
CREATE TABLE rows AS
SELECT p::bigint AS product_id, 'r' || r AS region, date '2024-01-01' + 7 * w AS week, (p % 7)::real AS taste, ((p + w) % 5)::real AS season,
       CASE WHEN w < 24 THEN (p * 7919 + r * 104729 + w * 1299709) % 100 < 10 + 10 * (p % 7) END AS bought
FROM generate_series(1, 60) AS p, generate_series(0, 3) AS r, generate_series(0, 24) AS w;
ALTER TABLE rows ADD PRIMARY KEY (product_id, region, week);
ANALYZE rows;
CALL reco.train('launch', 'rows', 'bought', params => '{"epochs": 5, "hidden": [8]}', keys => '{product_id,region}', time_column => 'week');
CALL reco.train('launch', 'rows', 'bought', params => '{"epochs": 5, "hidden": [8], "seed": 3}', keys => '{product_id,region}', time_column => 'week');
SELECT reco.start_ab_test('halves', 'launch', '[{"arm": "old", "version": 1, "share": 0.5}, {"arm": "new", "version": 2, "share": 0.5}]');
SELECT reco.log_recommendations(ARRAY(SELECT p::bigint FROM generate_series(1, 60) AS p), ARRAY(SELECT 'r1' FROM generate_series(1, 60)), 'launch');
CREATE TABLE known AS SELECT current_date AS until;
SELECT reco.create_feature_view('weekly', $$SELECT w::date AS week, p::bigint AS product_id, 'r1' COLLATE "C" AS region, true AS bought
    FROM generate_series($1::timestamp, $2::timestamp, '7 days') AS w, generate_series(1, 3) AS p$$,
    '{product_id,region}', label => 'bought', available => $$SELECT current_date - 60, until FROM known$$);
SELECT reco.schedule_refresh('weekly', '0 0 1 1 *', retries => 0);
UPDATE reco.schedule SET next_run = now();
CALL reco.run_due(wait => true);
-- The outcome of the newest week is there, and a week is new. That the rows are of another year says nothing here.
UPDATE rows SET bought = (product_id * 7919 + 24 * 1299709) % 100 < 10 + 10 * taste WHERE bought IS NULL;
INSERT INTO rows SELECT product_id, region, week + 7, taste, season, NULL FROM rows WHERE week = (SELECT max(week) FROM rows);
SELECT reco.set_monitoring('launch', '{"features_weeks_warning": null, "features_weeks_alarm": null}');
CALL reco.monitor('launch');
"""
SCORE = "SELECT count(reco.recommend(p, 'r' || r)) FROM generate_series(1::bigint, 60) AS p, generate_series(0, 3) AS r"


def say(text):
    print(f"    {text}", flush=True)


def sql(text, fails=False):
    command = [PSQL, "-XAtq", "-v", "ON_ERROR_STOP=1"]
    done = subprocess.run(command, input=text, capture_output=True, text=True)
    if (done.returncode != 0) != fails:
        raise SystemExit(f"{text}\n{done.stdout}{done.stderr}")
    return done.stdout.strip()


def wait_for(what, condition):
    until = time.monotonic() + DEADLINE
    while True:
        found = condition()
        if found:
            return found
        if time.monotonic() > until:
            raise SystemExit(f"waited {DEADLINE} s in vain: {what}")
        time.sleep(0.1)


def free_ports(count):
    sockets = [socket.socket() for _ in range(count)]
    for one in sockets:
        one.bind(("127.0.0.1", 0))
    ports = [one.getsockname()[1] for one in sockets]
    for one in sockets:
        one.close()
    return ports


def get(url):
    try:
        with urllib.request.urlopen(url, timeout=10) as answer:
            return answer.read().decode()
    except OSError:
        return ""


class Receiver(http.server.BaseHTTPRequestHandler):
    """What Alertmanager sends its alerts to."""

    told = {}

    def do_POST(self):
        sent = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        for alert in sent["alerts"]:
            self.told.setdefault(alert["labels"]["alertname"], []).append((self.path, alert["status"]))
        self.send_response(200)
        self.end_headers()

    def log_message(self, *_):
        pass


class Running:
    """The three programs, with the files that they were started with."""

    def __init__(self):
        self.processes = []
        shutil.rmtree(WORK, ignore_errors=True)
        WORK.mkdir(parents=True)
        self.exporter, self.prometheus, self.manager, hook = free_ports(4)
        self.hook = http.server.ThreadingHTTPServer(("127.0.0.1", hook), Receiver)
        threading.Thread(target=self.hook.serve_forever, daemon=True).start()
        shutil.copy(MONITORING / "postgres_exporter/queries.yaml", WORK)
        for rules in ("recording", "alerting"):
            text = (MONITORING / f"prometheus/{rules}.rules.yaml").read_text()
            text = re.sub(r"\n +for: \w+(?=\n)", "", text).replace("interval: 30s", f"interval: {SCRAPE}s")
            (WORK / f"{rules}.rules.yaml").write_text(text)
        config = (MONITORING / "prometheus/prometheus.yaml").read_text().replace("_interval: 30s", f"_interval: {SCRAPE}s")
        config = config.replace("scrape_timeout: 10s", f"scrape_timeout: {SCRAPE}s")
        config = config.replace(":9093", f":{self.manager}").replace(":9187", f":{self.exporter}")
        (WORK / "prometheus.yaml").write_text(config)
        routes = (MONITORING / "alertmanager/alertmanager.yaml").read_text().replace(":9094", f":{hook}")
        (WORK / "alertmanager.yaml").write_text(routes.replace("group_wait: 30s", "group_wait: 0s").replace("group_interval: 5m", "group_interval: 1s"))

    def start(self):
        # Of what the role may read alone: the exporter's own metrics are another role's.
        self.run("prometheus-postgres-exporter", f"--web.listen-address=127.0.0.1:{self.exporter}", f"--extend.query-path={WORK}/queries.yaml",
                 "--disable-default-metrics", "--disable-settings-metrics", "--no-collector.database", "--no-collector.bgwriter")
        self.run("prometheus-alertmanager", f"--config.file={WORK}/alertmanager.yaml", f"--storage.path={WORK}/alerts",
                 f"--web.listen-address=127.0.0.1:{self.manager}", "--cluster.listen-address=")
        self.run("prometheus", f"--config.file={WORK}/prometheus.yaml", f"--storage.tsdb.path={WORK}/tsdb",
                 f"--web.listen-address=127.0.0.1:{self.prometheus}")
        for port, path in ((self.exporter, "metrics"), (self.manager, "-/ready"), (self.prometheus, "-/ready")):
            wait_for(f"port {port} answers", lambda: get(f"http://127.0.0.1:{port}/{path}"))

    def run(self, program, *arguments):
        name = f"user=exporter host={os.environ['PGHOST']} port={os.environ['PGPORT']} dbname={os.environ['PGDATABASE']} sslmode=disable"
        with open(WORK / f"{program}.log", "w") as log:
            self.processes.append(subprocess.Popen([PROGRAMS / program, *arguments], stdout=log, stderr=log,
                                                   env={**os.environ, "DATA_SOURCE_NAME": name}))

    def stop(self):
        for process in self.processes:
            process.send_signal(signal.SIGTERM)
        for process in self.processes:
            process.wait(timeout=30)
        self.hook.shutdown()

    def query(self, expression):
        return [(result["metric"], float(result["value"][1])) for result in self.results(expression)]

    def times(self, selector):
        """When the series had samples in the last five minutes."""
        return [at for result in self.results(f"{selector}[5m]") for at, _ in result["values"]]

    def results(self, expression):
        answer = json.loads(get(f"http://127.0.0.1:{self.prometheus}/api/v1/query?query={urllib.parse.quote(expression)}") or "{}")
        if answer.get("status") != "success":
            raise SystemExit(f"{expression}: {answer}")
        return answer["data"]["result"]


def defined():
    """The names of the metrics, out of the installed extension."""
    return sql("SELECT name FROM reco.metric_definitions ORDER BY 1").split("\n")


def dashboard_expressions():
    def inside(value):
        if isinstance(value, dict):
            if "expr" in value:
                yield value["expr"]
            for inner in value.values():
                yield from inside(inner)
        elif isinstance(value, list):
            for inner in value:
                yield from inside(inner)

    text = json.loads((MONITORING / "grafana/pg_recommend.json").read_text())
    return [expr.replace("$datname", ".*").replace("$model", ".*") for expr in inside(text)]


def the_exporter_shows_every_metric(running):
    # Check: each defined metric that has a sample here is in Prometheus, with the value that SQL says.
    regressions = ("reco_test_error_rmse", "reco_test_error_mae", "reco_monitored_error_rmse", "reco_monitored_error_mae")
    for name in defined():
        if name not in regressions:
            wait_for(f"{name} is scraped", lambda: running.query(name))
    # NaN is what the exporter makes of NULL.
    nan = [labels for labels, value in running.query('{__name__=~"reco_.+", __name__!="reco_drift_unseen_share"}') if value != value and ":" not in labels["__name__"]]
    assert not nan, nan
    assert running.query("reco_champion_version") == [(running.query("reco_champion_version")[0][0], 1.0)]
    auroc = float(sql("SELECT test_auroc FROM reco.versions WHERE version = 2"))
    assert abs(running.query('reco_test_auroc{version="2"}')[0][1] - auroc) < 1e-9
    assert running.query("pg_exporter_last_scrape_error")[0][1] == 0


def counters_are_those_of_sql(running):
    # Check: after so many statements Prometheus has so many calls and rows.
    rows = lambda: sum(value for _, value in running.query('reco_scoring_rows_total{model="launch"}'))
    before = wait_for("rows are scraped", rows)
    for _ in range(5):
        sql(SCORE)
    wait_for("the rows arrive", lambda: rows() >= before + 5 * 240)


def every_expression_returns_data(running):
    # Check: each expression of the dashboard and each recording rule has a result.
    sql("SELECT reco.recommend(1, 'r1', 'nobody')", fails=True)
    rules = re.findall(r"record: (\S+)", (MONITORING / "prometheus/recording.rules.yaml").read_text())
    found = 0
    for expression in [*rules, *dashboard_expressions()]:
        def has_data(expression=expression):
            if "nobody" not in expression:
                sql(SCORE)
            return [value for _, value in running.query(expression) if value == value]
        wait_for(f"{expression} has data", has_data)
        found += 1
    say(f"{found} expressions have data")


def no_alert_without_a_reason(running):
    # Check: of a healthy server there is none but what the data of this test deserve.
    quiet = {"RecoMetricsMissing", "RecoMetricVanished", "RecoExporterError", "RecoNoChampion", "RecoTrainingFailed", "RecoRefreshFailed",
             "RecoCountersFull", "RecoScoringSlow", "RecoFeaturesStale", "RecoDrift", "RecoModelAlarm", "RecoMonitoringOld", "RecoScheduleFailed",
             "RecoSchedulesNotCalled"}
    firing = {labels["alertname"] for labels, _ in running.query('ALERTS{alertstate="firing"}')}
    assert not firing & quiet, firing


def raised(running, name, cause):
    """Does something, and waits for the alert in the receiver; says how many scrapes there were until it was raised."""
    alert = f'ALERTS{{alertname="{name}", alertstate="firing"}}'
    # On a machine that is too busy to be scraped in time, it may have been raised before with reason.
    wait_for(f"{name} is not raised", lambda: not running.query(alert))
    Receiver.told.pop(name, None)
    begun = time.time()
    cause()
    done = time.time()
    wait_for(f"{name} is raised", lambda: running.query(alert))
    fired = min(at for at in running.times(alert) if at >= begun)
    scrapes = sum(done < at <= fired for at in running.times('up{job="pg_recommend"}'))
    wait_for(f"{name} is told", lambda: name in Receiver.told)
    say(f"{name} after {scrapes} scrapes, told to {Receiver.told[name][0][0]}")
    return scrapes


def a_failed_training_raises_its_alert(running):
    # Check: the alert is there two scrapes and an evaluation later.
    failing = "CALL reco.train('launch', 'rows', 'bought', params => '{\"device\": \"cuda:63\"}', keys => '{product_id,region}', time_column => 'week')"
    raised(running, "RecoTrainingFailed", lambda: sql(failing, fails=True))


def calls_that_find_no_version_raise_theirs(running):
    # Check: also of errors that have no version.
    def ask():
        for _ in range(3):
            sql("SELECT reco.recommend(1, 'r1', 'nobody')", fails=True)
    if "RecoScoringWithoutVersion" not in Receiver.told:
        raised(running, "RecoScoringWithoutVersion", ask)


def calls_that_fail_raise_theirs(running):
    # Check: errors of a version.
    def fail():
        for _ in range(60):
            sql("SELECT 1 / (reco.recommend(1, 'r1') * 0)::integer", fails=True)
    raised(running, "RecoScoringErrors", fail)


def a_drift_raises_its_alert(running):
    # Check: a week with other values than training had, once it is monitored; nothing of the columns that stayed as they were.
    sql("INSERT INTO rows SELECT product_id, region, week + 7, taste + 20, season, NULL FROM rows WHERE week = (SELECT max(week) FROM rows)")
    scrapes = raised(running, "RecoDrift", lambda: sql("CALL reco.monitor('launch')"))
    assert scrapes <= 2, scrapes
    wait_for("the alarm of its model is told", lambda: "RecoModelAlarm" in Receiver.told)
    columns = {labels["column"] for labels, _ in running.query('ALERTS{alertname="RecoDrift", alertstate="firing"}')}
    assert columns == {"taste"}, columns


def a_schedule_that_fails_raises_its_alert(running):
    # Check: the attempt fails and there are no retries.
    sql("ALTER TABLE known RENAME TO forgotten; UPDATE reco.schedule SET next_run = now();")
    scrapes = raised(running, "RecoScheduleFailed", lambda: sql("CALL reco.run_due(wait => true)"))
    assert scrapes <= 2, scrapes


def schedules_that_nothing_calls_raise_theirs(running):
    # Check: the last call is an hour ago.
    raised(running, "RecoSchedulesNotCalled", lambda: sql("UPDATE reco.schedule_call SET called_at = called_at - interval '1 hour'"))


def a_broken_query_raises_alerts_while_the_exporter_is_up(running):
    # Check: what the role may no longer read is missed, and the exporter says so.
    def take_away():
        sql("REVOKE SELECT ON reco.metrics FROM reco_monitor")
    raised(running, "RecoMetricsMissing", take_away)
    wait_for("its error is told", lambda: running.query('ALERTS{alertname="RecoExporterError", alertstate="firing"}'))
    wait_for("each metric is missed", lambda: len(running.query('ALERTS{alertname="RecoMetricVanished", alertstate="firing"}')) > 20)
    assert running.query('up{job="pg_recommend"}')[0][1] == 1
    sql("GRANT SELECT ON reco.metrics TO reco_monitor")
    wait_for("it is over", lambda: not running.query('ALERTS{alertname="RecoMetricsMissing", alertstate="firing"}'))
    wait_for("that is told", lambda: ("/on-call", "resolved") in Receiver.told["RecoMetricsMissing"])


def main():
    sql(SETUP)
    for _ in range(3):
        sql(SCORE)
    running = Running()
    try:
        running.start()
        for check in (the_exporter_shows_every_metric, counters_are_those_of_sql, no_alert_without_a_reason, every_expression_returns_data,
                      a_failed_training_raises_its_alert, calls_that_find_no_version_raise_theirs, calls_that_fail_raise_theirs,
                      a_drift_raises_its_alert, a_schedule_that_fails_raises_its_alert, schedules_that_nothing_calls_raise_theirs,
                      a_broken_query_raises_alerts_while_the_exporter_is_up):
            check(running)
            say(f"{check.__name__} ok")
        if "KEEP" in os.environ:
            print(f"http://127.0.0.1:{running.prometheus}", flush=True)
            sys.stdin.read()
    finally:
        running.stop()


main()
