"""The tags that numbers have in TensorBoard: of letters that it takes, no two of them the same."""

from __future__ import annotations

import re

__all__ = ["Tags"]

_NOT_IN_TAGS = re.compile(r"[^-/\w.]")
_FRAMEWORKS = ("mean", "weighted", "round", "evaluation", "metric")
_STARTS = {
    "metric": "",
    "mean of metric": "mean",
    "weighted mean of metric": "weighted",
    "evaluation": "evaluation",
    "mean of evaluation": "evaluation/mean",
    "weighted mean of evaluation": "evaluation/weighted",
}


class Tags:
    """Tags of letters that TensorBoard takes, no two of them the same.

    Other signs become ``_``; a name that then is another's gets a number behind it. A metric whose
    name begins as the framework's own tags do (``mean``, ``round``, ``evaluation``) is below
    ``metric/``.

    Examples
    --------
    >>> tags = Tags()
    >>> tags.of("metric", "loss", "hospital-a"), tags.of("mean of evaluation", "auc")
    ('loss/hospital-a', 'evaluation/mean/auc')
    """

    def __init__(self) -> None:
        self._given: dict[tuple[str, ...], str] = {}
        self._taken: set[str] = set()

    def of(self, kind: str, name: str, node: str = "") -> str:
        """Return a number's tag, always the same.

        Parameters
        ----------
        kind : str
            What it is: 'metric' or 'evaluation', 'mean of' these, or 'weighted mean of' them.
        name, node : str
            The metric's and, where it is one node's, the node's.
        """
        key = (kind, name, node)
        if key not in self._given:
            shown = self._unique(("name", name), _clean(name))
            # A metric called "mean" would else share tags with the framework's means.
            own = kind == "metric" and shown.split("/")[0] in _FRAMEWORKS
            start = "metric" if own else _STARTS[kind]
            parts = (start, shown, self._unique(("node", node), _clean(node)) if node else "")
            self._unique(key, "/".join(filter(None, parts)))
        return self._given[key]

    def _unique(self, key: tuple[str, ...], text: str) -> str:
        """Return the text, with a number where another thing of this kind has it already."""
        if key in self._given:
            return self._given[key]
        of_kind = "tag" if len(key) > 2 else key[0]
        tried, number = text, 1
        while f"{of_kind} {tried}" in self._taken:
            number += 1
            tried = f"{text}_{number}"
        self._taken.add(f"{of_kind} {tried}")
        self._given[key] = tried
        return tried


def _clean(text: str) -> str:
    return _NOT_IN_TAGS.sub("_", text).strip("/") or "_"
