"""What a formula asks of a table, read when a study is built.

A hospital sees its own rows only, so what a formula learns from rows must be agreed on by all: the
levels of categories, and the means of ``center`` and ``scale``. What learns anything else is
refused here.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from flame_flwr.errors import ModelError
from flame_flwr.regression.packages import formulaic
from flame_flwr.regression.sites import INTERCEPT, site_of
from flame_flwr.statistics.values import check_labels, declared_labels

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from flame_flwr.labels import Label

__all__ = ["Design", "read_design", "read_outcome"]

_ROW_WISE = {"I", "log", "log10", "log2", "exp", "exp10", "exp2"}
_LEARNS_MOMENTS = {"center", "scale"}
_KNOTTED = {"bs", "cr", "cs", "cc"}
_REFUSED = {
    **dict.fromkeys(["poly", "lag", "hashed"], "make the columns in the table function"),
    **dict.fromkeys(
        _KNOTTED,
        "give it knots, lower_bound and upper_bound, as numbers; and so constraints, if any",
    ),
}
_ELSEWHERE = {
    "offset": "an offset is an argument of the study, beside the formula",
    "Q": "write a name with spaces in backticks",
}
"""What other formulas write so, and what is written here."""


@dataclass(frozen=True)
class Design:
    """The right side of a formula.

    Parameters
    ----------
    text : str
        As it was written.
    columns : tuple of str
        The table's columns in it.
    categories : tuple of str
        Those in ``C(...)``: of labels, whatever they hold.
    levels : dict of str to tuple of labels
        The levels that are declared.
    numbers : tuple of str
        Expressions that are one number a row, but for those that learn: bare columns are numbers
        if they hold numbers.
    moments : dict of str to str
        By call of ``center`` and ``scale``, what it centres.
    """

    text: str
    columns: tuple[str, ...]
    categories: tuple[str, ...]
    levels: Mapping[str, tuple[Label, ...]]
    numbers: tuple[str, ...]
    moments: Mapping[str, str]

    @cached_property
    def terms(self) -> Any:
        """The parsed formula, as formulaic has it."""
        return formulaic().Formula(self.text)


def read_design(text: str, levels: Mapping[str, Sequence[Label]] | None = None) -> Design:
    """Return what a right side asks for.

    Parameters
    ----------
    text : str
        Such as ``age + C(stage) + sex:age``.
    levels : dict, optional
        The levels of columns; also ``C(stage, levels=[1, 2, 3])`` declares them.

    Raises
    ------
    ModelError
        It cannot be read, or something in it learns from the rows of one hospital.
    """
    if levels is not None and not isinstance(levels, Mapping):
        raise ModelError("levels must be a dict of columns and their levels, the reference first")
    terms = _parsed(text)
    declared = {
        name: declared_labels(f"levels of {name}", found) for name, found in (levels or {}).items()
    }
    categories: list[str] = []
    numbers: list[str] = []
    moments: dict[str, str] = {}
    columns: set[str] = set()
    # a factor of an interaction stands in several terms
    for factor in dict.fromkeys(factor for term in terms for factor in term.factors):
        method = factor.eval_method.value
        if factor.expr == INTERCEPT or site_of(factor.expr):
            raise ModelError(
                f"no column may have the name {factor.expr}, as an intercept has: rename it in the "
                "table function"
            )
        if method == "lookup":
            columns.add(factor.expr)
            if factor.expr not in declared:
                numbers.append(factor.expr)
            continue
        if method != "python":  # a number of the formula, such as 1
            continue
        tree = _expression(factor.expr)
        columns |= _columns_in(tree)
        calls = list(_checked_calls(tree, factor.expr))
        for call, name in calls:
            if name == "C":
                column, found = _category(call, factor.expr)
                categories.append(column)
                if found is not None:
                    declared[column] = found
            elif name in _LEARNS_MOMENTS:
                moments[ast.unparse(call)] = ast.unparse(call.args[0])
        if not {name for _, name in calls} & {"C", *_LEARNS_MOMENTS, *_KNOTTED}:
            numbers.append(factor.expr)
    unknown = sorted(declared.keys() - columns)
    if unknown:
        raise ModelError(f"levels: the formula has no column {' or '.join(unknown)}")
    for name, found in declared.items():
        check_labels(f"levels of {name}", found)
        if len(found) < 2:
            raise ModelError(f"levels of {name}: give a list of two or more")
    return Design(
        text,
        tuple(sorted(columns)),
        tuple(dict.fromkeys([*categories, *declared])),
        declared,
        tuple(dict.fromkeys(numbers)),
        moments,
    )


def read_outcome(text: str) -> str:
    """Return a left side that is one number a row: a column, or an expression of its own row.

    Raises
    ------
    ModelError
        It is not.
    """
    found = [factor for term in _parsed(f"0 + {text}") for factor in term.factors]
    if len(found) != 1 or found[0].eval_method.value not in ("lookup", "python"):
        raise ModelError(f"the left side of a formula must be one column, such as died, not {text}")
    expression: str = found[0].expr
    if found[0].eval_method.value == "python":
        learning = {name for _, name in _checked_calls(_expression(expression), expression)}
        if learning & {"C", *_LEARNS_MOMENTS, *_KNOTTED}:
            raise ModelError(f"the left side of a formula must be numbers: {text} is not")
    return expression


def _parsed(text: str) -> Any:
    package = formulaic()
    if "." in re.split(r"[\s+*:()-]", text):
        raise ModelError(
            f"the formula {text!r} cannot be read: `.` would be all columns, and hospitals need "
            "not have the same: name each"
        )
    try:
        terms = package.Formula(text)
    except Exception as error:  # of many kinds, of formulaic's parser and of Python's
        why = re.sub(r"\x1b\[[0-9;]*m|[⧛⧚]", "", str(error))  # colours, of terminals
        raise ModelError(f"the formula {text!r} cannot be read: {why}") from error
    if not isinstance(terms, package.formula.SimpleFormula):
        raise ModelError(f"the formula {text!r} must have one right side")
    return terms


def _expression(text: str) -> ast.expr:
    try:
        return ast.parse(text, mode="eval").body
    except SyntaxError as error:
        raise ModelError(
            f"{text} cannot be read: within a function, columns must have names of letters, digits "
            "and underscores; rename them in the table function"
        ) from error


def _checked_calls(tree: ast.expr, text: str) -> Iterator[tuple[ast.Call, str]]:
    """Yield each call that learns or has knots, with its name; refuse what may not be called."""
    for node in ast.walk(tree):
        # such as `age.mean()`: only what is known to go row by row is allowed
        if isinstance(node, ast.Attribute) and not _is_of_a_module(node):
            raise ModelError(f"{text}: `.{node.attr}` may look at all rows: {_IN_TABLE}")
        if isinstance(node, ast.Lambda | ast.comprehension | ast.Subscript):
            raise ModelError(f"{text}: a formula has calls and operators only: {_IN_TABLE}")
        if isinstance(node, ast.MatMult):
            raise ModelError(f"{text}: `@` sums up the rows of one hospital: {_IN_TABLE}")
        if not isinstance(node, ast.Call):
            continue
        name = ast.unparse(node.func)
        if name.startswith("contr.") or name in _ROW_WISE or _is_row_wise(name):
            continue
        if name in _KNOTTED:
            given = {keyword.arg: keyword.value for keyword in node.keywords}
            lacking = {"knots", "lower_bound", "upper_bound"} - given.keys()
            centred = isinstance(given.get("constraints"), ast.Constant)
            if lacking or centred or any(map(_columns_in, given.values())):
                raise ModelError(f"{text} would learn from one hospital's rows: {_REFUSED[name]}")
        elif name in _LEARNS_MOMENTS:
            inner = [call for call in ast.walk(node.args[0]) if isinstance(call, ast.Call)]
            names = {ast.unparse(call.func) for call in inner}
            if len(node.args) != 1 or node.keywords or names & {*_LEARNS_MOMENTS, *_KNOTTED, "C"}:
                raise ModelError(f"{text}: {name} takes one row-wise expression here")
        elif name != "C":
            if name in _ELSEWHERE:
                raise ModelError(f"{text}: `{name}` is no function here: {_ELSEWHERE[name]}")
            why = _REFUSED.get(name, _IN_TABLE)
            raise ModelError(f"{text}: {name} may learn from one hospital's rows: {why}")
        yield node, name


def _columns_in(tree: ast.expr) -> set[str]:
    """Return the names in an expression that are columns, and no functions or modules."""
    others = {id(node.func) for node in ast.walk(tree) if isinstance(node, ast.Call)}
    others |= {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Attribute)}
    return {n.id for n in ast.walk(tree) if isinstance(n, ast.Name) and id(n) not in others}


def _is_of_a_module(node: ast.Attribute) -> bool:
    return isinstance(node.value, ast.Name) and node.value.id in ("np", "contr")


def _is_row_wise(name: str) -> bool:
    module, _, function = name.partition(".")
    found = getattr(np, function, None)
    if isinstance(found, np.ufunc):
        return module == "np" and found.signature is None  # others multiply matrices
    return module == "np" and function in ("where", "clip", "round")


def _category(call: ast.Call, text: str) -> tuple[str, tuple[Label, ...] | None]:
    if not call.args or not isinstance(call.args[0], ast.Name):
        raise ModelError(f"{text}: C takes a column: make one in the table function")
    for keyword in list(call.keywords):
        if keyword.arg == "levels":
            try:  # literals alone: a name would be looked up in each node's table
                return call.args[0].id, tuple(ast.literal_eval(keyword.value))
            except (TypeError, ValueError) as error:
                raise ModelError(f"{text}: levels must be a list of labels") from error
    return call.args[0].id, None


_IN_TABLE = "compute it in the table function, row by row"
