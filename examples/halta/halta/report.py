"""The study's report, as plain text for a physician.

Every number of patients passes through :mod:`halta.disclosure` on its way into the text.
"""

from __future__ import annotations

import textwrap
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from halta.describe import AGE_GROUPS, LABEL_GROUPS, SEX_GROUPS, Merged, column_group
from halta.disclosure import SMALLEST, count_text, percent_text, protect, share_texts
from halta.features import Agreement

__all__ = ["write_report"]

_WIDTH = 88
_BLOCK = 6  # hospitals side by side
_TOP_COLUMNS = 12
_TOP_WEIGHTS = 15
_COUNTS = ("true_positive", "false_negative", "true_negative", "false_positive")


def write_report(
    merged: Merged,
    agreement: Agreement,
    model: Mapping[str, Any],
    evaluations: Mapping[str, Mapping[str, float]],
    tolerance: float,
) -> str:
    """Write the report.

    Parameters
    ----------
    merged : Merged
        The hospitals' descriptive statistics.
    agreement : Agreement
        The agreed features and those left out.
    model : dict
        The last aggregate: ``coef``, ``features``, ``rounds``, ``change``.
    evaluations : dict of str to dict
        For each hospital that answered, the counts of its held-out patients.
    tolerance : float
        Below this change of the weights training would have stopped by itself.
    """
    sections = [
        _title(merged),
        _hospitals(merged),
        _groups("2. Age in years", AGE_GROUPS, merged, merged.age),
        _groups("3. Sex", SEX_GROUPS, merged, merged.sex),
        _labels(merged),
        _missing(merged),
        _features(agreement),
        _training(model, tolerance),
        _weights(model),
        _accuracy(merged, evaluations),
        _notes(),
    ]
    return "\n\n".join(sections) + "\n"


def _title(merged: Merged) -> str:
    line = "LONG COVID (PASC) STUDY: REPORT OVER ALL HOSPITALS"
    return f"{line}\n{'=' * len(line)}\n{merged.total}. No patient record has left a hospital."


def _hospitals(merged: Merged) -> str:
    cells = merged.rows * merged.columns
    empty = np.sum([np.maximum(counts, 0) for counts in merged.missing.values()], axis=0)
    everywhere = sum(bool((counts >= 0).all()) for counts in merged.missing.values())
    rows = {
        "Patients": [*map(count_text, merged.rows.tolist()), count_text(int(merged.rows.sum()))],
        "Columns in the file": [*map(str, merged.columns.tolist()), str(len(merged.missing))],
        "Empty cells": [
            percent_text(int(part), int(whole))
            for part, whole in zip([*empty, empty.sum()], [*cells, cells.sum()], strict=True)
        ],
    }
    table = _by_hospital(merged, "", rows)
    if merged.hospitals is None:
        columns = f"{everywhere} of the {len(merged.missing)} columns exist at every hospital."
    else:
        columns = "The columns are the protocol's; one that a hospital has not is empty there."
    return _section("1. Hospitals", f"{table}\n\n{columns}")


def _groups(title: str, groups: Sequence[str], merged: Merged, counts: Any) -> str:
    """Write a table of patients, with the groups that have any."""
    protected = protect(counts)
    rows = {groups[k]: protected.text[k] for k in np.flatnonzero(counts.any(axis=1)).tolist()}
    return _section(title, _by_hospital(merged, "", rows))


def _labels(merged: Merged) -> str:
    protected = protect(merged.label)
    rows = dict(zip(LABEL_GROUPS, protected.text, strict=True))
    rows["share with Long COVID"] = share_texts(merged.label)
    left = rows["not assessed"][-1]
    return _section(
        "4. Long COVID",
        f"{_by_hospital(merged, '', rows)}\n\n"
        f"Patients who were not assessed ({left}) are counted above and left out of the training "
        "and the\ntest of the model. The share is that of the assessed patients.",
    )


