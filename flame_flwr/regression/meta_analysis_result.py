"""``MetaAnalysisResult``: coefficients of hospitals' own fits, combined."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from flame_flwr.errors import ModelError
from flame_flwr.regression.printed_table import PrintedTable, page_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    import pandas as pd

    from flame_flwr.statistics import SiteFits

__all__ = ["MetaAnalysisResult"]

EFFECTS = ("fixed", "random")


@dataclass(frozen=True, repr=False)
class MetaAnalysisResult:
    """Coefficients combined by inverse variance; they print as a table.

    Parameters
    ----------
    formula : str
        What every hospital fitted.
    fits : SiteFits
        What they found.
    ratio : str or None
        What a coefficient's exponential is.
    """

    formula: str
    fits: SiteFits
    ratio: str | None = None

    @property
    def left_out(self) -> dict[str, str]:
        """The hospitals that have no fit, and why."""
        return dict(self.fits.left_out)

    def to_frame(self, effect: str = "random") -> pd.DataFrame:
        """Return a row for each coefficient: the combined one, and how much hospitals differ.

        Parameters
        ----------
        effect : {'random', 'fixed'}
            Random effects after DerSimonian and Laird, NaN where one hospital alone has the
            coefficient; or one effect at all hospitals, by inverse variance.

        Raises
        ------
        ModelError
            It is another effect.
        """
        import pandas as pd

        if effect not in EFFECTS:
            raise ModelError(f"effect must be one of {', '.join(EFFECTS)}, not {effect!r}")
        rows = {name: _row(self.fits.combined(name).result(), effect) for name in self.fits.columns}
        frame = pd.DataFrame.from_dict(rows, orient="index")
        frame = frame.astype(dict.fromkeys(frame.columns[1:], float))
        if self.ratio is not None:
            ends = {"": "coefficient", ", lower": "lower 95 %", ", upper": "upper 95 %"}
            with np.errstate(over="ignore"):  # of nearly dependent columns an end may be infinite
                for end, name in ends.items():
                    frame[f"{self.ratio}{end}"] = np.exp(frame[name])
        return frame

    def sites(self) -> pd.DataFrame:
        """Return a row for each hospital and coefficient: what was combined."""
        import pandas as pd

        names = ["site", "n", "events", "column", "coefficient", "standard error"]
        rows = [
            (fit.site, fit.n, None if fit.counted == "rows" else fit.events, *found)
            for fit in self.fits.fits
            for found in fit.estimates
        ]
        return pd.DataFrame(rows, columns=names)

    def forest_plot(self) -> str:
        """Return a picture as SVG: for each coefficient the hospitals', and the combined ones."""
        from flame_flwr.regression.meta_analysis_plot import draw

        return draw(self)

    def to_html(self) -> str:
        """Return a page with the tables, as papers print them."""
        return page_of(f"Meta-analysis of {self.formula}", [self._repr_html_()])

    def to_json(self) -> dict[str, Any]:
        """Return all figures as what JSON can hold."""
        found = self.fits.result()
        sites = [fit._asdict() for fit in self.fits.fits]
        return {"formula": self.formula, "ratio": self.ratio, **found, "fits": sites}

    def __str__(self) -> str:
        """Return the tables as text."""
        tables = "\n\n".join(
            f"{title}\n{table.to_string(float_format=_rounded)}" for title, table in self._tables()
        )
        return f"{self.formula}\n\n{tables}\n\n{self._note()}\n"

    __repr__ = __str__

    def _repr_html_(self) -> str:
        *tables, (last, differences) = self._tables()
        printed = [PrintedTable.of_frame(title, frame, _cell) for title, frame in tables]
        printed.append(PrintedTable.of_frame(last, differences, _cell, notes=[self._note()]))
        return "".join(table.to_html() for table in printed)

    def _tables(self) -> list[tuple[str, pd.DataFrame]]:
        differ = ["Q", "p of Q", "I2", "tau2"]
        shown = [
            (f"{effect.capitalize()} effects", self.to_frame(effect).drop(columns=differ))
            for effect in EFFECTS
        ]
        return [*shown, ("How much hospitals differ", self.to_frame()[["hospitals", *differ]])]

    def _note(self) -> str:
        note = "Each hospital's own fit, combined by inverse variance; the rows were not pooled."
        if self.left_out:
            gone = "; ".join(f"{site} ({why})" for site, why in self.left_out.items())
            note += f" Left out: {gone}."
        return note


def _row(found: Mapping[str, Any], effect: str) -> dict[str, Any]:
    """Return the figures of one coefficient's meta-analysis, by their names in the table."""
    from scipy.stats import chi2

    figures = found[effect] or {}
    return {
        "hospitals": found["studies"],
        "coefficient": figures.get("estimate"),
        "standard error": figures.get("error"),
        "z": figures.get("z"),
        "p": figures.get("p"),
        "lower 95 %": figures.get("low"),
        "upper 95 %": figures.get("high"),
        "Q": found["q"],
        "p of Q": math.nan if found["q"] is None else chi2.sf(found["q"], found["df"]),
        "I2": found["i2"],
        "tau2": found["tau2"],
    }


def _cell(value: Any) -> str:
    if isinstance(value, float):
        return _rounded(value) if math.isfinite(value) else ""
    return str(value)


def _rounded(value: float) -> str:
    return f"{value:.4g}"
