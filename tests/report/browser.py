"""The page of a model in Chromium: no complaint, no sideways scrolling, and the numbers that SQL gives.

Called by scripts/test-report with the folder for pages and screenshots."""

import base64
import os
import sys
from pathlib import Path

import psycopg
from selenium import webdriver
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.common.by import By

FOLDER = Path(sys.argv[1])
CHROMIUM = (
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync", "--hide-scrollbars",
)  # fmt: skip
ROLES = {"launch": "postgres", "quantity": "postgres", "as_shop": "shop"}


def connect(role):
    host, port, database = (os.environ[name] for name in ("PGHOST", "PGPORT", "PGDATABASE"))
    return psycopg.connect(host=host, port=port, dbname=database, user=role, autocommit=True)


def browser():
    options = webdriver.ChromeOptions()
    options.binary_location = "/usr/bin/chromium"
    for option in CHROMIUM:
        options.add_argument(option)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    return webdriver.Chrome(options=options, service=Service("/usr/bin/chromedriver"))


def look(driver, page, name):
    """Loads the page light and dark, wide and narrow, and on paper."""
    for scheme, width in (("light", 1100), ("dark", 1100), ("light", 400), ("dark", 400)):
        media = {"features": [{"name": "prefers-color-scheme", "value": scheme}]}
        driver.execute_cdp_cmd("Emulation.setEmulatedMedia", media)
        metrics = {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": False}
        driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)
        driver.get(page.as_uri())
        complaints = driver.get_log("browser")
        assert not complaints, complaints
        wide = driver.execute_script("return document.documentElement.scrollWidth")
        assert wide <= width, f"{name} is {wide} wide in a window of {width}"
        ground = driver.execute_script("return getComputedStyle(document.documentElement).backgroundColor")
        light = sum(int(part) for part in ground[4:-1].split(",")) > 380
        assert light == (scheme == "light"), f"{name} has the ground {ground} where it is {scheme}"
        shot = driver.execute_cdp_cmd("Page.captureScreenshot", {"captureBeyondViewport": True})["data"]
        (FOLDER / f"{name}-{scheme}-{width}.png").write_bytes(base64.b64decode(shot))
    assert len(driver.print_page()) > 10_000


def shown(driver, selector):
    return driver.find_element(By.CSS_SELECTOR, selector).get_attribute("textContent")


def main():
    FOLDER.mkdir(parents=True, exist_ok=True)
    driver = browser()
    try:
        for name, role in ROLES.items():
            model = "quantity" if name == "quantity" else "launch"
            page = FOLDER / f"{name}.html"
            with connect(role) as connection:
                page.write_text(connection.execute("SELECT reco.report(%s)", [model]).fetchone()[0])
            look(driver, page, name)
        driver.get((FOLDER / "launch.html").as_uri())
        with connect("postgres") as connection:
            measured = connection.execute(
                """SELECT e.auroc, e.average_precision, e.rows FROM reco.versions AS v, reco.models AS m,
                          reco.evaluate('launch', 'launch_features', from_week => (v.data ->> 'test_from')::date,
                                        to_week => (v.data ->> 'time_to')::date) AS e
                   WHERE v.model = 'launch' AND m.model = 'launch' AND v.version = m.champion"""
            ).fetchone()
            assert shown(driver, "[data-curve=auroc]") == f"{measured[0]:.3f}", measured
            assert shown(driver, "[data-curve=average-precision]") == f"{measured[1]:.3f}", measured
            assert f"On {measured[2]} test rows" in shown(driver, "#curves p"), measured
            steps = connection.execute("SELECT count(*) FROM reco.promotions WHERE model = 'launch'").fetchone()[0]
            status, reasons = connection.execute("SELECT status, jsonb_array_length(reasons) FROM reco.health WHERE model = 'launch'").fetchone()
            weeks = connection.execute(
                """SELECT week::text, round(auroc::numeric, 3)::text FROM reco.monitoring
                   WHERE model = 'launch' AND NOT is_region AND judged_at IS NOT NULL ORDER BY week"""
            ).fetchall()
            drifted = connection.execute(
                """SELECT count(*) FILTER (WHERE level = 'alarm'), max(psi) FILTER (WHERE column_name = 'price_1w')
                   FROM reco.drift WHERE model = 'launch' AND week = (SELECT max(week) FROM reco.drift WHERE model = 'launch')"""
            ).fetchone()
        assert len(driver.find_elements(By.CSS_SELECTOR, "#promotions tbody tr")) == steps
        # A column of the newest week was changed, which is an alarm with its reason and a bar of its colour.
        assert status == "alarm" and shown(driver, "[data-status]").startswith("alarm"), status
        assert len(driver.find_elements(By.CSS_SELECTOR, "#monitoring .reason")) == reasons > 0
        assert len(driver.find_elements(By.CSS_SELECTOR, "#drift .bar.alarm")) == drifted[0] > 0
        cells = [[cell.get_attribute("textContent") for cell in row.find_elements(By.CSS_SELECTOR, "th, td")]
                 for row in driver.find_elements(By.CSS_SELECTOR, "#judged-weeks tbody tr")]  # fmt: skip
        assert [(row[0], row[4]) for row in cells] == weeks and weeks, (cells, weeks)
        prices = [row for row in driver.find_elements(By.CSS_SELECTOR, "#drift tbody tr") if row.find_element(By.CSS_SELECTOR, "th").get_attribute("textContent") == "price_1w"]
        assert f"{drifted[1]:.3f}" in prices[0].get_attribute("textContent"), drifted
        # What the style sheet says is heard, though the policy allows nothing else.
        assert shown(driver, "figure#roc svg > title") == "ROC curve"
        line = driver.find_element(By.CSS_SELECTOR, "#roc .line.popularity")
        assert line.value_of_css_property("stroke-dasharray") != "none"
    finally:
        driver.quit()
    print(f"the pages are as they should be; screenshots: {FOLDER}")


main()
