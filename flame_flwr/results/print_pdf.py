"""A page as PDF, printed by the Chromium or Chrome that is installed, without a window."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from pathlib import Path

from flame_flwr.errors import ConfigError, StoreError
from flame_flwr.files import reason_of, write_file
from flame_flwr.processes.child_processes import in_session

__all__ = ["print_pdf"]

_PROGRAMS = (
    "chromium",
    "chromium-browser",
    "google-chrome",
    "google-chrome-stable",
    "chrome",
    "msedge",
    "/Applications/Google Chrome.app/Contents/MacOS/Google Chrome",
    "/Applications/Chromium.app/Contents/MacOS/Chromium",
)
_OPTIONS = (
    "--headless=new",
    "--disable-gpu",
    # A container's /dev/shm has 64 MB, of which a page of plots may want more.
    "--disable-dev-shm-usage",
    "--disable-extensions",
    "--disable-background-networking",
    "--no-first-run",
    "--no-pdf-header-footer",
)
_SECONDS = 120.0


def print_pdf(page: Path, target: Path, seconds: float = _SECONDS) -> None:
    """Print a page into a file, which is complete or absent.

    Parameters
    ----------
    page : Path
        An HTML file.
    target : Path
        The PDF.
    seconds : float
        How long the browser may take.

    Raises
    ------
    ConfigError
        Neither Chromium nor Chrome is installed here.
    StoreError
        The browser failed or took too long, or the file cannot be written.
    """
    program = next(filter(None, map(shutil.which, _PROGRAMS)), None)
    if program is None:
        raise ConfigError(
            "a PDF is printed by Chromium or Chrome, and none is installed here: install one "
            "(Debian and Ubuntu: `apt install chromium`; others: google.com/chrome), or open "
            f"{page} in any browser and print it into a PDF there"
        )
    try:
        with tempfile.TemporaryDirectory(prefix="flame-flwr-pdf-") as folder:
            made = Path(folder, "report.pdf")
            _run([program, *_OPTIONS, *_as_root(), *_places(folder, made, page)], seconds)
            content = made.read_bytes() if made.is_file() else b""
        # Its exit status does not tell: what counts is a PDF with its end.
        if not content.startswith(b"%PDF-") or b"%%EOF" not in content[-1024:]:
            raise StoreError(
                f"{program} printed no PDF of {page}: open the page there, and print it"
            )
        write_file(target, content)
    except OSError as error:
        if isinstance(error, StoreError):
            raise
        raise StoreError(
            f"{target} cannot be written ({reason_of(error)}): name another file with --to"
        ) from error


def _as_root() -> list[str]:
    """Return what Chromium needs to start as root; the page is ours, and has no script."""
    return ["--no-sandbox"] if hasattr(os, "geteuid") and os.geteuid() == 0 else []


def _places(folder: str, made: Path, page: Path) -> list[str]:
    # With the user's own profile, a browser that is open already would be asked, and print nothing.
    return [f"--user-data-dir={folder}/profile", f"--print-to-pdf={made}", page.absolute().as_uri()]


def _run(command: list[str], seconds: float) -> None:
    """Run the browser; what it has started ends with it."""
    nowhere = subprocess.DEVNULL
    with in_session(command, stdout=nowhere, stderr=nowhere) as browser:
        try:
            browser.wait(seconds)
        except subprocess.TimeoutExpired:
            raise StoreError(
                f"{command[0]} did not print the page within {seconds:g} s: open it in a browser, "
                "and print it there"
            ) from None
