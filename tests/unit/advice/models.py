"""Advice about models, hints on user code, and what travels."""

from __future__ import annotations

import collections
import datetime
import io
import re
import zoneinfo
from typing import Any

import numpy as np
import pandas as pd
from sklearn.linear_model import LogisticRegression

from flame_flwr import privacy
from flame_flwr.data.expect import Table
from flame_flwr.payload import decode, encode, npy_bytes
from flame_flwr.privacy.filter_chain import apply_filters
from flame_flwr.star import (
    StarLocalDPModel,
    StarModel,
)
from flame_flwr.statistics import Histogram, Moments, Quantiles, ValueCounts

from .case import Attempt, Case, Echo, First, arguments, method, run, value_of, with_method


class _Odd:
    """Nothing that the payload knows."""


class _Own(np.ndarray[Any, Any]):
    pass


_MASKED = np.ma.array([1.0, 2.0], mask=[False, True])
_MATRIX = np.matrix([[1.0, 2.0]])


def _of_signature(cls: type[Any], name: str) -> Attempt:
    def attempt(code: str | None) -> None:
        parameters = re.search(r"\((.*)\)", code)[1] if code else "self"
        changed = with_method(cls, name, parameters, "return 1")
        StarModel(*((changed, First) if cls is Echo else (Echo, changed)), "s3")

    return attempt


def _first_round(code: str | None) -> None:
    begin = f"{code} return 0.0" if code else "pass"
    body = f"{begin}\n    return aggregator_results + 1"
    run(
        [1.0],
        analyzer=with_method(Echo, "analysis_method", "self, data, aggregator_results", body),
    )


def _last_result(code: str | None) -> None:
    body = f"{code or 'pass'}\n    return abs(result - last_result) < 1"
    run(
        [1.0],
        with_method(First, "has_converged", "self, result, last_result", body),
        simple_analysis=False,
    )


_READS = {"fhir": "return data[0]['a']['entry']", "s3": "return data[0]['a'].decode()"}
"""How user code reads each type of data."""


def _opens(data_type: str, content: Any) -> Attempt:
    """Read data of the other type than the model says; the advice is to say which it is."""

    def attempt(code: str | None) -> None:
        said = arguments(code).get("data_type", data_type)
        reads = with_method(Echo, "analysis_method", "self, data, last", _READS[said])
        run([[{"a": content}]], analyzer=reads, data_type=said)

    return attempt