def _missing(merged: Merged) -> str:
    by_group: dict[str, list[str]] = {}
    for name in merged.missing:
        by_group.setdefault(column_group(name), []).append(name)
    groups = {
        f"{group} ({len(names)})": _shares(merged, names)
        for group, names in sorted(by_group.items())
    }
    parts = [_by_hospital(merged, "group (columns)", groups)]
    share = {name: _overall_share(merged, name) for name in merged.missing}
    worst = sorted((name for name in share if share[name] > 0), key=lambda n: (-share[n], n))
    if worst:
        columns = {name: _shares(merged, [name]) for name in worst[:_TOP_COLUMNS]}
        parts += [
            "The columns with the most empty cells:",
            _by_hospital(merged, "column", columns),
            "Some columns are empty by nature, such as the date of a third vaccination."
            if merged.hospitals
            else '"-" means that the file has no such column. Some columns are empty by nature, '
            "such as\nthe date of a third vaccination.",
        ]
    return _section("5. Missing values: share of empty cells", "\n\n".join(parts))


def _shares(merged: Merged, names: Sequence[str]) -> list[str]:
    """Return the share of empty cells in some columns, per hospital and for all of them."""
    counts = np.stack([merged.missing[name] for name in names])
    empty = np.maximum(counts, 0).sum(axis=0)
    cells = (counts >= 0).sum(axis=0) * merged.rows
    return [
        percent_text(int(part), int(whole))
        for part, whole in zip([*empty, empty.sum()], [*cells, cells.sum()], strict=True)
    ]


def _overall_share(merged: Merged, name: str) -> float:
    counts = merged.missing[name]
    return float(np.maximum(counts, 0).sum() / merged.rows[counts >= 0].sum())


def _features(agreement: Agreement) -> str:
    reasons: dict[str, list[str]] = {}
    for name, reason in agreement.left_out.items():
        reasons.setdefault(reason, []).append(name)
    parts = [
        f"The model uses the {len(agreement.features)} symptoms and characteristics that every "
        "hospital records:",
        _wrapped(agreement.features),
        f"Left out: {len(agreement.left_out) or 'none'}.",
        *(f"{reason}:\n{_wrapped(names)}" for reason, names in sorted(reasons.items())),
    ]
    return _section("6. What the model looks at", "\n\n".join(parts))


def _training(model: Mapping[str, Any], tolerance: float) -> str:
    rounds, change = model["rounds"], model["change"]
    if change < tolerance:
        why = (
            f"Training stopped because the weights no longer changed: by {change:.2g} in the last "
            f"round, less than the limit of {tolerance:g}."
        )
    else:
        why = (
            f"Training stopped because {rounds} rounds are the most allowed. In the last one the "
            f"weights still changed by {change:.2g}; it would have stopped by itself below "
            f"{tolerance:g}."
        )
    text = (
        f"The hospitals first agreed on the features above, then trained for {rounds} rounds. In "
        "each round every hospital improved the common model with its own patients, and the "
        f"results were averaged, larger hospitals counting more. {why}"
    )
    return _section("7. Training", textwrap.fill(text, _WIDTH))


def _weights(model: Mapping[str, Any]) -> str:
    coef = np.asarray(model["coef"])
    order = np.lexsort((np.arange(len(coef)), -np.abs(coef)))[:_TOP_WEIGHTS]
    rows = {
        model["features"][k]: [
            f"{coef[k]:+.3f}",
            "speaks for Long COVID" if coef[k] > 0 else "speaks against it    ",
        ]
        for k in order.tolist()
    }
    return _section(
        f"8. The model's {len(rows)} strongest features",
        f"{_table('feature', ['weight', ''], rows)}\n\n"
        "A weight belongs to one standard deviation of its feature, so weights can be compared.\n"
        "It shows what the model goes by, not what causes Long COVID.",
    )


