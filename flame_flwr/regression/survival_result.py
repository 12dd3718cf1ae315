"""``SurvivalResult``: merged counts as survival curves, with what a paper says of them."""

from __future__ import annotations

import math
import textwrap
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

from flame_flwr.regression.group_statistics import WITHHELD
from flame_flwr.regression.printed_table import PrintedTable, page_of
from flame_flwr.regression.svg_picture import SvgPicture
from flame_flwr.statistics import KaplanMeier, LogRank

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["SurvivalResult"]

EVERYONE = "all"


@dataclass(frozen=True, repr=False)
class SurvivalResult:
    """Kaplan-Meier curves; they print as a table.

    Parameters
    ----------
    durations : str
        The column of durations.
    found : KaplanMeier or LogRank
        The merged counts.
    by : str or None
        The column of groups.
    at : tuple of float
        Times at which the number at risk is told; without any a few from 0 on.
    """

    durations: str
    found: KaplanMeier | LogRank
    by: str | None = None
    at: tuple[float, ...] = ()

    @cached_property
    def curves(self) -> dict[str, KaplanMeier]:
        """The merged counts by group."""
        if isinstance(self.found, KaplanMeier):
            return {EVERYONE: self.found}
        return dict(zip(map(str, self.found.groups), self.found.curves, strict=True))

    @property
    def at_times(self) -> tuple[float, ...]:
        """The times at which the number at risk is told."""
        return self.at or round_times(next(iter(self.curves.values())).times[-1])

    @cached_property
    def test(self) -> dict[str, Any] | None:
        """The log-rank test of the groups, as :class:`~flame_flwr.statistics.LogRank` has it."""
        return self.found.result() if isinstance(self.found, LogRank) else None

    @property
    def p(self) -> float | None:
        """The log-rank test's p-value; ``None`` where there is none."""
        return None if self.test is None else self.test["p"]

    # ---- tables, files ---------------------------------------------------------------------

    def to_frame(self, alpha: float = 0.05) -> pd.DataFrame:
        """Return the curves: a row for each group and time, with confidence limits.

        What is unknown, as where all of a group is withheld, is NaN.
        """
        import pandas as pd

        parts = []
        for group, curve in self.curves.items():
            low, high = curve.conf_int(alpha)
            # its counts of 0 would read as nobody at risk
            figures = {} if _is_withheld(curve) else curve.result()
            columns = {
                "group": group,
                self.durations: curve.times,
                "at risk": figures.get("at_risk"),
                "events": figures.get("events"),
                "censored": figures.get("censored"),
                "survival": figures.get("survival"),
                _limit("lower", alpha): low,
                _limit("upper", alpha): high,
            }
            parts.append(pd.DataFrame(columns))
        return pd.concat(parts, ignore_index=True)

    def medians(self, alpha: float = 0.05) -> pd.DataFrame:
        """Return a row for each group: people, events, the median and its confidence limits.

        A median that is not reached is NaN, as is what is withheld.
        """
        import pandas as pd

        rows = {}
        for group, curve in self.curves.items():
            low, high = curve.median_conf_int(alpha)
            known = not _is_withheld(curve)
            rows[group] = {
                "n": curve.size if known else math.nan,
                "events": sum(curve.events) if known else math.nan,
                "median": curve.quantile(0.5),
                _limit("lower", alpha): low,
                _limit("upper", alpha): high,
            }
        frame = pd.DataFrame.from_dict(rows, orient="index")
        # a column of `None` alone would be one of objects
        return frame.astype(dict.fromkeys(frame.columns[2:], float))

    def at_risk(self) -> pd.DataFrame:
        """Return the numbers at risk: a row for each group, a column for each time."""
        import pandas as pd

        rows = {
            group: [
                math.nan if _is_withheld(curve) else curve.at_risk_at(time)
                for time in self.at_times
            ]
            for group, curve in self.curves.items()
        }
        names = [f"{time:g}" for time in self.at_times]
        return pd.DataFrame.from_dict(rows, orient="index", columns=names)

    def plot(self) -> str:
        """Return a picture as SVG: curves with 95 % bands, and the numbers at risk beneath.

        A short upright line is a time at which somebody's observation ended without the event.
        """
        from flame_flwr.regression.survival_plot import draw

        return SvgPicture(draw(self, "svg").decode())

    def plot_png(self, dpi: int = 300) -> bytes:
        """Return the same picture as PNG."""
        from flame_flwr.regression.survival_plot import draw

        return draw(self, "png", dpi)

    def to_html(self) -> str:
        """Return a page with the tables, as papers print them, and the picture."""
        return page_of(f"Survival by {self.durations}", [self._repr_html_()])

    def to_json(self) -> dict[str, Any]:
        """Return all figures as what JSON can hold; what is unknown or withheld is ``None``."""
        groups = {}
        for group, curve in self.curves.items():
            low, high = curve.conf_int()
            figures = curve.result() | {"lower": low, "upper": high}
            figures |= {"median_conf_int": list(curve.median_conf_int())}
            if _is_withheld(curve):
                said = ("suppressed", "times")
                figures = {key: value if key in said else None for key, value in figures.items()}
            groups[group] = figures
        test = self.test
        if test is not None and self.found.suppressed and not self.found.size:
            test = {key: value if key == "suppressed" else None for key, value in test.items()}
        return {"durations": self.durations, "curves": groups, "log_rank": test}

    def __str__(self) -> str:
        """Return the tables as text."""
        tables = "\n\n".join(f"{title}\n{table.to_string()}" for title, table in self._tables())
        lines = "\n".join(textwrap.fill(line, 100) for line in self._lines())
        return f"{tables}\n\n{lines}\n"

    __repr__ = __str__

    def _repr_html_(self) -> str:
        (medians, about), (risk, of) = self._tables()
        tables = [
            PrintedTable.of_frame(medians, about),
            PrintedTable.of_frame(risk, of, notes=self._lines()),
        ]
        picture = self.plot()
        return "".join(table.to_html() for table in tables) + picture[picture.index("<svg") :]

    # ---- helpers ---------------------------------------------------------------------------

    def _tables(self) -> list[tuple[str, pd.DataFrame]]:
        medians = self.medians().astype(object)  # columns of floats hold no words
        for group, curve in self.curves.items():
            missing = WITHHELD if _is_withheld(curve) else "not reached" if curve.size else ""
            # only NaN differs from itself
            row = [missing if value != value else f"{value:g}" for value in medians.loc[group]]
            medians.loc[group] = row
        risk = self.at_risk().astype(object)
        risk = risk.where(risk.notna(), WITHHELD)
        return [
            (f"Median of {self.durations}, 95 % confidence limits", medians),
            (f"Number at risk, by {self.durations}", risk),
        ]

    def _lines(self) -> list[str]:
        return [*([] if self.test is None else [self.test_line()]), self._note()]

    def test_line(self) -> str:
        """Return what the log-rank test says, as a line; empty without groups."""
        test = self.test
        if test is None:
            return ""
        if test["p"] is None:
            return "Log-rank test: none"
        p = f"p = {test['p']:.3g}" if test["p"] >= 1e-4 else "p < 0.0001"
        freedom = f"{test['df']} degree{'s' if test['df'] > 1 else ''} of freedom"
        return f"Log-rank test: chi-square {test['statistic']:.4g}, {freedom}, {p}"

    def _note(self) -> str:
        test, withheld = self.test or {}, self.found.suppressed
        moved = max(curve.coarsened_at for curve in self.curves.values())
        note = "Of all hospitals together. Limits by the log-log method."
        if test.get("other") is None and test:
            note += " A hospital withholds how many are in no group."
        elif test.get("other"):
            note += f" In no group: {test['other']}."
        if withheld:
            note += f" At {_hospitals(withheld)} some or all is withheld, for disclosure rules."
        if moved:
            note += (
                f" At {_hospitals(moved)} small counts are moved to neighbouring times, for "
                "disclosure rules."
            )
        return note


def round_times(last: float) -> tuple[float, ...]:
    """Return a few round times from 0 to the last.

    Examples
    --------
    >>> round_times(60)
    (0.0, 10.0, 20.0, 30.0, 40.0, 50.0, 60.0)
    """
    size = 10.0 ** math.floor(math.log10(last)) if last > 0 else 1.0
    # seven numbers at most have room beneath the curves
    step = next(step for step in (size / 10, size / 5, size / 2, size, 2 * size) if last < 7 * step)
    # 1e-9: the last one, too, where floats divide it a little short
    return tuple(round(place * step, 12) for place in range(int(last / step + 1e-9) + 1))


def _is_withheld(curve: KaplanMeier) -> bool:
    return bool(curve.suppressed) and not curve.size


def _limit(name: str, alpha: float) -> str:
    return f"{name} {100 * (1 - alpha):g} %"


def _hospitals(count: int) -> str:
    return f"{count} hospital{'s' if count > 1 else ''}"