MODELS = [
    Case(
        "a pickle",
        r'or declare (payload="pickle") on the model \(only',
        lambda code: run([_Odd()], **arguments(code)),
    ),
    Case(
        "a pickle that comes",
        r'Declare (payload="pickle") on the model on both sides',
        lambda code: decode(
            encode(_Odd(), allow_pickle=True),
            allow_pickle=StarModel(Echo, First, "s3", **arguments(code)).plan.allow_pickle,
        ),
    ),
    Case(
        "a filter on a masked array",
        r"Fill what is masked first, with (\.filled\(0\.0\))",
        lambda code: run(
            [{"a": value_of(code and f"own{code}", _MASKED, own=_MASKED)}],
            filters=[privacy.Clip(1.0)],
        ),
    ),
    Case(
        "a filter on a matrix",
        r"Turn it into a plain array with (numpy\.asarray\(\.\.\.\))",
        lambda code: apply_filters(
            [privacy.Clip(1.0)],
            value_of(code and code.replace("...", "own"), _MATRIX, own=_MATRIX),
            *(None, 1, "a"),
        ),
    ),
    Case(
        "an array of a class of one's own",
        r"into a plain array with (numpy\.asarray\(\.\.\.\))",
        lambda code: encode(
            value_of(code and code.replace("...", "own"), _own(), own=_own()), allow_pickle=False
        ),
    ),
    Case(
        "a defaultdict",
        r"Return (dict\(\.\.\.\)) of it instead",
        lambda code: encode(
            value_of(code and code.replace("...", "own"), _default(), own=_default()),
            allow_pickle=False,
        ),
    ),
    Case(
        "a zone without a name",
        r"Use a zone that has a name: (zoneinfo\.ZoneInfo\(name\))",
        lambda code: encode(
            datetime.datetime(2026, 1, 1, tzinfo=value_of(code, _nameless(), name="Europe/Berlin")),
            allow_pickle=False,
        ),
    ),
    Case(
        "a column of pandas that does not travel",
        r"for example with \.astype\(\.\.\.\), or (\.sparse\.to_dense\(\))",
        lambda code: encode(
            value_of(code and f"own{code}", _SPARSE, own=_SPARSE), allow_pickle=False
        ),
    ),
    Case(
        "a column of pandas that is converted",
        r"for example with (\.astype\(\.\.\.\)), or",
        lambda code: encode(
            value_of(code and f"own{code.replace('...', 'float')}", _SPARSE, own=_SPARSE),
            allow_pickle=False,
        ),
    ),
    Case(
        "an estimator with a sparse array",
        r"such as with (\.densify\(\)), or fit it on a dense array",
        lambda code: encode(
            value_of(code and f"own{code}", _sparsified(), own=_sparsified()), allow_pickle=False
        ),
    ),
    Case(
        "a structured array for Flower",
        r"send what (encode\(\.\.\.\)) makes of it",
        lambda code: encode(_STRUCTURED, allow_pickle=False) if code else npy_bytes(_STRUCTURED),
    ),
    Case(
        "a private result as bytes",
        r"is written as text: (output_type='str')",
        lambda code: StarLocalDPModel(
            Echo,
            First,
            "s3",
            epsilon=1.0,
            sensitivity=1.0,
            **({"output_type": "bytes"} | arguments(code)),
        ),
    ),
    *(
        Case(
            f"an instance of {cls.__name__}",
            r"not an instance: (?:(\w+)|\{name\}), not ",
            lambda code, cls=cls: StarModel(
                *((_given(cls, code), First) if cls is Echo else (Echo, _given(cls, code))), "s3"
            ),
        )
        for cls in (Echo, First)
    ),
    Case(
        "a list of files",
        r"a list needs (multiple_results=True)",
        lambda code: StarModel(Echo, First, "s3", output_type=["str"], **arguments(code)),
    ),
    Case(
        "no filters",
        r"filters must be a list, such as (filters=\[Clip\(1\.0\)\])",
        lambda code: StarModel(Echo, First, "s3", **({"filters": 3} | arguments(code))),
    ),
    Case(
        "no filter in a list",
        r"filters must hold filters of flame_flwr\.privacy, such as (Clip\(1\.0\))",
        lambda code: StarModel(Echo, First, "s3", filters=[value_of(code, 3)]),
    ),
    Case(
        "labels in one text",
        r"a list of labels, such as (\['f', 'm'\])",
        lambda code: ValueCounts.from_data(["f"], value_of(code, "fm")),
    ),
    Case(
        "a number of bins",
        r"a list of numbers, such as (\[0, 10, 20\])",
        lambda code: Histogram.from_data([1.0], value_of(code, 3)),
    ),
    Case(
        "one probability",
        r"a list of probabilities, such as (\[0\.5\])",
        lambda code: Quantiles.from_data([1.0]).result(value_of(code, 0.5)),
    ),
    *(
        Case(
            f"what is shown, {which}",
            pattern,
            lambda code: StarModel(Echo, First, "s3", shown=value_of(code, "auc")),
        )
        for which, pattern in {
            "names": r"may be shown, such as (\['auc'\])",
            "nothing": r"may be shown, such as \['auc'\], (\[\]) for none",
            "all": r"for none, or (None) for all of them",
        }.items()
    ),
    Case(
        "no disclosure rules",
        r"disclosure must be a list of rules, such as (\[MinCount\(5\), [^\]]*\])",
        lambda code: StarModel(Echo, First, "s3", disclosure=value_of(code, 3)),
    ),
    *(
        Case(
            f"nothing to filter, {name}",
            r"Return one, or say (missing='skip') for rounds without",
            lambda code, name=name, given=given: run(
                [{"n": 1}], filters=[getattr(privacy, name)(*given, **arguments(code))]
            ),
        )
        for name, given in [("Clip", (1.0,)), ("TopFraction", (0.5,))]
    ),
    Case(
        "no column",
        r"a Column, such as (Column\('number'\))",
        lambda code: Table("x.csv", columns={"a": value_of(code, 3)}),
    ),
    Case(
        "texts among numbers",
        r"for example with (pandas\.to_numeric\(column, errors='coerce'\))",
        lambda code: Moments.from_data(value_of(code, ["1", "x"], column=pd.Series(["1", "x"]))),
    ),
    Case("no aggregate yet", r"begin with `(if aggregator_results is None:)`", _first_round),
    Case(
        "no last result yet", r"begin with `(if last_result is None: return False)`", _last_result
    ),
    Case(
        "no data",
        r"(data_type='none': say 's3'), 'fhir' or 'sql'",
        lambda code: run(
            [1.0],
            analyzer=with_method(Echo, "analysis_method", "self, data, last", "return data + 1"),
            data_type=re.search(r"say '(\w+)'", code)[1] if code else "none",
        ),
    ),
    Case("files for bundles", r"not bundles \(dicts\): say (data_type='s3')", _opens("fhir", b"x")),
    Case(
        "bundles for files",
        r"not files \(bytes\): say (data_type='fhir')",
        _opens("s3", {"resourceType": "Bundle", "entry": []}),
    ),
    *(
        Case(
            f"the signature of {name}",
            rf"Write def (?:\{{name\}}|({name}\(.*\)))",
            _of_signature(cls, name),
        )
        for cls, name in [
            (Echo, "analysis_method"),
            (Echo, "evaluation_method"),
            (First, "aggregation_method"),
            (First, "has_converged"),
            (First, "final_method"),
        ]
    ),
    *(
        Case(
            f"a constructor without flame, {cls.__name__}",
            r"Write def (__init__\(self, flame\), and in it super\(\)\.__init__\(flame\))",
            lambda code, cls=cls: _constructed(cls, code),
        )
        for cls in (Echo, First)
    ),
    Case(
        "rounds without end",
        r"Otherwise raise `(\{limit\}|max_rounds)`",
        lambda code: run([1.0], simple_analysis=False, **{code or "max_rounds": 9 if code else 2}),
    ),
]


