"""Who takes part: the table that the analyst sees before round 1, made of what nodes said."""

from __future__ import annotations

import json
from itertools import islice
from typing import TYPE_CHECKING

from flame_flwr.data.expect import Mismatch
from flame_flwr.errors import NodeFailedError
from flame_flwr.failure.failure import Failure
from flame_flwr.log import logger
from flame_flwr.text.shown_text import shown_text
from flame_flwr.transport.wait_for_replies import counted

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable

    from flame_flwr.transport.greeting import Greeting

__all__ = ["failed_nodes", "failure_of", "read_findings", "refusal", "show_table", "write_findings"]

_MOST = 50
_LONGEST = 300
_MOST_CHARACTERS = 2**20
"""How many findings are shown, of how many characters each, and how long their text may be."""


def write_findings(found: Iterable[Mismatch]) -> str:
    """Return findings as the text that travels with hello; to the gate with numbers of rows."""
    return json.dumps(
        [
            [each.text, each.stops, *([] if each.rows is None else [each.rows])]
            for each in islice(found, _MOST)
        ]
    )


def read_findings(text: object) -> tuple[Mismatch, ...] | None:
    """Read findings that arrived; ``None`` where the node was asked for none.

    What is no finding is dropped: a node can only speak ill of its own data.
    """
    if not isinstance(text, str):
        return None
    # The length first: JSON that is all brackets takes many times its characters in memory.
    try:
        listed = json.loads(text) if len(text) <= _MOST_CHARACTERS else []
    except (ValueError, RecursionError):
        listed = []
    found = []
    for each in (listed if isinstance(listed, list) else [])[:_MOST]:
        if isinstance(each, list) and len(each) in (2, 3) and isinstance(each[0], str):
            rows = each[2] if len(each) > 2 and type(each[2]) is int else None
            found.append(Mismatch(shown_text(each[0], _LONGEST), bool(each[1]), rows))
    return tuple(found)


def failure_of(found: Iterable[Mismatch]) -> Failure | None:
    """Return why a node with these findings cannot take part; ``None`` where it can."""
    stopping = [finding.text for finding in found if finding.stops]
    if not stopping:
        return None
    return Failure("its data is not as the analysis expects", text="; ".join(stopping))


def show_table(greetings: Iterable[Greeting]) -> None:
    """Log who takes part, a line per node and finding."""
    rows = [("node", "takes part", "finding")]
    for greeting in greetings:
        said = [finding.text for finding in greeting.findings or ()]
        if greeting.failure is not None and not said:
            said = [str(greeting.failure)]
        first, *others = said or [""]
        rows.append((greeting.name, "no" if greeting.failure else "yes", first))
        rows += [("", "", other) for other in others]
    widths = [max(len(row[column]) for row in rows) for column in (0, 1)]
    shown = (f"  {a:{widths[0]}}  {b:{widths[1]}}  {c}".rstrip() for a, b, c in rows)
    logger.info("before round 1:\n%s", "\n".join(shown))


def failed_nodes(greetings: Iterable[Greeting]) -> str:
    """Return the nodes that cannot take part, and why, a line each."""
    return "\n".join(f"  {g.name}: {g.failure}" for g in greetings if g.failure)


def refusal(greetings: Collection[Greeting], more: str = "") -> NodeFailedError:
    """Return the error of a run in which nodes cannot take part.

    Parameters
    ----------
    greetings : collection of Greeting
        The greetings of all nodes.
    more : str
        What else there is to say.
    """
    failed = sum(greeting.failure is not None for greeting in greetings)
    if any(greeting.approval == "waits" for greeting in greetings):
        more += (
            "\nWhere it waits, ask somebody at the hospital to look at the app and to decide. "
            "`flame-flwr submit --request-approval --wait` runs it when all have approved it"
        )
    return NodeFailedError(
        f"before round 1, {counted(failed)} cannot take part:\n{failed_nodes(greetings)}{more}"
    )
