"""A hospital's page: what runs at its node, what has left, what was withheld, which apps wait.

It reads the node's own files, as the user that the node runs as, and changes nothing: an app is
approved with the command that the page shows, typed by a person whom the machine knows.
"""

from __future__ import annotations

import csv
import io
from pathlib import Path
from typing import TYPE_CHECKING, Any

from starlette.applications import Starlette
from starlette.concurrency import iterate_in_threadpool, run_in_threadpool
from starlette.responses import Response, StreamingResponse
from starlette.routing import Route

from flame_flwr.errors import FlameError
from flame_flwr.node import page_parts
from flame_flwr.node.node_folder import check_user, node_settings
from flame_flwr.node.page_egress import ALL, COLUMNS, Asked, Egress
from flame_flwr.watch.event_stream import as_json, event_stream
from flame_flwr.watch.page_server import static_routes

if TYPE_CHECKING:
    from collections.abc import Iterator

    from starlette.requests import Request

__all__ = ["node_page", "saved"]

_EVERY = 1.0
_STATIC = {"/": "static/node.html", "/node.js": "static/node.js", "/node.css": "static/node.css"}
_SHARED = {"/page.css": "static/page.css", "/page.js": "static/page.js"}
_FORMULA = ("=", "+", "-", "@", "\t", "\r")


def node_page(folder: Path) -> Starlette:
    """Return the page of the node whose ``node.toml`` is in a folder.

    Parameters
    ----------
    folder : Path
        The node's.

    Raises
    ------
    ConfigError
        There is no config, it cannot be read, or the node is another user's.
    """
    settings, place = node_settings(folder), folder.absolute()
    if settings.state_dir:
        check_user(Path(settings.state_dir) / "gate")
    egress = Egress(Path(settings.audit_log) if settings.audit_log else None)

    def look() -> dict[str, Any]:
        return {
            "now": page_parts.now_part(settings),
            "apps": page_parts.apps_part(settings),
            "egress": egress.part(),
            "ledger": page_parts.ledger_part(settings),
            "gate": page_parts.gate_part(settings),
        }

    async def events(request: Request) -> Response:
        return event_stream(look, _EVERY)

    async def app(request: Request) -> Response:
        digest = request.path_params["digest"]
        try:
            part = await run_in_threadpool(page_parts.app_part, settings, digest, place)
        except (FlameError, ValueError) as error:
            return _json({"trouble": str(error)}, 404)
        return _json(part)

    async def left(request: Request) -> Response:
        lines = saved(egress, _asked(request))
        disposition = 'attachment; filename="left.csv"'
        return StreamingResponse(
            iterate_in_threadpool(lines),
            media_type="text/csv; charset=utf-8",
            headers={"content-disposition": disposition},
        )

    async def lines(request: Request) -> Response:
        return _json(await run_in_threadpool(egress.found, _asked(request)))

    return Starlette(
        routes=[
            *static_routes("flame_flwr.node", _STATIC),
            *static_routes("flame_flwr.watch", _SHARED),
            Route("/events", events),
            Route("/app/{digest:str}", app),
            Route("/left.csv", left),
            Route("/lines", lines),
        ]
    )


def saved(egress: Egress, asked: Asked = ALL) -> Iterator[str]:
    """Yield what has left as lines of CSV: those that are asked for, or all.

    A text that a spreadsheet would take for a formula gets an apostrophe before it: apps choose
    some of them.
    """
    yield _line(COLUMNS)
    try:
        for row in egress.entries(asked):
            yield _line([row[column] for column in COLUMNS])
    except FlameError as error:
        yield _line([f"not complete: {error}"])


def _asked(request: Request) -> Asked:
    said = request.query_params
    return Asked(said.get("project", ""), said.get("day", ""), said.get("text", ""))


def _line(cells: Any) -> str:
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerow(map(_cell, cells))
    return text.getvalue()


def _cell(value: Any) -> Any:
    if isinstance(value, bool):
        return "yes" if value else "no"
    return f"'{value}" if isinstance(value, str) and value.startswith(_FORMULA) else value


def _json(value: Any, status: int = 200) -> Response:
    return Response(as_json(value), status, media_type="application/json")
