"""Has Flower's log say what an error of ours says, without the calls that led to it.

They are Flower's and ours. The message says what to do, and stands below them at the analyst's
terminal, where nobody looks for it. An error of the app's own code keeps its traceback.
"""

from __future__ import annotations

import logging
import traceback

from flame_flwr.errors import FlameError
from flame_flwr.failure.tracebacks import place_of

__all__ = ["show_errors_briefly"]


def show_errors_briefly() -> None:
    """Make what Flower logs of this process's errors brief from now on."""
    logger = logging.getLogger("flwr")
    if not any(isinstance(each, _Brief) for each in logger.filters):
        logger.addFilter(_Brief())


class _Brief(logging.Filter):
    def filter(self, record: logging.LogRecord) -> bool:
        # A filter and no formatter, as Flower's handlers have their own. `exc_text` is where the
        # first of them keeps the traceback for the others.
        error = record.exc_info[1] if record.exc_info else None
        if isinstance(error, FlameError):
            said = "".join(traceback.format_exception_only(error)).rstrip()
            place = place_of(error.__traceback__, anywhere=False)
            record.msg = "\n".join([record.getMessage(), said, *([f"at {place}"] if place else [])])
            record.args, record.exc_info, record.exc_text = (), None, None
        return True
