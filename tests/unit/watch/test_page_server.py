"""A page is served on 127.0.0.1 alone, and sends what has changed."""

import asyncio
import json
import socket
import threading

import httpx
import pytest
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse
from starlette.routing import Route

from flame_flwr.errors import ConfigError
from flame_flwr.watch.event_stream import changes, event_stream
from flame_flwr.watch.page_server import PageServer


def page(*routes):
    return Starlette(routes=[Route("/", lambda request: PlainTextResponse("the page")), *routes])


def test_it_is_served_here_until_the_end():
    server = PageServer(page())
    with server.in_background() as url:
        assert url.startswith("http://127.0.0.1:")
        assert httpx.get(url).text == "the page"
        assert httpx.get(url.rsplit("/", 2)[0] + "/").status_code == 403
        assert server._socket.getsockname()[0] == "127.0.0.1"
    with pytest.raises(httpx.TransportError):
        httpx.get(url)
    assert "page" not in [thread.name for thread in threading.enumerate()]


def test_a_fast_browser_waits_for_the_page():
    server = PageServer(Starlette())
    port = int(server.url.split(":")[2].partition("/")[0])
    socket.create_connection(("127.0.0.1", port), timeout=20).close()
    with server.in_background() as url:
        assert httpx.get(url).status_code == 404


def test_a_port_that_is_taken_is_said():
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        with pytest.raises(ConfigError, match=f"port {port} .* say another --port"):
            PageServer(page(), port)


def test_an_open_page_delays_no_end():
    seen = iter(range(1000))
    route = Route("/events", lambda request: event_stream(lambda: {"n": next(seen)}, 0.001))
    with (
        PageServer(page(route)).in_background() as url,
        httpx.stream("GET", f"{url}events") as answer,
    ):
        assert answer.headers["content-type"].startswith("text/event-stream")
        lines = answer.iter_lines()
        first = [next(lines) for _ in range(6)]
    assert first == ["event: n", "data: 0", "", "event: n", "data: 1", ""]


def test_only_what_has_changed_is_sent():
    looks = [
        {"runs": ["a"], "run": {"round": 1}},
        {"runs": ["a"], "run": {"round": 2}},
        {"runs": ["a"], "run": {"round": 2}},
        {"runs": ["b", "a"], "run": {"round": 2, "name": "</script>\n\nevent: harm"}},
    ]
    parts = iter(looks)

    async def taken(count):
        stream = changes(lambda: next(parts), 0.0)
        return [(await anext(stream)).decode() for _ in range(count)]

    events = []
    for text in asyncio.run(taken(5)):
        name, data, *end = text.split("\n")
        assert end == ["", ""]
        events.append((name.removeprefix("event: "), json.loads(data.removeprefix("data: "))))
    assert events == [
        ("runs", ["a"]),
        ("run", {"round": 1}),
        ("run", {"round": 2}),
        ("runs", ["b", "a"]),
        ("run", {"round": 2, "name": "</script>\n\nevent: harm"}),
    ]
