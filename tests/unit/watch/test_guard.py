"""Who may ask a page on this machine, what may be asked, and what a browser may do with it."""

import asyncio

import pytest
from asgi_browser import Browser
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse
from starlette.routing import Route

from flame_flwr.watch.guard import FILE_POLICY, Guard, new_token

ADDRESS = "http://127.0.0.1:40000"


@pytest.fixture
def browser():
    def file(request):
        return PlainTextResponse("a file", headers={"content-security-policy": FILE_POLICY})

    page = Starlette(
        routes=[
            Route("/", lambda request: PlainTextResponse("the page")),
            Route("/file/{name}", file),
        ]
    )
    return Browser(Guard(page, "the-secret"), ADDRESS)


def test_the_page_is_below_its_secret(browser):
    assert browser.get("/the-secret/").text == "the page"
    assert browser.get("/the-secret/file/a").text == "a file"
    assert browser.request("HEAD", "/the-secret/").status_code == 200


@pytest.mark.parametrize(
    "path",
    ["/", "/the-secre/", "/the-secret2/", "/x/the-secret/", "/%C3%A9/", "/?token=the-secret"],
)
def test_without_the_secret_there_is_nothing(browser, path):
    answer = browser.get(path)
    assert answer.status_code == 403
    assert "the page" not in answer.text


def test_a_path_that_is_none_is_refused(browser):
    sent = []

    async def send(message):
        sent.append(message)

    scope = {"type": "http", "method": "OPTIONS", "path": "*", "headers": [(b"host", b"localhost")]}
    asyncio.run(browser._app(scope, None, send))
    assert sent[0]["status"] == 403


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost:8888", "127.0.0.1:1", "[::1]:4000"])
def test_this_machine_may_ask_also_through_another_port(browser, host):
    assert browser.get("/the-secret/", headers={"host": host}).status_code == 200


@pytest.mark.parametrize(
    "host", ["evil.example", "evil.example:40000", "127.0.0.1.evil.example", "127.0.0.1:4:5", ""]
)
def test_a_rebound_name_is_refused(browser, host):
    assert browser.get("/the-secret/", headers={"host": host}).status_code == 421


@pytest.mark.parametrize("origin", ["http://evil.example", "null", "https://127.0.0.1:40000"])
def test_a_page_of_another_origin_is_refused(browser, origin):
    assert browser.get("/the-secret/", headers={"origin": origin}).status_code == 403
    own = browser.get("/the-secret/", headers={"origin": ADDRESS})
    assert own.status_code == 200


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH", "OPTIONS"])
def test_a_page_is_only_read(browser, method):
    answer = browser.request(method, "/the-secret/")
    assert answer.status_code == 405
    assert answer.headers["allow"] == "GET, HEAD"


def test_only_the_pages_own_scripts_run(browser):
    for path in ("/the-secret/", "/the-secret/nothing", "/wrong/"):
        headers = browser.get(path).headers
        policy = headers["content-security-policy"]
        assert "default-src 'none'; script-src 'self';" in policy
        assert "unsafe" not in policy
        assert headers["referrer-policy"] == "no-referrer"
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["cache-control"] == "no-store"
    of_file = browser.get("/the-secret/file/a").headers["content-security-policy"]
    assert of_file.startswith("sandbox; default-src 'none'")


def test_every_page_has_a_secret_of_its_own():
    tokens = {new_token() for _ in range(100)}
    assert len(tokens) == 100
    assert all(len(token) == 32 for token in tokens)
