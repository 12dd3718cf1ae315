"""Turns the traces of a check's runs into findings about the analysis."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from flame_flwr.testing.findings import Finding, Severity
from flame_flwr.testing.trace import first_difference

if TYPE_CHECKING:
    from collections.abc import Sequence

    from flame_flwr.testing.spec import CheckSpec
    from flame_flwr.testing.subjects import Subject
    from flame_flwr.testing.trace import Difference, Trace, Trouble

__all__ = ["Verdicts"]


class Verdicts:
    """Keeps the findings of a check.

    Parameters
    ----------
    subject : Subject
        What is checked.
    spec : CheckSpec
        Its tolerance and limits.
    """

    def __init__(self, subject: Subject, spec: CheckSpec) -> None:
        self.findings: list[Finding] = []
        self._spec = spec
        self._analyzer = subject.plan.analyzer.__name__
        self._server = subject.server
        ends = hasattr(subject.aggregator, "final_method")
        self._last_method = "final_method" if ends else "aggregation_method"

    def has(self, check: str) -> bool:
        """Tell whether a check has found something."""
        return any(finding.check == check for finding in self.findings)

    def imported(self, made: Sequence[str], moved: str = "") -> None:
        """Judge the import of the user's modules by the files it made, and by where it went.

        Parameters
        ----------
        made : sequence of str
            Files and folders, relative to the working directory.
        moved : str
            Where it changes the working directory to, if it does.
        """
        if moved:
            self._add(
                "folder",
                "",
                "",
                f"its import changes the working directory to {moved}. On Flower the methods run "
                "in another folder all the same",
                _MOVED,
                "warning",
            )
        if made:
            self._add(
                "folder",
                "",
                "",
                f"its import makes {', '.join(map(repr, made))} relative to the working "
                "directory. On Flower it is imported in one folder and run in another",
                "Make it in the method that needs it: Path(...).mkdir(exist_ok=True)",
                "warning",
            )

    def first_run(self, trace: Trace) -> None:
        """Judge the run in one process by itself."""
        self.findings += trace.findings
        trouble = trace.trouble
        if self.missing_file(trace):
            return
        if trouble is not None:
            if not (trouble.type == "RefusedWriteError" and self.has("folder")):
                self._trouble(trouble, "runs")
            return
        if not trace.converged or trace.rounds > self._spec.max_rounds:
            said = "it said True only after" if trace.converged else "it did not say True in"
            never = not trace.converged and trace.rounds >= self._spec.limit
            limit = "a run fails then" if never else f"max_rounds is {self._spec.max_rounds}"
            self._add(
                "converges",
                self._server,
                "has_converged",
                f"{said} {trace.rounds} rounds; {limit}",
                "Look at its condition; a limit ends it in any case: "
                "`or self.num_iterations >= 50`. Where so many are wanted, say so with max_rounds "
                "(--max-rounds)",
                "error" if never else "warning",
            )
        if trace.unwritable:
            self._add(
                "result",
                self._server,
                self._last_method,
                trace.unwritable,
                "Return what output_type says, or declare another output_type",
            )

    def missing_file(self, trace: Trace) -> bool:
        """Report the file of the user's that a run in an empty folder has not found, if it has."""
        trouble = trace.trouble
        if trouble is None or not trouble.missing or trouble.at is None:
            return False
        if not any(Path(home, trouble.missing).exists() for home in self._spec.homes):
            return False  # a file that the analysis should have made itself
        self._add(
            "folder",
            trouble.at.class_name,
            trouble.at.method,
            f"it reads {trouble.missing!r} relative to the working directory "
            f"({trouble.place or trouble.at}). "
            "On Flower there is no such file",
            _BUNDLED,
        )
        return True

    def compare(
        self, check: str, first: Trace, other: Trace, order: Sequence[int] | None = None
    ) -> None:
        """Compare two runs that should be the same.

        Parameters
        ----------
        check : str
            What the other run was done for: ``repeats``, ``process``, ``arrival``, ``order`` or
            ``masks``.
        first, other : Trace
            The runs.
        order : sequence of int, optional
            In which order the other one had the nodes.
        """
        run, differs, mend = _COMPARED[check]
        after = ""
        if check == "process":
            changed = [*dict.fromkeys([*first.changed, *other.changed])][:5]
            after = f". Changed while it ran: {', '.join(changed)}" if changed else ""
        trouble = other.trouble
        if self.missing_file(other):
            return
        if trouble is not None:
            # it has written into its folder what it does not find there later, or was not let write
            missing = trouble.type in ("FileNotFoundError", "RefusedWriteError")
            if check == "process" and missing and self.has("folder"):
                self._make_error("folder", *(trouble.at or ("", ""))[:2])
            else:
                own = check in ("process", "masks")
                self._trouble(trouble, check, run, after, mend if own else "")
            return
        found = first_difference(first, other, self._spec.tolerance, order)
        if found is not None:
            self._difference(check, found, differs, mend, after)

    def leaks(self, first: Trace, later: Trace) -> None:
        """Compare with a run after another one in the same process, if there was time for it."""
        trouble = later.trouble
        if trouble is not None and trouble.kind == "hung":
            return
        if trouble is not None and trouble.kind == "died":
            differs = f"ended the process with code {trouble.text}"
        elif trouble is not None:
            differs = f"failed: {trouble.type}: {trouble.text}"
        else:
            found = first_difference(first, later, self._spec.tolerance)
            if found is None:
                return
            differs = f"differs: {found.what} ({found.text})"
        self._add(
            "leaks",
            "",
            "",
            f"a second run in the same process {differs}. The first one has changed "
            f"{', '.join(first.changed[:5])}",
            "Keep it as an attribute of self: on Flower every run has a process of its own, in a "
            "test or a notebook it has not. A run that goes on from its checkpoint after the "
            "server's death loses what the aggregator keeps elsewhere",
            "warning",
        )

    def _difference(self, check: str, found: Difference, what: str, mend: str, after: str) -> None:
        """Report where two runs differ, unless what is known of the method explains it."""
        of_node = found.method in ("analysis_method", "evaluation_method")
        owner = self._analyzer if of_node else self._server
        explains = [
            f.check
            for f in self.findings
            if (f.class_name, f.method) == (owner, found.method) and f.check in ("folder", "data")
        ]
        for cause in explains:
            self._make_error(cause, owner, found.method)
        if explains:
            return
        self._add(check, owner, found.method, f"{found.what} {what} ({found.text}){after}", mend)

    def _trouble(
        self, trouble: Trouble, check: str, run: str = "", after: str = "", mend: str = ""
    ) -> None:
        """Report why a run did not come to its end, under the check that it belongs to."""
        at = trouble.at
        owner, method = (at.class_name, at.method) if at is not None else ("", "")
        where = f" ({at})" if at is not None else ""
        failed = f"{run} failed: " if run else ""
        if trouble.kind == "unsaved":
            attribute, _, advice = trouble.text.partition("; ")
            self._add(
                "state", owner, method, attribute, _sentence(advice.partition(" [")[0]) or _STATE
            )
        elif trouble.kind == "hung":
            limit = f"after {self._spec.seconds:g} s{' in all' if run else ''}"
            seen = f"{run or 'it'} had not come to its end {limit}{where}"
            self._add("runs", owner, method, seen, _SLOW)
        elif trouble.kind == "died":
            seen = f"{failed}its process ended with code {trouble.text}{where}"
            self._add("runs", owner, method, seen, _DIED)
        elif trouble.type == "PayloadError":
            if method == "has_converged":
                method = "aggregation_method"
            seen, _, advice = trouble.text.partition(" cannot travel between nodes")
            path = trouble.text.rpartition(" [")[2].removesuffix("]")
            advice = _sentence(advice.rpartition(" [")[0].lstrip(".: "))
            seen = f"{seen[:1].lower()}{seen[1:]} (at {path}) cannot travel between nodes{where}"
            self._add("travels", owner, method, seen, advice)
        elif trouble.type == "SystemExit":
            self._add(check, owner, method, f"{failed}it called sys.exit{where}", _EXIT)
        else:
            place = f" at {trouble.place}" if trouble.place else ""
            seen = f"{failed}{trouble.type}: {trouble.text}{place}{where}{after}"
            self._add(check, owner, method, seen, _sentence(trouble.hint) or mend or _DEBUG)

    def _make_error(self, check: str, owner: str, method: str) -> None:
        """Make a check's warnings of a method errors: they have been seen to break the analysis.

        So are those of an import, and all of them where none is the method's.
        """
        near = [f for f in self.findings if f.check == check and f.class_name in ("", owner)]
        near = [f for f in near if f.method in ("", method)]
        guilty = near or [f for f in self.findings if f.check == check]
        self.findings = [
            replace(finding, severity="error") if finding in guilty else finding
            for finding in self.findings
        ]

    def _add(
        self,
        check: str,
        owner: str,
        method: str,
        seen: str,
        mend: str,
        severity: Severity = "error",
    ) -> None:
        finding = Finding(check, owner, method, seen, mend, severity)
        if check not in self._spec.skip and finding not in self.findings:
            self.findings.append(finding)


