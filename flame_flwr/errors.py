"""Every error the framework raises on purpose: one base, few children.

An error's text has two parts. ``message`` may be seen by anyone, also by the
analyst on the other side of the wire, so it never holds a value, a path or a
key of the node's data. ``detail`` holds those; it is shown in the process and
in the node's own log, and leaves the node only where the node shares its
tracebacks.
"""

from __future__ import annotations

__all__ = [
    "AnswerError",
    "ConfigError",
    "DataError",
    "FlameError",
    "ModelError",
    "NodeFailedError",
    "NodesMissingError",
    "NotConvergedError",
    "PayloadError",
    "ResultError",
    "StoppedError",
    "StoreError",
    "UnavailableError",
]


class FlameError(Exception):
    """Base of all errors of this framework.

    Its children are subclasses of Python's own errors, too, so that ``except ValueError`` takes a
    wrong config.

    Parameters
    ----------
    message : str
        What is wrong and what to do. Free of the node's data: it may travel.
    detail : str, optional
        The offending value, path or key. Stays in the process and in the node's own log.
    """

    message: str = ""  # also where a user's subclass does not call this class's __init__
    detail: str | None = None

    def __init__(self, message: str, *, detail: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.detail = detail

    def __str__(self) -> str:
        """Return the message, with the detail behind it where there is one."""
        return f"{self.message} [{self.detail}]" if self.detail else self.message

    def __reduce__(self) -> tuple[object, ...]:
        """Keep ``detail`` through pickling, as Ray does it between processes."""
        return (_rebuild, (type(self), self.message, self.detail, self.__dict__.copy()))


def text_of(error: BaseException) -> str:
    """Return an exception's text; where its ``__str__`` itself fails, that it does."""
    try:
        return str(error)
    except Exception:
        return f"<the text of this {type(error).__name__} cannot be had: its __str__ raises>"


# Not by calling the class, as Python does by default: subclasses may take other arguments.
def _rebuild(
    cls: type[FlameError], message: str, detail: str | None, attributes: dict[str, object]
) -> FlameError:
    error = cls.__new__(cls)
    FlameError.__init__(error, message, detail=detail)
    error.__dict__.update(attributes)
    return error


class ModelError(FlameError, TypeError, ValueError):
    """The analysis is declared wrongly: found when the model is built, before anything runs."""


class ConfigError(FlameError, ValueError):
    """A key of the run config or of the node config is unknown, missing or has a wrong value."""


class DataError(FlameError):
    """A node's data is missing, empty or not what the analysis needs."""


class PayloadError(FlameError, TypeError):
    """A value cannot travel between nodes, or bytes that arrived are not a valid payload."""


class NodeFailedError(FlameError, RuntimeError):
    """User code on a node raised, called ``sys.exit``, or a node answered with an error."""


class AnswerError(DataError, NodeFailedError):
    """A node's answer cannot be merged: that node's failure, found before any of it is merged.

    An aggregation raises it from ``add``; ``on-failure`` then decides, as about every failure.

    Parameters
    ----------
    message, detail
        As for every error; the message names round, key and node.
    declared : bool
        Whether it is declared to go on without such an answer: then `on-failure` is not asked.
    """

    def __init__(self, message: str, *, detail: str | None = None, declared: bool = False) -> None:
        super().__init__(message, detail=detail)
        self.declared = declared


class NodesMissingError(FlameError, TimeoutError):
    """Fewer nodes than expected were there, or answered, within the limit on the wait."""


class NotConvergedError(FlameError, RuntimeError):
    """``max-rounds`` was reached before the analysis said that it had converged."""

    @classmethod
    def after(cls, rounds: int, limit: str) -> NotConvergedError:
        """Return the error after so many rounds; `limit` is what the limit is called there."""
        count = f"{rounds} round" if rounds == 1 else f"{rounds} rounds"
        return cls(
            f"not converged after {count} ({limit}): does has_converged ever return True? "
            f"Otherwise raise `{limit}`"
        )


class ResultError(FlameError, ValueError):
    """The final result does not fit what the model declared. The result itself was rescued."""


class StoreError(FlameError, OSError):
    """Results cannot be written to, or read from, where they belong: a disk or an object store."""


class StoppedError(FlameError, RuntimeError):
    """The run was ended from outside: ``flwr stop``, Ctrl-C, or its SuperLink is gone."""


class UnavailableError(FlameError, NotImplementedError):
    """A call of the FLAME API that a STAR analysis does not have; the message names the way."""
