"""The report in a real browser: `make test-browser` runs this with Debian's Chromium, headless.

A run in this process leaves a report; a second one is made of the same record with names and files
that mean harm. Chromium shows both, and says what it shows, what it refused and what it asked for.
Screenshots go to the folder that is named as the first argument.
"""

import csv
import io
import json
import shutil
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from selenium import webdriver
from selenium.webdriver.chrome.options import Options
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.common.by import By

from flame_flwr.results.report import render
from flame_flwr.star import StarAggregator, StarAnalyzer, StarModelTester

HARM = "<script>document.title='harm'</script><img src=x onerror=\"document.title='harm'\">"
NAMES = ["hospital-a", f"b {HARM}", "_c"]
LONG = "a_metric_" + "x" * 91
TRACE = "Traceback (most recent call last):\n  File " + "x" * 500 + f"\nValueError: {HARM}"


class Fit(StarAnalyzer):
    """Steps of gradient descent towards the node's own mean."""

    def analysis_method(self, data, aggregator_results):
        weights = np.zeros(2) if aggregator_results is None else aggregator_results
        target = np.array([data, 2.0 * data])
        loss = float(np.sum((weights - target) ** 2))
        self.flame.report_metrics(loss=loss, accuracy=1 / (1 + loss))
        return weights + 0.4 * (target - weights)

    def evaluation_method(self, data, result):
        return {"distance": float(np.abs(result - data).max())}


class Average(StarAggregator):
    def aggregation_method(self, analysis_results):
        return np.mean(analysis_results, axis=0)

    def has_converged(self, result, last_result):
        return self.num_iterations >= 7

    def final_method(self, result, evaluations):
        table = io.StringIO()
        csv.writer(table).writerows(
            [["parameter", "value"], [HARM, result[0]], ["=cmd|' /C calc'!A0", result[1]]]
        )
        svg = (
            '<svg xmlns="http://www.w3.org/2000/svg" width="40" height="40">'
            "<script>document.title='harm'</script>"
            '<rect width="40" height="40" fill="teal"/></svg>'
        )
        text = f"{HARM}\n</pre></body><h1>not a heading</h1>"
        return [table.getvalue(), picture(), svg, text, json.dumps({"weights": list(result)})]


def picture():
    from matplotlib.figure import Figure

    figure = Figure(figsize=(3, 2))
    figure.subplots().bar(["a", "b"], [1, 2])
    target = io.BytesIO()
    figure.savefig(target, format="png")
    return target.getvalue()


def main():
    target = Path(sys.argv[1])
    target.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="flame-flwr-browser-") as folder:
        run, hostile = reports(Path(folder))
        browser = started()
        try:
            look(browser, run, target / "report.png", names=["node-0", "node-1", "node-2"])
            look(browser, hostile, target / "hostile.png", names=NAMES)
            narrow(browser, run)
            narrow(browser, hostile)
            folded(browser)
        finally:
            browser.quit()
    print(f"the report is shown as it should be; screenshots are in {target}")


def reports(folder):
    """Return the report of a run, and one of the same record with names that mean harm."""
    names = ["table.csv", "plot.png", "drawing.svg", "text.txt", "weights.json"]
    StarModelTester(
        [1.0, 2.0, 4.0],
        Fit,
        Average,
        "s3",
        simple_analysis=False,
        multiple_results=True,
        output_type=["str", "bytes", "str", "str", "str"],
        filename=[folder / name for name in names],
        report="on",
        quiet=True,
    )
    text = (folder / "run.json").read_text()
    for i, name in enumerate(NAMES):
        text = text.replace(f'"node-{i}"', json.dumps(name))
    about = json.loads(text.replace('"loss"', json.dumps(LONG)))
    about["error"] = f"NodeFailedError: {HARM}\nMend it there.\n{TRACE}"
    about["sizes"][NAMES[0]] = HARM
    other = folder / "hostile.html"
    other.write_bytes(render(about, folder, [folder / name for name in names]))
    return folder / "report.html", other


