"""The analyst's page: the runs in a place of results, and what each of them does."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from starlette.applications import Starlette
from starlette.responses import PlainTextResponse, Response, StreamingResponse
from starlette.routing import Route

from flame_flwr.errors import StoreError
from flame_flwr.watch.event_stream import event_stream
from flame_flwr.watch.guard import FILE_POLICY
from flame_flwr.watch.page_server import static_routes

if TYPE_CHECKING:
    from starlette.requests import Request

    from flame_flwr.watch.run_view import RunView
    from flame_flwr.watch.watched_runs import WatchedRuns

__all__ = ["runs_page"]

_STATIC = {
    "/": "static/runs.html",
    "/page.css": "static/page.css",
    "/page.js": "static/page.js",
    "/runs.css": "static/runs.css",
    "/runs.js": "static/runs.js",
    "/chart.js": "static/chart.js",
}


def runs_page(runs: WatchedRuns) -> Starlette:
    """Return the page, to be served by a :class:`~flame_flwr.watch.page_server.PageServer`.

    Parameters
    ----------
    runs : WatchedRuns
        What it shows.
    """

    async def events(request: Request) -> Response:
        chosen = request.query_params.get("run", "")
        return event_stream(lambda: _parts(runs, chosen))

    def report(request: Request) -> Response:
        name = request.path_params["run"]
        return _sent(runs, name, "report.html", "text/html; charset=utf-8")

    def file(request: Request) -> Response:
        name, path = request.path_params["run"], request.path_params["path"]
        # Always as a download of no type: HTML of a store would run beside the page's secret.
        answer = _sent(runs, name, path, "application/octet-stream")
        # RFC 5987, with all signs spelled out: a name may hold quotes, or the end of a header.
        shown = quote(path.rpartition("/")[2], safe="")
        answer.headers["content-disposition"] = f"attachment; filename*=UTF-8''{shown}"
        return answer

    return Starlette(
        routes=[
            *static_routes("flame_flwr.watch", _STATIC),
            Route("/events", events),
            Route("/report/{run}", report),
            Route("/file/{run}/{path:path}", file),
        ]
    )


def _parts(runs: WatchedRuns, chosen: str) -> dict[str, Any]:
    """Return the parts of the page: the place, its runs, and the one that is chosen or newest."""
    try:
        listed = runs.runs()
    except StoreError as error:  # the page says so and looks again; else it would say no more
        return {"place": runs.place, "run": _unreadable(runs.place, error)}
    parts: dict[str, Any] = {"place": runs.place, "runs": [_brief(run) for run in listed]}
    name = chosen or runs.newest()
    if not name:
        return parts
    try:
        parts["run"] = asdict(runs.run(name))
    except StoreError as error:
        parts["run"] = _unreadable(name, error)
    return parts


def _unreadable(name: str, error: StoreError) -> dict[str, str]:
    return {"name": name, "status": "unreadable", "said": str(error)}


def _brief(run: RunView) -> dict[str, Any]:
    shown = ("name", "status", "title", "app", "doing", "started", "ended", "rounds", "most")
    return {key: getattr(run, key) for key in shown}


def _sent(runs: WatchedRuns, name: str, path: str, kind: str) -> Response:
    """Return a file of a run, without any right in the browser."""
    headers = {"content-security-policy": FILE_POLICY}
    try:
        pieces = runs.content(name, path)
        first = next(pieces, b"")  # before the answer begins, which could not become a 404 any more
    except (StoreError, FileNotFoundError) as error:
        return PlainTextResponse(f"{error}\n", 404, headers)

    def content() -> Any:
        yield first
        yield from pieces

    return StreamingResponse(content(), media_type=kind, headers=headers)
