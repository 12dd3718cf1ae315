"""Draws one-round.svg, beside this file: the way of one round, with the files that do it.

`make reference` writes it. A file that is not there is an error.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass
from html import escape
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PICTURE = Path(__file__).with_name("one-round.svg")

LEFT, RIGHT, WIDTH, HIGH = 24, 484, 372, 20
INK, QUIET, SERVER, HOSPITAL, YOURS = "#1f2733", "#5b6875", "#e8eef8", "#eef6ea", "#fdf1dc"


@dataclass(frozen=True)
class Box:
    """One step: where it is, what it does, and the files that do it."""

    x: int
    y: int
    title: str
    files: tuple[str, ...]
    colour: str

    @property
    def height(self) -> int:
        """Its height, of the title and a line for each file."""
        return 34 + HIGH * len(self.files)


BOXES = (
    Box(
        LEFT,
        84,
        "1  Make the messages, encoded once",
        (
            "strategies/star_strategy.py",
            "strategies/round_messages.py",
            "flame_flwr/payload/codec.py",
        ),
        SERVER,
    ),
    Box(
        LEFT,
        200,
        "2  Send them, and wait with a limit for each node",
        ("flame_flwr/transport/grid.py", "flame_flwr/transport/wait_for_replies.py"),
        SERVER,
    ),
    Box(
        RIGHT,
        84,
        "3  Approved? A process of its own, in the sandbox",
        (
            "flame_flwr/node/approval.py",
            "flame_flwr/node/message_host.py",
            "flame_flwr/node/sandbox.py",
        ),
        HOSPITAL,
    ),
    Box(
        RIGHT,
        200,
        "4  Decode, bring the state back, load the data",
        ("clients/client.py", "clients/analyzer_state.py", "clients/node_data.py"),
        HOSPITAL,
    ),
    Box(RIGHT, 316, "5  Your analyzer: analysis_method", ("clients/node.py",), YOURS),
    Box(
        RIGHT,
        392,
        "6  The gate: rules, filters, masks, then the log",
        ("flame_flwr/node/gated_answer.py", "flame_flwr/privacy/gate.py", "clients/audit.py"),
        HOSPITAL,
    ),
    Box(
        LEFT,
        392,
        "7  Read the answer, as a stranger's",
        ("flame_flwr/transport/read_reply.py", "flame_flwr/payload/decoder.py"),
        SERVER,
    ),
    Box(
        LEFT,
        490,
        "8  Merge as it arrives, or your aggregator",
        ("strategies/merge_replies.py", "strategies/star_aggregation.py"),
        YOURS,
    ),
    Box(
        LEFT,
        588,
        "9  Converged? At the end, write the files",
        ("flame_flwr/aggregation/convergence.py", "flame_flwr/results/run_files.py"),
        SERVER,
    ),
)

ARROWS = (
    "M 210 178 V 198",
    "M 396 238 H 440 V 121 H 482",
    "M 670 178 V 198",
    "M 670 294 V 314",
    "M 670 370 V 390",
    "M 484 430 H 398",
    "M 210 466 V 488",
    "M 210 564 V 586",
    "M 24 625 H 10 V 121 H 22",
)


def picture() -> str:
    """Return the picture as SVG."""
    parts = [
        '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 880 690" role="img" '
        'font-family="DejaVu Sans, Verdana, sans-serif">',
        "<title>The way of one round, with the files that do it</title>",
        '<defs><marker id="tip" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="8" '
        f'markerHeight="8" orient="auto"><path d="M0 0 L8 4 L0 8 Z" fill="{INK}"/></marker></defs>',
        '<rect width="880" height="690" rx="10" fill="#ffffff"/>',
        _text(LEFT, 40, "Server", 19, INK, "bold"),
        _text(LEFT, 62, "Flower's SuperLink and, in it, the ServerApp", 12.5, QUIET),
        _text(RIGHT, 40, "Hospital", 19, INK, "bold"),
        _text(RIGHT, 62, "flame-flwr node start, and a process for each message", 12.5, QUIET),
    ]
    for box in BOXES:
        parts.append(
            f'<rect x="{box.x}" y="{box.y}" width="{WIDTH}" height="{box.height}" rx="7" '
            f'fill="{box.colour}" stroke="#b9c4ce"/>'
        )
        parts.append(_text(box.x + 12, box.y + 22, box.title, 12.5, INK, "bold"))
        for line, file in enumerate(box.files):
            parts.append(_text(box.x + 30, box.y + 43 + HIGH * line, file, 12, QUIET))
    for way in ARROWS:
        parts.append(
            f'<path d="{way}" fill="none" stroke="{INK}" stroke-width="1.5" '
            'marker-end="url(#tip)"/>'
        )
    parts += [
        _text(
            RIGHT,
            520,
            "Yellow is your code. In one process and in a simulation",
            12.5,
            QUIET,
        ),
        _text(RIGHT, 540, "the same runs without approval and sandbox.", 12.5, QUIET),
        _text(
            RIGHT, 572, "Every wait has a limit. A message that is sent twice starts", 12.5, QUIET
        ),
        _text(
            RIGHT, 592, "from the state it entered with, so no round is applied twice.", 12.5, QUIET
        ),
        "</svg>\n",
    ]
    return "\n".join(parts)


def _text(x: int, y: int, text: str, size: float, colour: str, weight: str = "normal") -> str:
    return (
        f'<text x="{x}" y="{y}" font-size="{size}" fill="{colour}" font-weight="{weight}" '
        f'xml:space="preserve">{escape(text, quote=False)}</text>'
    )


def main() -> None:
    """Write the picture, where it is otherwise than this module says."""
    gone = [file for box in BOXES for file in box.files if not (ROOT / file).is_file()]
    if gone:
        raise SystemExit(f"the picture of a round names files that are not there: {gone}")
    if not PICTURE.is_file() or PICTURE.read_text(encoding="utf-8") != picture():
        PICTURE.write_text(picture(), encoding="utf-8")
        sys.stdout.write(f"{PICTURE.relative_to(ROOT)} is written\n")


if __name__ == "__main__":
    main()
