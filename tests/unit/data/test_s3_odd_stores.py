"""Object stores that answer what they should not: redirects, listings that are none, cuts."""

import os

import pytest
from odd_s3 import content, listing, odd_s3

from flame_flwr.data import s3_source
from flame_flwr.data.s3_source import S3Source
from flame_flwr.errors import DataError
from flame_flwr.s3 import Access, Patience

QUICK = Patience(connect=1, request=2, retry=1, retries=1)


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    monkeypatch.setattr(s3_source, "PATIENCE", QUICK)
    monkeypatch.setattr(s3_source, "BRIEF", QUICK)
    for name in [name for name in os.environ if name.lower().endswith("_proxy")]:
        monkeypatch.delenv(name)


def source(endpoint, prefix="", **access):
    return S3Source(
        f"s3://bucket/{prefix}", "data source 1", Access(endpoint, "KEY", "hunter2", **access)
    )


def is_listing(request):
    return "list-type=2" in request.path


# ---- redirects ------------------------------------------------------------------------------


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
@pytest.mark.parametrize("scheme", ["http", "https"])
def test_a_redirect_to_another_host_is_not_followed(status, scheme):
    asked = []

    def elsewhere(request):
        asked.append(request.path)
        return listing(("a", 1, "e")) if is_listing(request) else content(b"1")

    with odd_s3(elsewhere) as other:
        to = other.replace("http", scheme).replace("127.0.0.1", "localhost")
        with odd_s3(lambda request: (status, {"location": to + request.path}, b"")) as url:
            for call in (
                source(url).check,
                lambda: source(url).read("s3", []),
                lambda: source(url).read("s3", ["a"]),
            ):
                with pytest.raises(DataError, match="sends this node to another host"):
                    call()
    assert asked == []


def test_a_redirect_of_an_object_alone_is_not_followed():
    with odd_s3(lambda request: content(b"2")) as other:
        to = other.replace("127.0.0.1", "localhost")

        def answer(request):
            return listing(("a", 1, "e")) if is_listing(request) else (302, {"location": to}, b"")

        with odd_s3(answer) as url, pytest.raises(DataError, match="to another host"):
            source(url).read("s3", [])


@pytest.mark.parametrize("status", [301, 307])
def test_amazons_answer_for_another_region_names_the_region(status):
    with (
        odd_s3(lambda request: (status, {}, b"")) as url,
        pytest.raises(DataError, match="the bucket is in another region"),
    ):
        source(url).check()
