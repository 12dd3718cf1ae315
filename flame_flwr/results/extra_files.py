"""Files that an installed extra writes beside the results: a report, TensorBoard events."""

from __future__ import annotations

from dataclasses import dataclass
from importlib.util import find_spec
from typing import TYPE_CHECKING

from flame_flwr.config import check_extra
from flame_flwr.errors import ConfigError

if TYPE_CHECKING:
    from pathlib import Path

    from flame_flwr.results.callbacks import Callback

__all__ = ["Extras"]

_MODULES = {"report": "jinja2", "tensorboard": "tensorboardX"}


@dataclass(frozen=True, slots=True)
class Extras:
    """Which of these files to write.

    Parameters
    ----------
    report : bool
        ``report.html``.
    tensorboard : bool
        Events for TensorBoard.
    """

    report: bool = False
    tensorboard: bool = False

    @classmethod
    def of(cls, report: str, tensorboard: str, where: str = "`{}` in the run config") -> Extras:
        """Decide before the first round.

        Parameters
        ----------
        report, tensorboard : {'auto', 'on', 'off'}
            What is asked for; ``'auto'`` is where the extra is installed.
        where : str
            How a message names who asked.

        Raises
        ------
        ConfigError
            Something is asked for that is not installed; the message says what to install.
        """
        return cls(_decided("report", report, where), _decided("tensorboard", tensorboard, where))

    def callbacks(self, folder: Path) -> list[Callback]:
        """Return what looks on and writes into a folder of results."""
        if not self.tensorboard:
            return []
        from flame_flwr.results.tensorboard_events import EventWriter

        return [EventWriter(folder)]


def _decided(extra: str, asked: str, where: str) -> bool:
    named = where.format(extra)
    check_extra(asked, named)
    if asked == "off":
        return False
    if asked == "auto":
        return by_default(extra)
    if not installed(extra):
        raise ConfigError(
            f'{named} is "on", and {_MODULES[extra]} is not installed here: '
            f"pip install 'flame-flwr[{extra}]'"
        )
    return True


def by_default(extra: str) -> bool:
    """Tell what ``'auto'`` is: whether the extra is installed."""
    return installed(extra)


def installed(extra: str) -> bool:
    """Tell whether an extra is installed."""
    return find_spec(_MODULES[extra]) is not None
