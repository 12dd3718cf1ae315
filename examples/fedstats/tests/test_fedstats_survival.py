"""The Cox regression against published numbers, and bad files refused with plain messages."""

import sys

import numpy as np
import pytest

from fedstats.hospitals import rossi
from fedstats.survival import FILE, fit_cox, load_table
from flame_flwr.errors import ConfigError, DataError

GOOD = "time,event,dose\n" + "".join(
    f"{i % 17 + 1},{i % 3 % 2},{i * i % 11}\n" for i in range(1, 40)
)


def load(text, covariates=("dose",)):
    content = text if isinstance(text, bytes) else text.encode()
    return load_table([{FILE: content}], "time", "event", list(covariates))


def refused(text, **options):
    with pytest.raises(DataError) as caught:
        load(text, **options)
    return caught.value


def test_the_rossi_data_as_published():
    """Fox and Weisberg (2018), Cox proportional-hazards regression for survival data in R."""
    names = ["fin", "age", "race", "wexp", "mar", "paro", "prio"]
    fit = fit_cox(rossi().astype(float), "week", "arrest", names)
    assert (fit["patients"], fit["events"]) == (432, 114)
    published = [-0.37942, -0.05744, 0.31390, -0.14980, -0.43370, -0.08487, 0.09150]
    np.testing.assert_allclose(fit["log_hr"], published, atol=6e-6)
    published = [0.19138, 0.02200, 0.30799, 0.21222, 0.38187, 0.19576, 0.02865]
    np.testing.assert_allclose(fit["error"], published, atol=6e-6)


def test_a_good_file_keeps_the_columns_asked_for():
    table = load(GOOD.replace("dose", "dose,other", 1).replace("\n", ",7\n").replace(",7", "", 1))
    assert list(table.columns) == ["time", "event", "dose"]
    assert table.shape == (39, 3)


@pytest.mark.parametrize("data", [None, [], [{}], [{"Survival.csv": b""}]])
def test_a_missing_file(data):
    with pytest.raises(DataError) as caught:
        load_table(data, "time", "event", ["dose"])
    assert caught.value.message == (
        f"There is no survival.csv among this node's {sum(map(len, data or []))} files. The name "
        "must be exactly this one, and the file must not lie in a subfolder."
    )


def test_a_file_that_is_there_twice():
    with pytest.raises(DataError, match=r"2 of this node's data sources have a survival\.csv"):
        load_table([{FILE: b""}] * 2, "time", "event", ["dose"])


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "survival.csv is empty."),
        ("time,event,dose\n", "has column names but not one patient"),
        (GOOD + "1,2,3,4\n", "its lines have different numbers of cells"),
        ("time,event,dose\n1,1,2,9\n", "its lines have more cells than column names"),
        (b"time,event,dose\n\xfc,1,1\n", "is not UTF-8 text"),
        ("time,event\n1,1\n", "survival.csv lacks 'dose' among its 2 columns."),
        ("time;event;dose\n1;1;1\n", "lacks 'time', 'event', 'dose' among its 1 columns. Is the"),
        (GOOD + "3,1,\n", "1 cell of column 'dose' in survival.csv must be a number. Nothing is"),
        (GOOD + "x,1,1\ny,1,1\n", "2 cells of column 'time' in survival.csv must be a number."),
        (GOOD + "inf,1,1\n", "1 cell of column 'time' in survival.csv must be a number."),
        (GOOD + "0,1,1\n-2,1,1\n", "2 cells of column 'time' in survival.csv must be above 0"),
        (GOOD + "1,2,1\n", "1 cell of column 'event' in survival.csv must be 1 (event) or 0"),
        (
            "time,event,dose\n" + "1,1,1\n2,0,3\n" * 4,
            "survival.csv has fewer than 5 events, 5 for each covariate. Ask for fewer covariates, "
            "or leave this hospital out.",
        ),
        (
            "time,event,dose\n" + "1,1,7\n2,0,7\n" * 9,
            "Every patient in survival.csv has the same 'dose': no effect of it can be estimated",
        ),
    ],
)
def test_bad_files(text, message):
    assert message in refused(text).message


@pytest.mark.parametrize(
    ("text", "value"),
    [
        (GOOD + "Smith,1,1\n", "Smith"),
        (GOOD + "-77,1,1\n", "77"),
        (GOOD + "1,77,1\n", "77"),
        (GOOD.replace("dose", "Smith"), "Smith"),
        ("time,event,dose\n" + "1,1,1\n2,0,3\n" * 4, "4"),
    ],
)
def test_a_message_holds_nothing_of_the_file(text, value):
    error = refused(text)
    assert value not in error.message
    assert value in error.detail


def test_a_covariate_that_tells_who_has_the_event():
    rows = "".join(f"{i + 1},{i % 2},{i % 2}\n" for i in range(30))
    with pytest.raises(DataError, match="has no solution to be trusted at this hospital") as caught:
        fit_cox(load("time,event,dose\n" + rows), "time", "event", ["dose"])
    assert "one tells the patients with an event from those without" in caught.value.message


def test_two_covariates_that_say_the_same():
    rows = GOOD.replace("\n", ",0\n").replace("dose,0", "dose,twice", 1)
    lines = [line.rsplit(",", 1)[0] for line in rows.splitlines()]
    text = "\n".join([lines[0] + ",twice", *(f"{x},{2 * int(x.split(',')[2])}" for x in lines[1:])])
    with pytest.raises(DataError, match="two covariates say the same"):
        fit_cox(load(text, ("dose", "twice")), "time", "event", ["dose", "twice"])


def test_without_lifelines_it_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "lifelines", None)
    with pytest.raises(ConfigError, match=r"pip install 'lifelines==0\.30\.0'"):
        fit_cox(load(GOOD), "time", "event", ["dose"])
    monkeypatch.setitem(sys.modules, "lifelines.datasets", None)
    rossi.cache_clear()
    with pytest.raises(ConfigError, match=r"pip install 'lifelines==0\.30\.0'"):
        rossi()