_COMPARED = {
    "repeats": (
        "the second of two runs",
        "differs between two runs",
        "Seed every generator (random_state=..., numpy.random.default_rng(seed)), keep it on self, "
        "and let nothing depend on the clock or on the order of a set",
    ),
    "process": (
        "the run with a new process for every message",
        "differs with a new process for every message",
        "Keep it as an attribute of self: the analyzer's attributes are saved between rounds, "
        "nothing else is, and nodes share nothing. Where a method asks for a relative path, it is "
        "the working directory: on Flower that is a folder of its own",
    ),
    "arrival": (
        "the run with the last node first",
        "depends on which node answers first",
        "Let nodes share nothing (class attributes, globals, files), and merge their values in a "
        "way that has no order",
    ),
    "order": (
        "the run with the nodes in another order",
        "is another one with the nodes in another order",
        "Give no place in analysis_results a meaning: names are sorted, and another hospital may "
        "come first. self.answered_node_ids says whose result is whose",
    ),
    "masks": (
        "the run with masked sums",
        "differs with masked sums",
        "Give three splits or more, and nodes nothing beside the aggregate: a run fails likewise",
    ),
}
"""What the other run is called, how a value differs in it, and what to do."""

_STATE = "Make it anew in analysis_method, or leave it out in __getstate__"
_SLOW = (
    "Look for a loop there. If the analysis is only slow, give smaller splits or more time: "
    "seconds=..., --seconds"
)
_BUNDLED = (
    "Let the nodes have it as data; or, of a kind that Flower bundles with an app (.json, .yaml, "
    ".toml, ...), read it beside the code: Path(__file__).parent"
)
_MOVED = "Leave it as it is, and make paths absolute: Path(__file__).parent / ..."
_DIED = "Nothing in an analysis may end its process: look for os._exit, or a crash in a library"
_EXIT = "Return a value, or raise an error that says what is wrong"
_DEBUG = (
    "Mend it there; flame_flwr.star.StarModelTester runs the same in one process, open to a "
    "debugger"
)


def _sentence(text: str) -> str:
    """Return text with a capital at its beginning, unless that is code, and no full stop."""
    word = text.partition(" ")[0]
    start = f"{text[:1].upper()}{text[1:]}" if word.isalpha() else text
    return start.rstrip(". ")
