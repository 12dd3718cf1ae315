"""How a run was computed, as a paragraph for a paper's methods section, and what it refers to."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from flame_flwr.results.report_words import DATA, failed_nodes, listed, setting, why_stopped
from flame_flwr.text.shown_text import one_line
from flame_flwr.text.words import counted, name_in_words

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["RULES_IN_WORDS", "methods"]

_WORKS = {
    "flower": "Beutel DJ, Topal T, Mathur A, et al. Flower: a friendly federated learning research "
    "framework. arXiv:2007.14390, 2020.",
    "numpy": "Harris CR, Millman KJ, van der Walt SJ, et al. Array programming with NumPy. "
    "Nature 585, 357-362, 2020.",
    "averaging": "McMahan B, Moore E, Ramage D, Hampson S, Agüera y Arcas B. "
    "Communication-efficient learning of deep networks from decentralized data. AISTATS, 2017.",
    "masks": "Bonawitz K, Ivanov V, Kreuter B, et al. Practical secure aggregation for "
    "privacy-preserving machine learning. ACM CCS, 2017.",
    "laplace": "Dwork C, McSherry F, Nissim K, Smith A. Calibrating noise to sensitivity in "
    "private data analysis. TCC, 2006.",
    "gaussian": "Balle B, Wang YX. Improving the Gaussian mechanism for differential privacy. "
    "ICML, 2018.",
    "sparse": "Lyu M, Su D, Li N. Understanding the sparse vector technique for differential "
    "privacy. VLDB, 2017.",
}
RULES_IN_WORDS = {
    "MaxBins": "no statistic of too many bins, labels, cells or times leaves",
    "MaxRows": "no table of too many rows leaves",
    "MinCount": "no figure about too few people leaves",
    "NoisyMinMax": "a smallest and a largest value leave moved outwards, by chance",
    "RowsPerParameter": "a regression leaves only of enough rows for each parameter",
    "Strict": "only statistics leave, of which the rules see every figure",
}
"""A node names the kinds of its rules, and not how they are set."""

_OWN = "the study's own aggregator"


class _Cited:
    """The works that the text refers to, in the order in which it does."""

    def __init__(self) -> None:
        self.works: list[str] = []

    def __call__(self, name: str) -> str:
        if _WORKS[name] not in self.works:
            self.works.append(_WORKS[name])
        return f"[{self.works.index(_WORKS[name]) + 1}]"


def methods(about: dict[str, Any]) -> tuple[list[str], list[str]]:
    """Return the text, in paragraphs, and the works that it refers to by number.

    Parameters
    ----------
    about : dict
        What ``run.json`` says.
    """
    cite = _Cited()
    parts = (_computed(about, cite), _protected(about, cite), _software(about, cite))
    return [text for part in parts if (text := " ".join(part))], cite.works


def _computed(about: dict[str, Any], cite: _Cited) -> Iterator[str]:
    """Say what ran where, and how it ended."""
    nodes = counted(len(about["nodes"]), "node")
    called = _quoted(setting(about, "analyzer"), "analyzer")
    masked = about["secure"] and about["secure"]["masked"]
    received = "the sum of what they returned" if masked else "what that returned"
    yield (
        f"The analysis{called} was federated over {nodes}: at each of them it computed on the data "
        f"that is there, and the server received {received}."
    )
    if about["study"].get("data") in DATA and _is_of_its_type(about):
        yield f"The nodes' data were {DATA[about['study']['data']]}."
    people = setting(about, "people by")
    if people:
        yield f"People were told apart by {people}."
    expected = setting(about, "expects")
    if expected:
        yield f"Each node first looked whether its data was as expected: {expected}."
    own = setting(about, "aggregator")
    how = f"{_OWN}{_quoted(own, 'aggregator')}" if own else setting(about, "strategy")
    averaging = (
        " " + cite("averaging") if "WeightedFedAvg" in about["study"].get("strategy", "") else ""
    )
    if how:
        yield f"The nodes' results of a round were merged by {how}{averaging}."
    yield from _end(about)
    missing = failed_nodes(about)
    if missing:
        yield f"In some rounds no result came from {listed(missing)}."
    if about["data_changed"]:
        yield f"Between rounds the data changed at {listed(list(about['data_changed']))}."
    if about["frozen"]:
        yield f"The data of {listed(list(about['frozen']))} was frozen before the first round."


def _quoted(name: str, kind: str) -> str:
    """Return what a class is called, as an aside; nothing where that says no more than its kind."""
    return f" ({name})" if name not in ("", kind) else ""


def _is_of_its_type(about: dict[str, Any]) -> bool:
    """Tell whether nodes had what is declared: simulated ones may have any object."""
    sized = {"s3": "file", "fhir": "resource", "sql": "row", "none": ""}[about["study"]["data"]]
    sizes = about["sizes"].values()
    return any(sized in size for size in sizes) if sizes else bool(about["run_id"])


def _end(about: dict[str, Any]) -> Iterator[str]:
    rounds = counted(about["rounds"], "round")
    declared = setting(about, "convergence")
    if declared:
        yield f"By what was declared, the analysis {declared}."
    if about["status"] == "completed":
        reason = f": {why_stopped(about['reason'])}" if about["reason"] else ""
        yield f"It ended after {rounds}{reason}."
    else:
        yield f"It failed after {rounds}, so that there is no final result."


def _protected(about: dict[str, Any], cite: _Cited) -> Iterator[str]:
    """Say which rules held, what was changed before it left, and what was masked."""
    rules = setting(about, "disclosure")
    if rules:
        yield f"By the rules of the analysis, {rules}."
    for names, nodes in _alike(about["disclosure"]).items():
        held = "; ".join(map(_rule_in_words, names))
        yield (
            f"At {listed(nodes)} these disclosure rules held (a node does not say how its own are "
            f"set): {held}."
        )
    filters = setting(about, "filters")
    if filters:
        works = {"GaussianNoise": "gaussian", "SparseVector": "sparse"}
        named = about["study"].get("filters", "")
        cited = "".join(f" {cite(work)}" for name, work in works.items() if name in named)
        yield f"Each node changed its results before they left: {filters}{cited}."
    spent = [
        said["epsilon"] for said in about["filters"].values() if said.get("epsilon") is not None
    ]
    if spent:
        yield f"The noise of all answers of a node comes to an epsilon of {max(spent):.4g} at most."
    secure = about["secure"]
    if secure and secure["masked"]:
        yield (
            "What the nodes returned left them masked by pairwise secrets that cancel in the sum "
            f"over all nodes {cite('masks')}: the server learned sums over all nodes, and no "
            f"node's own part (protocol {secure['protocol']}, identities: {secure['identities']})."
        )
    elif secure:
        yield "Sums were exact, on a grid of fixed-point numbers, and not masked."
    if about["privacy"]:
        private = about["privacy"]
        yield (
            f"The final result has Laplace noise {cite('laplace')}, with epsilon "
            f"{private['epsilon']:g} and sensitivity {private['sensitivity']:g}: it is "
            "differentially private, where one person more or less changes it by no more than that."
        )


def _software(about: dict[str, Any], cite: _Cited) -> Iterator[str]:
    versions = about["versions"]
    where = "on Flower" if about["run_id"] else "with all nodes in one process, beside Flower"
    yield (
        f"The run was made with flame-flwr {versions.get('flame-flwr', '')} {where} "
        f"{versions.get('flwr', '')} {cite('flower')}, NumPy {versions.get('numpy', '')} "
        f"{cite('numpy')} and Python {versions.get('python', '')}."
    )
    if about["app"]:
        yield f"The app was {about['app']}, the run {about['run_id']}."
    if about["resumed_after"]:
        yield f"It went on with a checkpoint after round {about['resumed_after']}."


def _alike(disclosure: dict[str, list[str]]) -> dict[tuple[str, ...], list[str]]:
    """Return the nodes whose answers went through the same rules, by the rules' names."""
    found: dict[tuple[str, ...], list[str]] = {}
    for node, rules in disclosure.items():
        found.setdefault(tuple(rules), []).append(node)
    return found


def _rule_in_words(kind: str) -> str:
    """Return what a kind of rule does; of a hospital's own kind there is no more than its name."""
    name = name_in_words(one_line(kind, 200))
    return f"{RULES_IN_WORDS[kind]} ({name})" if kind in RULES_IN_WORDS else name
