"""What averaging would mix if every centre kept a vocabulary of its own, as the tutorial does.

``python vocabulary.py`` prints how far the centres' own 30 codes agree and draws
``pictures/vocabulary.png``.
"""

from __future__ import annotations

import sys
from collections import Counter
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE))

import numpy as np  # noqa: E402
from matplotlib.figure import Figure  # noqa: E402

from patient_journeys.analysis import MIN_PATIENTS, TOP_K  # noqa: E402
from patient_journeys.events import code_counts, read_journeys, top_codes  # noqa: E402
from patient_journeys.synthetic import CENTRES, centre_files  # noqa: E402


def vocabularies() -> tuple[list[str], list[list[str]]]:
    """Return the 30 codes that are agreed on, and every centre's own 30."""
    journeys = [read_journeys([centre_files(number)]) for number in range(len(CENTRES))]
    total: Counter[str] = Counter()
    for each in journeys:
        total.update(code_counts(each, MIN_PATIENTS))
    return top_codes(total, TOP_K), [top_codes(code_counts(each, 1), TOP_K) for each in journeys]


def table(common: list[str], own: list[list[str]]) -> str:
    """Return how far they agree."""
    shared = [
        f"{len(set(common) & set(codes))} in {city}"
        for codes, city in zip(own, _cities(), strict=True)
    ]
    all_three = set.intersection(*map(set, own))
    same = sum(len(set(codes)) == 1 for codes in zip(*own, strict=True))
    return (
        f"codes of the common {len(common)} among a centre's own: {', '.join(shared)}\n"
        f"codes that all centres have among their own: {len(all_three)}\n"
        f"inputs that are the same code at all centres: {same}"
    )


def draw(common: list[str], own: list[list[str]]) -> Figure:
    """Draw, per input of the network, which code it is: its place in the common vocabulary."""
    place = {code: number for number, code in enumerate(common)}
    rows = [[place.get(code, np.nan) for code in codes] for codes in (*own, common)]
    figure = Figure(figsize=(9, 2.4), layout="constrained")
    axis = figure.subplots()
    axis.set_facecolor("0.8")
    axis.imshow(np.array(rows), aspect="auto", cmap="viridis", interpolation="nearest")
    axis.set_yticks(range(len(rows)), [*_cities(), "agreed on"])
    axis.set_xticks(range(0, TOP_K, 5))
    axis.set(xlabel="input of the network", title="Which code an input is; grey: not agreed on")
    for row in range(1, len(rows)):
        axis.axhline(row - 0.5, color="white", linewidth=3)
    axis.tick_params(length=0)
    axis.spines[:].set_visible(False)
    return figure


def _cities() -> list[str]:
    return [centre.city for centre in CENTRES]


if __name__ == "__main__":
    found = vocabularies()
    print(table(*found))
    draw(*found).savefig(HERE / "pictures" / "vocabulary.png", dpi=110, metadata={"Software": None})
