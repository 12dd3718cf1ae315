"""Reports, the analyst's page and a hospital's in Chromium, headless: `make test-browser` does.

A run in this process leaves a report; a second one is made of the same record with names and files
that mean harm. Chromium shows both, and says what it shows, what it refused and what it asked for.
Screenshots go to the folder that is named as the first argument.
"""

import base64
import csv
import io
import json
import re
import shutil
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from axe import serious
from browser_deployment import watched_deployment
from browser_node import look_at_node
from browser_simulation import look_at_simulation
from browser_watch import look_at_runs
from selenium import webdriver
from selenium.webdriver.chrome.options import Options
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.common.by import By

from flame_flwr.results.print_pdf import print_pdf
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
        wide = "\n".join(",".join(line) for line in wide_table(result[0]))
        weights = json.dumps({"weights": list(result)})
        return [table.getvalue(), picture(), svg, text, weights, wide]


def wide_table(number):
    """Return a table of twenty columns, whose names and numbers are as long as they may be."""
    names = [f"column_{i}_of_a_long_name" for i in range(20)]
    return [names, *([f"{-number / 7**i:.17g}" for i in range(20)] for _ in range(3))]


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
            for page in (run, hostile):
                narrow(browser, page, target / f"{page.stem}-390.png")
                whole(browser, page, target)
                printed(browser, page, target / f"{page.stem}-print.png")
            folded(browser, hostile)
            print_pdf(run, target / "printed.pdf")
            assert len(MEDIA.findall((target / "printed.pdf").read_bytes())) >= 3
            look_at_runs(browser, target)
            with watched_deployment(browser, target):
                look_at_node(browser, target)
                look_at_simulation(browser, target)
        finally:
            browser.quit()
    print(f"report and pages are shown as they should be; screenshots are in {target}")


def reports(folder):
    """Return the report of a run, and one of the same record with names that mean harm."""
    names = ["table.csv", "plot.png", "drawing.svg", "text.txt", "weights.json", "wide.csv"]
    StarModelTester(
        [1.0, 2.0, 4.0],
        Fit,
        Average,
        "s3",
        simple_analysis=False,
        multiple_results=True,
        output_type=["str", "bytes", "str", "str", "str", "str"],
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
        "Results",
        "Hospitals and patients",
        "How it was computed",
        "What was hidden, and why",
        "Rounds and metrics",
        "Settings of the study",
        "What left each node",
    ], headings
    for expected in (*names, "average", "distance", "has of its own said so", "8 rounds"):
        assert expected in text, expected
    for expected in (HARM, "</pre></body><h1>not a heading</h1>", "=cmd|' /C calc'!A0", "weights"):
        assert expected in text, expected
    assert "array of 2 numbers" in text
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
                By.XPATH, f"//*[@id='{heading}']/following::tbody[1]/tr"
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


def narrow(browser, page, screenshot):
    """See that a telephone's screen has no need to scroll to the side, also of what is folded."""
    sized(browser, 390)
    browser.get(page.as_uri())
    wide = "return document.documentElement.scrollWidth - document.documentElement.clientWidth"
    assert browser.execute_script(wide) <= 1
    for each in browser.find_elements(By.CSS_SELECTOR, "pre:not(.wider)"):
        # a text's table that is wrapped has its figures below other columns' heads
        assert each.value_of_css_property("white-space-collapse") == "preserve"
        assert each.value_of_css_property("text-wrap-mode") == "nowrap"
    assert browser.save_screenshot(str(screenshot))
    usable(browser, screenshot.parent)
    for each in browser.find_elements(By.TAG_NAME, "summary"):
        each.click()
    assert browser.execute_script(wide) <= 1
    usable(browser, screenshot.parent)


def usable(browser, folder):
    """See that axe-core finds nothing serious, as tables that scroll and no key reaches."""
    found = serious(browser, folder / "axe")
    assert not found, found


CUT = """
const wide = document.documentElement.clientWidth;
return [...document.querySelectorAll("body *")].filter(each => {
  const box = each.getBoundingClientRect(), style = getComputedStyle(each);
  const hidden = each.scrollWidth > each.clientWidth + 1 && style.overflowX !== "visible";
  const folded = style.overflowY !== "visible" && each.scrollHeight > each.clientHeight + 1;
  return box.width && (box.right > wide + 1 || hidden || (arguments[0] && folded));
}).map(each => each.outerHTML.slice(0, 200))
"""
"""What is beyond the window's edge, or to be seen only by scrolling within it."""


def whole(browser, page, target):
    """See that nothing is cut in a window of 1,200 pixels, and that the contents lead on."""
    sized(browser, 1200)
    browser.get(page.as_uri())
    for each in browser.find_elements(By.TAG_NAME, "summary"):
        each.click()
    assert browser.execute_script(CUT, False) == []
    usable(browser, target)
    for link in browser.find_elements(By.CSS_SELECTOR, "nav a"):
        name = link.get_attribute("href").partition("#")[2]
        link.click()
        heading = browser.find_element(By.ID, name)
        place = "return arguments[0].getBoundingClientRect().top"
        ends = time.monotonic() + 10
        while not -1 <= browser.execute_script(place, heading) < 900:
            assert time.monotonic() < ends, name
            time.sleep(0.05)


def printed(browser, page, screenshot):
    """See that nothing is cut on A4, nor folded up, and that there is a PDF of all of it."""
    browser.get(page.as_uri())
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": "print"})
    sized(browser, 688)  # the 182 mm that the margins leave of A4, at 96 pixels an inch
    try:
        assert browser.execute_script(CUT, True) == []
        shown = "return [...document.querySelectorAll('details > :not(summary)')]"
        heights = browser.execute_script(f"{shown}.map(each => each.offsetHeight)")
        assert heights
        assert all(height > 0 for height in heights)
        height = browser.execute_script("return document.documentElement.scrollHeight")
        sized(browser, 688, min(height + 50, 6000))
        assert browser.save_screenshot(str(screenshot))
    finally:
        browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": ""})
        browser.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})
    made = browser.execute_cdp_cmd("Page.printToPDF", {"preferCSSPageSize": True})
    pdf = base64.b64decode(made["data"])
    sizes = {tuple(map(float, found)) for found in MEDIA.findall(pdf)}
    assert sizes
    assert all(abs(x - 595) < 2 and abs(y - 842) < 2 for x, y in sizes), sizes
    screenshot.with_suffix(".pdf").write_bytes(pdf)


MEDIA = re.compile(rb"/MediaBox \[0 0 ([\d.]+) ([\d.]+)\]")


def sized(browser, width, height=900):
    """Give the page a window of this width inside: Chromium's own is never so narrow."""
    size = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": False}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)


def folded(browser, page):
    """See that an error's traceback is below it, folded up, and that its lines are."""
    browser.get(page.as_uri())
    browser.find_element(By.CSS_SELECTOR, "p.error + details summary").click()
    error = browser.find_element(By.CSS_SELECTOR, "p.error")
    assert error.text == f"NodeFailedError: {HARM}\nMend it there.", error.text
    trace = browser.find_element(By.CSS_SELECTOR, "p.error + details pre")
    assert trace.text == TRACE, trace.text


if __name__ == "__main__":
    main()
