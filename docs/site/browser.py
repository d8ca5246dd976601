"""The built site in Chromium: every page at two widths, light and dark. No complaint, nothing fetched from elsewhere, no
sideways scrolling, every list and link as it was meant.

Called by scripts/docs with the folder of the site and one for screenshots; pages that are named besides are looked at alone."""

import base64
import json
import sys
import threading
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from selenium import webdriver
from selenium.webdriver.chrome.service import Service

SITE, SHOTS = Path(sys.argv[1]).resolve(), Path(sys.argv[2]).resolve()
CHROMIUM = (
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync", "--hide-scrollbars",
)  # fmt: skip
WIDTHS = (1280, 400)
# Where the screenshots are of interest; all pages are looked at.
SHOWN = (
    "index.html", "tutorial.html", "operations.html", "security.html", "troubleshooting.html", "from_the_original_platform.html",
    "reference/index.html", "reference/scoring.html", "training.html", "for_dbas.html",
)  # fmt: skip
# What stands over the right edge of the window and is not inside something that scrolls by itself.
WIDER = """
const width = document.documentElement.clientWidth;
const scrolls = e => { for (let p = e.parentElement; p; p = p.parentElement)
    if (getComputedStyle(p).overflowX != 'visible' && p !== document.body && p !== document.documentElement) return true;
    return false; };
return [...document.querySelectorAll('.md-content *')]
    .filter(e => e.getBoundingClientRect().right > width + 1 && !scrolls(e)).map(e => e.outerHTML.slice(0, 120)).slice(0, 3);
"""
# A list or a table that Markdown took for a paragraph.
UNREAD = """
return [...document.querySelectorAll('.md-content p')].filter(p => /^\\s*(- |\\* |\\d+\\. |\\|)/m.test(p.innerText) &&
    !p.closest('.md-source-file')).map(p => p.innerText.slice(0, 120));
"""


class Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *_):
        pass


def server():
    """Serves the site; its address."""
    serving = ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=SITE))
    threading.Thread(target=serving.serve_forever, daemon=True).start()
    return f"http://127.0.0.1:{serving.server_port}/"


HOME = server()


def browser():
    options = webdriver.ChromeOptions()
    options.binary_location = "/usr/bin/chromium"
    for option in CHROMIUM:
        options.add_argument(option)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    return webdriver.Chrome(options=options, service=Service("/usr/bin/chromedriver"))


def fetched(driver):
    """The addresses that the page has asked for."""
    messages = (json.loads(entry["message"])["message"] for entry in driver.get_log("performance"))
    return [m["params"]["request"]["url"] for m in messages if m["method"] == "Network.requestWillBeSent"]


def see(driver, page, width, scheme, problems):
    metrics = {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": False}
    driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)
    media = {"features": [{"name": "prefers-color-scheme", "value": scheme}]}
    driver.execute_cdp_cmd("Emulation.setEmulatedMedia", media)
    driver.get(HOME + page)
    found = [f"the console says: {entry['message']}" for entry in driver.get_log("browser")]
    found += [f"fetches {url}" for url in fetched(driver) if not url.startswith((HOME, "data:", "blob:"))]
    wide = driver.execute_script("return document.documentElement.scrollWidth")
    if wide > width:
        found.append(f"is {wide} wide")
    found += [f"stands over the edge: {text}" for text in driver.execute_script(WIDER)]
    found += [f"is no list: {text}" for text in driver.execute_script(UNREAD)]
    ground = driver.execute_script("return getComputedStyle(document.body).backgroundColor")
    light = sum(int(float(part)) for part in ground.partition("(")[2].rstrip(")").split(",")[:3]) > 380
    if light != (scheme == "light"):
        found.append(f"has the ground {ground}")
    if not driver.execute_script("return document.querySelector('.md-content h1') !== null"):
        found.append("has no title")
    problems += [f"{page} at {width}, {scheme}: {text}" for text in found]
    if page in SHOWN:
        shot = driver.execute_cdp_cmd("Page.captureScreenshot", {"captureBeyondViewport": False})["data"]
        (SHOTS / f"{page.replace('/', '-').removesuffix('.html')}-{scheme}-{width}.png").write_bytes(base64.b64decode(shot))
    return len(found)


def search(driver, problems):
    """The search finds a function by its name."""
    driver.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})
    driver.get(HOME + "index.html?q=top_products")
    for _ in range(100):
        links = driver.execute_script("return [...document.querySelectorAll('.md-search-result__link')].map(a => a.href)")
        if any("reference/ranking.html" in link for link in links):
            return
        driver.execute_async_script("setTimeout(arguments[0], 100)")
    problems.append(f"the search for top_products finds {links}")


def main():
    SHOTS.mkdir(parents=True, exist_ok=True)
    pages = sys.argv[3:] or sorted(str(page.relative_to(SITE)) for page in SITE.rglob("*.html") if page.name != "404.html")
    problems, passed = [], 0
    driver = browser()
    try:
        for page in pages:
            for width in WIDTHS:
                for scheme in ("light", "dark") if page in SHOWN else ("light",):
                    passed += not see(driver, page, width, scheme, problems)
        before = len(problems)
        search(driver, problems)
        passed += len(problems) == before
    finally:
        driver.quit()
    for problem in problems:
        print(problem)
    print(f"{len(pages)} pages were looked at; screenshots: {SHOTS}")
    print(f"views: {passed} passed, {len(problems)} failed")
    sys.exit(bool(problems))


main()