def _constructed(cls: type[Any], code: str | None) -> None:
    parameters, body = "self", "..."
    if code:
        parameters = re.search(r"__init__\((.*?)\)", code)[1]
        body = code.partition("in it ")[2].replace("super()", "super(type(self), self)")
    changed = type("Changed", (cls,), {"__init__": method("__init__", parameters, body)})
    assert run([1.0], **{"analyzer" if cls is Echo else "server": changed}) == 1.0


def _given(cls: type[Any], code: str | None) -> Any:
    return {cls.__name__: cls}[code] if code else cls.__new__(cls)  # as if made


def _sparsified():
    return LogisticRegression().fit([[0], [1]], [0, 1]).sparsify()


def _own() -> Any:
    return np.zeros(2).view(_Own)


def _default() -> Any:
    return collections.defaultdict(lambda: 1, a=1)


def _nameless() -> zoneinfo.ZoneInfo:
    """Return UTC as a zone that was read from a file, the smallest that there can be."""
    counts = b"".join(n.to_bytes(4, "big") for n in (0, 0, 0, 0, 1, 4))
    part = b"TZif2" + bytes(15) + counts + bytes(6) + b"UTC\0"
    return zoneinfo.ZoneInfo.from_file(io.BytesIO(part + part + b"\nUTC0\n"))


_STRUCTURED = np.zeros(2, dtype=[("a", int)])
_SPARSE = pd.Series([0.0, 1.0], dtype="Sparse[float]")