def _accuracy(merged: Merged, evaluations: Mapping[str, Mapping[str, float]]) -> str:
    by_hospital = {} if merged.hospitals else evaluations
    rows = {site: _accuracy_row(answer) for site, answer in by_hospital.items()}
    total = {key: sum(answer[key] for answer in evaluations.values()) for key in _COUNTS}
    rows["all"] = [
        # A hidden share would follow from the others' and the overall one.
        entry if k == 0 or all(_exact(row[k]) for row in rows.values()) else _tens(entry)
        for k, entry in enumerate(_accuracy_row(total))
    ]
    header = ["tested", "right", "guessing", "ill found", "healthy found"]
    text = _table("", header, rows)
    silent = [site for site in merged.sites if site not in evaluations]
    if silent:
        text += f"\n\nNo answer from {', '.join(silent)}."
    return _section(
        "9. How often the model is right",
        f"{text}\n\n"
        "tested         patients kept aside at each hospital; the model never learned from them\n"
        "right          share of them the model judges correctly\n"
        "guessing       share right when always naming the more frequent answer: the number to "
        "beat\n"
        "ill found      share of the patients with Long COVID whom the model finds\n"
        "healthy found  share of the patients without it whom the model clears",
    )


def _accuracy_row(counts: Mapping[str, float]) -> list[str]:
    hit, missed, cleared, alarmed = (int(counts[key]) for key in _COUNTS)
    ill, healthy = hit + missed, cleared + alarmed
    tested = ill + healthy
    found = [percent_text(hit, ill, 1), percent_text(cleared, healthy, 1)]
    if not all(map(_exact, found)):
        found = [_tens(entry) for entry in found]
    return [
        count_text(tested),
        percent_text(hit + cleared, tested, 1),
        percent_text(max(ill, healthy), tested, 1),
        *found,
    ]


def _exact(entry: str) -> bool:
    return entry[0].isdigit()


def _tens(entry: str) -> str:
    """Round a share to tens of percent: ``81.8 %`` becomes ``~80 %``."""
    return f"~{round(float(entry.split()[0]) / 10) * 10} %" if _exact(entry) else entry


def _notes() -> str:
    text = (
        f"Groups of 1 to {SMALLEST - 1} patients are shown as <{SMALLEST}. Where such a number "
        "would follow from a sum, other numbers of its row or column are rounded to tens and "
        f'marked ~. A share is shown as <{SMALLEST} or "all but <{SMALLEST}" where it would tell '
        f'of 1 to {SMALLEST - 1}, and as "-" if it is one of fewer than {SMALLEST}. Ages of 100 '
        "and more, impossible ages and missing ones have rows of their own, so that every patient "
        "is counted in every table."
    )
    return _section("Notes", textwrap.fill(text, _WIDTH))


def _section(title: str, body: str) -> str:
    return f"{title}\n{'-' * len(title)}\n{body}"


def _wrapped(names: Sequence[str]) -> str:
    return textwrap.fill(
        ", ".join(names),
        _WIDTH,
        initial_indent="  ",
        subsequent_indent="  ",
        break_long_words=False,
        break_on_hyphens=False,
    )


def _by_hospital(merged: Merged, corner: str, rows: Mapping[str, Sequence[str]]) -> str:
    """Align a table with a column for each hospital and one for all; of sums, with that alone."""
    first = 0 if merged.hospitals is None else len(merged.sites)
    header = [*merged.sites, "all"][first:]
    return _table(corner, header, {name: entries[first:] for name, entries in rows.items()})


def _table(corner: str, header: Sequence[str], rows: Mapping[str, Sequence[str]]) -> str:
    """Align a table: names to the left, entries to the right, few hospitals side by side."""
    lines = [(corner, header), *rows.items()]
    left = max(len(name) for name, _ in lines)
    widths = [max(len(entries[k]) for _, entries in lines) for k in range(len(header))]
    *hospitals, last = range(len(header))
    blocks = [hospitals[k : k + _BLOCK] for k in range(0, len(hospitals), _BLOCK)] or [[]]
    blocks[-1].append(last)
    return "\n\n".join(
        "\n".join(
            "  ".join([name.ljust(left), *(entries[k].rjust(widths[k]) for k in block)]).rstrip()
            for name, entries in lines
        )
        for block in blocks
    )
