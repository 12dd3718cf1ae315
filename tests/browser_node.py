"""A hospital's page in a real browser: `tests/browser.py` calls this.

Names that mean harm, a keyboard and nothing else, a phone, light and dark.
"""

import tempfile
from pathlib import Path

from axe import serious
from browser_watch import only_its_own, text, wait
from hospital_node import HARM, line, write_node
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys

from flame_flwr.node.page import node_page
from flame_flwr.privacy.audit_log import AuditLog
from flame_flwr.watch.page_server import PageServer

__all__ = ["look_at_node"]


def look_at_node(browser, target):
    """See that the page shows what there is, and does nothing else.

    Parameters
    ----------
    browser : WebDriver
        Chromium, which writes down what is asked for.
    target : Path
        The folder for screenshots.
    """
    with tempfile.TemporaryDirectory(prefix="flame-flwr-browser-") as folder:
        place = Path(folder)
        node = write_node(place, name=HARM.replace("'", ""), project=HARM)
        log = AuditLog(str(place / "audit.jsonl"))
        for number in range(400):
            project = ("covid", "heart", HARM)[number % 3]
            log.append(line(1 + number % 28, project=project, masked=number % 2 == 0))
        log.append(line(28, failure=f"TooFewError: MinCount(5): {HARM}"))
        log.append(line(28, withheld={"MinCount": {"whole": 2, "cells": 3}}))
        with PageServer(node_page(node)).in_background() as url:
            browser.get_log("performance")
            for width in (1200, 390):
                for scheme in ("light", "dark"):
                    shown(browser, url, width, scheme)
                    assert browser.save_screenshot(str(target / f"node-{width}-{scheme}.png"))
                    found = serious(browser, target / "axe")
                    assert not found, found
            keyboard(browser, url, target)
            only_its_own(browser, url)


def shown(browser, url, width, scheme):
    """Open the page, as wide and as dark as it is to be, and see what it shows."""
    metrics = {"width": width, "height": 1200, "deviceScaleFactor": 1, "mobile": width < 500}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)
    feature = {"name": "prefers-color-scheme", "value": scheme}
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": [feature]})
    browser.get("about:blank")
    browser.get(url)
    wait(browser, "the last part", lambda: "MinCount(5)" in text(browser, "gate-part"))
    assert "402 answers in all" in text(browser, "count")
    assert "MinCount withheld 2 figures, 3 cells of others" in text(browser, "withheld-part")
    assert "TooFewError: MinCount(5): <img" in text(browser, "withheld-part")
    assert "1 waiting for this hospital's approval" in text(browser, "waiting-part")
    assert "at most 9 answers a day" in text(browser, "ledger-part")
    assert HARM[:20] in text(browser, "name")
    assert not browser.find_elements(By.CSS_SELECTOR, "main img, main script")
    wide = "return document.documentElement.scrollWidth - document.documentElement.clientWidth"
    assert browser.execute_script(wide) <= 0


def keyboard(browser, url, target):
    """Filter by study, and open the app that waits, with a keyboard alone."""
    shown(browser, url, 1200, "light")
    reach(browser, "project").send_keys("heart")
    wait(browser, "one study", lambda: "covid" not in text(browser, "left-part"))
    assert "project=heart" in browser.find_element(By.ID, "save").get_attribute("href")
    assert "the newest 100 of 133 lines that fit" in text(browser, "count")
    browser.find_element(By.TAG_NAME, "body").send_keys(Keys.HOME)
    key = "return document.querySelector('#waiting-part a').dataset.key"
    reach(browser, browser.execute_script(key), by="data-key").send_keys(Keys.ENTER)
    wait(browser, "the app", lambda: "flame-flwr node approve" in text(browser, "app-part"))
    said = text(browser, "app-part")
    assert "What differs from tests/study 1.0.0" in said
    assert "+        return data" in said
    assert browser.switch_to.active_element.get_attribute("id") == "app-part"
    assert not browser.find_elements(By.CSS_SELECTOR, "form[method=post], button")
    assert browser.save_screenshot(str(target / "node-app.png"))


def reach(browser, wanted, by="id"):
    """Press Tab until an element has the focus, and return it."""
    browser.execute_script("document.activeElement.blur()")
    for _ in range(60):
        browser.switch_to.active_element.send_keys(Keys.TAB)
        if browser.switch_to.active_element.get_attribute(by) == wanted:
            return browser.switch_to.active_element
    raise AssertionError(f"no Tab reaches {wanted}")
