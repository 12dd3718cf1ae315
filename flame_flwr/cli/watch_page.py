"""``flame-flwr watch`` and ``submit --watch``: a page is served, said, and opened in a browser."""

from __future__ import annotations

import html
import sys
import tempfile
import time
import webbrowser
from contextlib import ExitStack, contextmanager
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import quote

from flame_flwr.cli.desktop import has_desktop
from flame_flwr.cli.say import say
from flame_flwr.errors import FlameError, StoreError
from flame_flwr.object_store import is_url
from flame_flwr.results.followed_lines import FolderLine, parse_line
from flame_flwr.results.run_folder import DEFAULT_RESULTS
from flame_flwr.results.runs_place import RUN_NAME

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    Lines = Callable[[str], object]

__all__ = ["default_place", "open_browser", "serve_page", "watching_submitted"]


def serve_page(place: str, run: str, port: int, *, opens: bool) -> None:
    """Serve the page of a place of results until Ctrl-C.

    Raises
    ------
    StoreError, ConfigError
        There is no such place or run, or the port is taken.
    """
    from flame_flwr.watch.page_server import PageServer
    from flame_flwr.watch.runs_page import runs_page
    from flame_flwr.watch.watched_runs import WatchedRuns

    runs = WatchedRuns(place)
    chosen = f"#run/{quote(runs.full_name(run))}" if run else ""
    server = PageServer(runs_page(runs), port)
    address = server.url + chosen
    say(f"watching {runs.place}; for this browser and nobody else's:")
    say(f"  {address}")
    say("Ctrl-C ends it")
    with ExitStack() as opened:
        if opens:
            opened.enter_context(open_browser(address))
        server.serve()


def default_place() -> str:
    """Return where runs go by default; the folder is made where there is none.

    Raises
    ------
    StoreError
        It cannot be made.
    """
    folder = Path(DEFAULT_RESULTS).expanduser()
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise StoreError(f"there is no folder {folder}: name the place of the results") from error
    return str(folder)


@contextmanager
def open_browser(address: str) -> Iterator[None]:
    """Open an address in the browser of a desktop, where there is one.

    The address has a secret, and every user of this machine sees what programs are started with:
    the browser is given a file that only this user can read, which sends it on.
    """
    if not has_desktop():
        yield
        return
    with tempfile.TemporaryDirectory(prefix="flame-flwr-watch-") as folder:
        page = Path(folder) / "watch.html"
        text = files("flame_flwr.watch").joinpath("static/open.html").read_text("utf-8")
        page.write_text(text.replace("ADDRESS", html.escape(address)))
        webbrowser.open(page.as_uri())
        yield


@contextmanager
def watching_submitted(*, asked: bool) -> Iterator[Callable[[Lines], Lines]]:
    """Give what makes of a taker of the log's lines one that opens the page of the run, too.

    At the end, the page stays until Ctrl-C where there is a terminal, to look at the results.

    Parameters
    ----------
    asked : bool
        Whether the page is wanted.
    """
    addresses: list[str] = []
    with ExitStack() as opened:

        def watched(on_line: Lines) -> Lines:
            def follow(line: str) -> None:
                on_line(line)
                said = parse_line(line)
                if isinstance(said, FolderLine) and not addresses:
                    addresses.append("")
                    try:
                        addresses[0] = _opened(said.place, opened)
                    except FlameError as error:
                        on_line(f"the run cannot be watched from here: {error}")
                    else:
                        on_line(f"watch it at {addresses[0]}")

            return follow if asked else on_line

        yield watched
        if any(addresses) and sys.stdout.isatty():
            say("the page stays until Ctrl-C")
            _until_interrupted()


def _opened(place: str, opened: ExitStack) -> str:
    """Serve the page of a run in the background, and open it."""
    from flame_flwr.watch.page_server import PageServer
    from flame_flwr.watch.runs_page import runs_page
    from flame_flwr.watch.watched_runs import WatchedRuns

    around, _, name = place.rpartition("/")
    if not is_url(place) and not Path(place).is_dir():
        raise StoreError(
            f"{place} is on the server's host; with an object store as `results` it could, or say "
            "`flame-flwr watch` there"
        )
    runs = WatchedRuns(around if RUN_NAME.fullmatch(name) else place)
    url = opened.enter_context(PageServer(runs_page(runs)).in_background())
    address = f"{url}#run/{quote(name)}"
    opened.enter_context(open_browser(address))
    return address


def _until_interrupted() -> None:
    try:
        while True:
            time.sleep(3600)
    except KeyboardInterrupt:
        return