def started():
    """Start Chromium; it writes down every request that a page makes."""
    options = Options()
    for argument in ("--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"):
        options.add_argument(argument)
    options.binary_location = shutil.which("chromium") or "chromium"
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    browser = webdriver.Chrome(options=options, service=Service("/usr/bin/chromedriver"))
    browser.set_page_load_timeout(60)
    browser.set_script_timeout(30)
    return browser


def look(browser, page, screenshot, names):
    """Open a report, and see that it shows the run and does nothing else."""
    browser.set_window_size(1100, 900)
    browser.get(page.as_uri())
    assert browser.title.startswith("Report of Fit"), browser.title
    text = browser.find_element(By.TAG_NAME, "body").text
    headings = [each.text for each in browser.find_elements(By.TAG_NAME, "h2")]
    assert headings == [
        "Settings of the study",
        "Nodes",
        "Convergence",
        "Metrics per node",
        "Results",
        "What left each node",
    ], headings
    for expected in (*names, "Average", "distance", "has_converged returned True", "8 rounds"):
        assert expected in text, expected
    for expected in (HARM, "</pre></body><h1>not a heading</h1>", "=cmd|' /C calc'!A0", "weights"):
        assert expected in text, expected
    assert "ndarray float64 (2,)" in text
    assert len(browser.find_elements(By.TAG_NAME, "h1")) == 1
    for tag in ("script", "iframe", "object", "link", "form"):
        assert not browser.find_elements(By.TAG_NAME, tag), tag
    images = browser.find_elements(By.TAG_NAME, "img")
    assert len(images) == 5, len(images)  # convergence, two metrics, two result files
    for image in images:
        assert image.get_attribute("src").startswith("data:image/")
        assert browser.execute_script("return arguments[0].naturalWidth", image) > 0
    tables(browser, names)
    quiet(browser, page)
    height = browser.execute_script("return document.documentElement.scrollHeight")
    browser.set_window_size(1100, min(height + 150, 6000))
    time.sleep(0.3)
    assert browser.save_screenshot(str(screenshot))
    assert browser.title.startswith("Report of Fit"), browser.title


def tables(browser, names):
    """See that the nodes, their metrics and what left them stand in their tables."""
    shown = {
        heading: [
            [cell.text for cell in row.find_elements(By.TAG_NAME, "td")]
            for row in browser.find_elements(
                By.XPATH, f"//h2[@id='{heading}']/following::tbody[1]/tr"
            )
        ]
        for heading in ("nodes", "convergence", "metrics", "left")
    }
    assert [row[0] for row in shown["nodes"]] == names
    assert all(row[2] == "8" for row in shown["nodes"])
    assert len(shown["convergence"]) == 8
    assert [row[0] for row in shown["metrics"]] == names
    assert {row[0] for row in shown["left"]} == set(names)
    assert ["8", "1 to 8"] in [row[2:4] for row in shown["left"]]


def quiet(browser, page):
    """See that no script ran, nothing was refused by the policy, and nothing was asked for."""
    said = [entry["message"] for entry in browser.get_log("browser")]
    assert not said, said
    events = [json.loads(entry["message"])["message"] for entry in browser.get_log("performance")]
    asked = {
        event["params"]["request"]["url"]
        for event in events
        if event["method"] == "Network.requestWillBeSent"
    }
    assert {url for url in asked if not url.startswith("data:")} == {page.as_uri()}, asked


def narrow(browser, page):
    """See that a telephone's screen has no need to scroll to the side, also of what is folded."""
    browser.set_window_size(500, 900)
    browser.get(page.as_uri())
    wide = "return document.documentElement.scrollWidth - document.documentElement.clientWidth"
    assert browser.execute_script(wide) <= 1
    for each in browser.find_elements(By.TAG_NAME, "summary"):
        each.click()
    assert browser.execute_script(wide) <= 1


def folded(browser):
    """See that of the page that is open, an error's traceback is below it, and its lines are."""
    error = browser.find_element(By.CSS_SELECTOR, "p.error")
    assert error.text == f"NodeFailedError: {HARM}\nMend it there.", error.text
    trace = browser.find_element(By.CSS_SELECTOR, "p.error + details pre")
    assert trace.text == TRACE, trace.text


if __name__ == "__main__":
    main()
