"""FHIR bundles as they come: every paging style gives the same entries, or says what is missing."""

import pytest

from flame_flwr.data.fhir_bundles import read_entries
from flame_flwr.errors import DataError

NEXT = [{"relation": "next", "url": "https://example.org/fhir?page=2"}]
FOUR = [{"resource": {"resourceType": "Observation", "id": str(i)}} for i in range(4)]


def bundle(*entries, **more):
    return {"resourceType": "Bundle", "type": "searchset", "entry": list(entries), **more}


def read(data):
    return read_entries(data if isinstance(data, list | tuple) else [data])


HALVES = [bundle(*FOUR[:3], link=NEXT, total=4), bundle(*FOUR[3:], total=4)]


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(bundle(*FOUR, total=4), id="merged"),
        pytest.param(bundle(*FOUR, total=4, link=NEXT), id="merged with a stale link"),
        pytest.param(HALVES, id="a list of pages"),
        pytest.param(tuple(HALVES), id="a tuple of pages"),
        pytest.param([*HALVES, bundle(total=4)], id="an empty last page"),
        pytest.param(
            [HALVES[0], bundle(*FOUR[3:], link=NEXT)], id="a link to an empty page that is not kept"
        ),
        pytest.param(
            bundle(*({"resource": page} for page in HALVES), type="batch"), id="pages as resources"
        ),
        pytest.param({"resourceType": "Bundle", "entry": HALVES}, id="pages as entries"),
        pytest.param(bundle(FOUR[0], {"resource": bundle(*FOUR[1:])}), id="entries and a page"),
        pytest.param([bundle({"resource": HALVES[0]}), HALVES[1]], id="nested in a page"),
        pytest.param([bundle(*FOUR[:3]), bundle(), bundle(*FOUR[3:])], id="without links"),
        pytest.param(
            bundle(
                {"resource": bundle(*FOUR[:3])},
                {"resource": bundle(*FOUR[3:])},
                type="batch-response",
            ),
            id="the searches of a batch",
        ),
    ],
)
def test_every_paging_style_gives_the_same_entries(data):
    assert read(data) == (FOUR, False)


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(HALVES[0], id="one page of two"),
        pytest.param(HALVES[:1], id="a list of one page"),
        pytest.param(bundle(*FOUR, link=NEXT), id="no total to say that it is all"),
        pytest.param(bundle(*FOUR, total=5, link=NEXT), id="less than the total"),
        pytest.param(bundle({"resource": HALVES[0]}), id="nested"),
        pytest.param(
            bundle(
                {"resource": bundle(*FOUR[:3], link=NEXT)},
                {"resource": bundle(*FOUR[3:])},
                type="batch-response",
            ),
            id="a search of a batch",
        ),
        pytest.param(
            bundle(
                *FOUR[:3],
                {"resource": {"resourceType": "Patient"}, "search": {"mode": "include"}},
                total=4,
                link=NEXT,
            ),
            id="what is included does not count",
        ),
    ],
)
def test_a_missing_page_is_noticed(data):
    assert read(data).incomplete


@pytest.mark.parametrize("entry", [[None], ["text"], [[]], {"a": 1}, "text"])
def test_what_is_no_entry_is_an_error(entry):
    with pytest.raises(DataError, match="Bundle"):
        read({"resourceType": "Bundle", "entry": entry})


def test_bundles_nested_too_deep_are_an_error():
    """Python 3.13 reads such JSON."""
    deep = bundle(*FOUR)
    for _ in range(5000):
        deep = bundle(deep)
    with pytest.raises(DataError, match="too deep in each other"):
        read(deep)
