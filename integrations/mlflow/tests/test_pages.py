"""MLflow's own server and UI on a catalog, in a browser."""

import json
import os
import subprocess

import requests
from conftest import wait_until
from mlflow import MlflowClient
from mlflow.exceptions import MlflowException
from selenium.webdriver.common.by import By

# The UI keeps whether it is for models or for agents; its own default is agents, whatever an experiment says.
MODELS = "?workflowType=machine_learning"


def shown(browser, server, path, *texts):
    """Opens a page and waits until it has each of the texts."""
    browser.get("about:blank")
    browser.get(f"{server.url}/#{path}{MODELS}")
    for text in texts:
        wait_until(lambda text=text: text in browser.find_element(By.TAG_NAME, "body").text, 60, f"{text!r} on {path}")


def failed_requests(browser):
    for entry in browser.get_log("performance"):
        message = json.loads(entry["message"])["message"]
        if message["method"] == "Network.responseReceived":
            response = message["params"]["response"]
            # The server has no logins: MLflow's UI asks for one, and takes 404 for an answer.
            if response["status"] >= 400 and not response["url"].endswith("/users/current"):
                yield response["status"], response["url"]


def points(browser, chart):
    """How many points a chart's line has."""
    return browser.execute_script(
        """
        const cards = [...document.querySelectorAll('.js-plotly-plot')];
        const named = trace => (trace.metricKey || trace.name || '').includes(arguments[0]);
        const card = cards.find(plot => (plot.data || []).some(named));
        return card ? Math.max(...card.data.map(trace => (trace.y || []).length)) : 0;
        """,
        chart,
    )


def test_the_page_of_an_experiment_lists_its_runs_with_the_search_closed(browser, server, launch):
    shown(browser, server, "/experiments", "launch", "broken")
    shown(browser, server, f"/experiments/{launch}", "v1 mlp", "v2 boosted", "v3 search", "public.launch_features")
    assert "trial 1" not in browser.find_element(By.TAG_NAME, "body").text
    assert list(failed_requests(browser)) == []


def test_the_page_of_a_run_shows_the_loss_of_every_epoch(browser, server, launch, named):
    run_id = named["v1 mlp"].info.run_id
    shown(browser, server, f"/experiments/{launch}/runs/{run_id}/model-metrics", "train_loss", "validation_loss")
    assert wait_until(lambda: points(browser, "train_loss") == 12, 60, "a curve of 12 epochs")
    assert list(failed_requests(browser)) == []


def test_the_page_of_a_run_shows_parameters_lineage_and_its_version(browser, server, launch, named):
    run_id = named["v1 mlp"].info.run_id
    shown(
        browser,
        server,
        f"/experiments/{launch}/runs/{run_id}",
        "reco.digest",
        "public.launch_features",
        "Registered models",
        "learning_rate",
    )
    shown(browser, server, f"/experiments/{launch}/runs/{run_id}/artifacts", "model.safetensors", "model_card.md")
    shown(
        browser, server, f"/experiments/{launch}/runs/{named['v3 search of mlp, 4 trials'].info.run_id}", "Child runs", "trial "
    )
    assert list(failed_requests(browser)) == []


def test_the_registry_shows_the_champion_and_the_card_of_a_version(browser, server):
    shown(browser, server, "/models", "launch", "champion")
    shown(browser, server, "/models/launch", "champion", "challenger", "Which new products are bought where next week.")
    shown(browser, server, "/models/launch/versions/2", "champion", "launch, version 2", "average_precision", "sales_4w")
    assert list(failed_requests(browser)) == []


def test_every_other_page_opens_too(browser, server, launch, named):
    first, second = named["v1 mlp"], named["v2 boosted_trees"]
    run = f"/experiments/{launch}/runs/{first.info.run_id}"
    compared = f'runs=["{first.info.run_id}","{second.info.run_id}"]&experiments=["{launch}"]'
    for path in [
        f"/experiments/{launch}/models", f"/experiments/{launch}/traces", f"/experiments/{launch}/evaluation-runs",
        f"/experiments/{launch}/datasets", f"/experiments/{launch}/judges", f"/experiments/{launch}/prompts",
        f"/experiments/{launch}/overview", f"/experiments/{launch}/chat-sessions", f"{run}/system-metrics", f"{run}/traces",
        "/prompts", "/compare-model-versions?name=launch&runs={}", "/settings", "/gateway", "/",
    ]:  # fmt: skip
        # What stands beside every page.
        shown(browser, server, path, "Settings")
    browser.get(f"{server.url}/#/compare-runs?{compared}")
    wait_until(lambda: "boosted_trees" in browser.find_element(By.TAG_NAME, "body").text, 60, "two runs compared")
    wait_until(lambda: browser.execute_script("return document.readyState") == "complete", 60, "the last page")
    assert [(status, url) for status, url in failed_requests(browser) if status >= 500] == []


ASKED = {
    "logged-models/search": {"experiment_ids": ["{launch}"]},
    "experiments/search-datasets": {"experiment_ids": ["{launch}"]},
    "runs/search": {"experiment_ids": ["{launch}"], "max_results": 5},
    "registered-models/search": None,
    "model-versions/search": None,
    "experiments/search?max_results=5": None,
}


def test_the_paths_that_the_ui_asks_for_are_answered(server, launch):
    for path, body in ASKED.items():
        url = f"{server.url}/ajax-api/2.0/mlflow/{path}"
        filled = body and json.loads(json.dumps(body).replace("{launch}", launch))
        answer = requests.post(url, json=filled, timeout=30) if body else requests.get(url, timeout=30)
        assert answer.status_code == 200, (path, answer.text)
    location = {"type": "MLFLOW_EXPERIMENT", "mlflow_experiment": {"experiment_id": launch}}
    answer = requests.post(f"{server.url}/api/3.0/mlflow/traces/search", json={"locations": [location]}, timeout=30)
    assert answer.status_code == 200 and answer.json().get("traces", []) == []


def test_a_write_over_http_is_refused_with_the_sql_that_does_it(server):
    client = MlflowClient(server.url)
    for write in (
        lambda: client.create_experiment("new"),
        lambda: client.set_registered_model_alias("launch", "champion", 1),
        lambda: client.delete_registered_model("launch"),
    ):
        try:
            write()
            raise AssertionError("it was not refused")
        except MlflowException as refused:
            assert "reco." in str(refused) and refused.error_code == "PERMISSION_DENIED"


def test_the_server_goes_on_when_the_database_was_restarted(server, launch):
    client = MlflowClient(server.url)
    before = len(client.search_runs([launch]))
    for action in ("stop", "start"):
        subprocess.run([os.environ["CLUSTER"], action, os.environ["CLUSTER_NAME"]], check=True, capture_output=True)
    assert len(client.search_runs([launch])) == before


def test_the_servers_log_has_no_errors(server):
    assert server.complaints() == []
