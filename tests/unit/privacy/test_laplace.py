"""The Laplace mechanism: the distribution of its noise, and everything it refuses.

The statistical tests compare with scipy's distribution, at a false-alarm rate of 1e-6 each: of a
million runs of a correct mechanism one fails. OpenDP draws from the system's entropy, so there is
no seed to fix.
"""

import math
import subprocess
import sys
from collections import OrderedDict
from decimal import Decimal
from fractions import Fraction

import numpy as np
import pytest
from scipy import stats

from flame_flwr.errors import ModelError, ResultError
from flame_flwr.privacy import Laplace

pytest.importorskip("opendp")

FALSE_ALARM = 1e-6
DRAWS = 4000


def noise(epsilon, sensitivity, value, n=DRAWS):
    return Laplace(epsilon, sensitivity).release(np.full(n, float(value))) - value


@pytest.mark.parametrize(
    ("epsilon", "sensitivity", "value"), [(1.0, 1.0, 0.0), (0.1, 5.0, 1234.5), (4, 1, -7)]
)
def test_the_noise_has_the_scale_sensitivity_over_epsilon(epsilon, sensitivity, value):
    drawn = noise(epsilon, sensitivity, value)
    expected = stats.laplace(scale=sensitivity / epsilon)
    assert stats.kstest(drawn, expected.cdf).pvalue > FALSE_ALARM


def test_every_element_gets_noise_of_its_own():
    pairs = Laplace(1.0, 1.0).release(np.zeros(2 * DRAWS)).reshape(-1, 2)
    assert stats.spearmanr(pairs[:, 0], pairs[:, 1]).pvalue > FALSE_ALARM
    assert len(np.unique(pairs)) > DRAWS


@pytest.mark.parametrize(
    "number",
    [3, 2.5, np.float64(2.5), np.float32(2.5), np.int64(3), np.uint8(3), Fraction(1, 3)],
)
def test_a_number_comes_back_as_a_noised_float(number):
    released = Laplace(1.0, 1.0).release(number)
    assert type(released) is float
    assert math.isfinite(released)
    assert released != number


VALUES = [1.0, -200.0, 30000.0]


@pytest.mark.parametrize(
    "result",
    [
        *(VALUES, (1, -200, np.float64(30000)), OrderedDict(zip("cab", VALUES, strict=True))),
        np.array([1, -200, 30000], dtype=np.int32),
    ],
    ids=lambda result: type(result).__name__,
)
def test_containers_keep_kind_and_order(result):
    released = Laplace(1e6, 1.0).release(result)
    numbers = list(released.values()) if isinstance(released, dict) else list(released)

    assert numbers == pytest.approx(VALUES, abs=1e-3)
    assert numbers != VALUES
    assert all(isinstance(number, float) for number in numbers)
    if isinstance(result, dict):
        assert list(released) == list(result)
    else:
        assert type(released) is type(result)


def test_the_exact_result_is_not_changed():
    array, many = np.array([1.0, 2.0]), {"a": 1.0}
    Laplace(1.0, 1.0).release(array)
    Laplace(1.0, 1.0).release(many)
    assert array.tolist() == [1.0, 2.0]
    assert many == {"a": 1.0}


@pytest.mark.parametrize(
    ("result", "kind"),
    [
        *((True, "bool"), (np.True_, "bool"), ("3.5", "str"), (b"3", "bytes")),
        *((None, "NoneType"), (2 + 3j, "complex"), (Decimal("1.5"), "Decimal")),
        *(([1.0, True], "bool"), ([1.0, "2"], "str"), ([1.0, None], "NoneType")),
        *(([1.0, [2.0]], "list"), ((1.0, (2.0,)), "tuple")),
        *(({"a": 1.0, "b": {"c": 2.0}}, "dict"), ({"a": np.zeros(2)}, "ndarray")),
        *((np.zeros((2, 2)), "ndarray"), (np.array([True, False]), "bool")),
        (np.array(["1"]), "str"),
        *((np.ma.masked_array([1.0, 2.0], [True, False]), "MaskedConstant"), ({1.0, 2.0}, "set")),
    ],
    ids=repr,
)
def test_other_types_are_refused_and_named(result, kind):
    with pytest.raises(ResultError) as raised:
        Laplace(1.0, 1.0).release(result)
    text = str(raised.value)
    assert "a number or a flat container of numbers" in text
    assert kind in text
    assert text.endswith("Nothing was released")


@pytest.mark.parametrize(
    "result",
    [
        *(math.nan, math.inf, -math.inf, np.float32("nan"), np.float32("inf"), Fraction(10**400)),
        *([1.0, math.nan], {"a": -math.inf}, np.array([1.0, np.inf]), 10**400, [-(10**400)]),
    ],
)
def test_what_is_not_finite_is_refused(result):
    with pytest.raises(ResultError, match=r"finite numbers.*Nothing was released"):
        Laplace(1.0, 1.0).release(result)


@pytest.mark.parametrize("result", [[], (), {}, np.array([])], ids=repr)
def test_an_empty_result_is_refused(result):
    with pytest.raises(ResultError, match=r"the result is empty\. Nothing was released"):
        Laplace(1.0, 1.0).release(result)


def test_a_refusal_does_not_tell_the_exact_values():
    with pytest.raises(ResultError) as raised:
        Laplace(1.0, 1.0).release([123456.75, "no"])
    assert "123456" not in str(raised.value)


@pytest.mark.parametrize("name", ["epsilon", "sensitivity"])
@pytest.mark.parametrize(
    "value",
    [0, -1, -0.5, math.nan, math.inf, True, "1", None, [1.0], 1j, 10**400],
    ids=lambda value: repr(value)[:9],
)
def test_both_numbers_must_be_above_zero(name, value):
    with pytest.raises(ModelError) as raised:
        Laplace(**{"epsilon": 1.0, "sensitivity": 1.0, name: value})
    assert str(raised.value) == f"{name} must be a number above 0, not {value!r}"


@pytest.mark.parametrize(("epsilon", "sensitivity"), [(1e308, 1e-308), (1e-308, 1e308)])
def test_a_scale_of_zero_or_infinity_is_refused(epsilon, sensitivity):
    with pytest.raises(ModelError, match="sensitivity / epsilon"):
        Laplace(epsilon, sensitivity)


@pytest.mark.parametrize(
    ("epsilon", "sensitivity", "message"),
    [
        (None, 1.0, "differential privacy needs epsilon and sensitivity: give epsilon"),
        (1.0, None, "differential privacy needs epsilon and sensitivity: give sensitivity"),
        (0, 1.0, "epsilon must be a number above 0, not 0"),
    ],
)
def test_a_half_declaration_is_refused(epsilon, sensitivity, message):
    with pytest.raises(ModelError) as raised:
        Laplace.declare(epsilon, sensitivity)
    assert str(raised.value) == message


def test_both_numbers_or_none_are_declared():
    assert Laplace.declare(None, None) is None
    assert Laplace.declare(0.5, 2) == Laplace(0.5, 2)


def test_what_a_record_says_of_it():
    about = Laplace(np.float64(0.5), 2).about()
    assert about["epsilon"] == 0.5
    assert about["sensitivity"] == 2.0
    assert "Laplace" in about["mechanism"]
    assert all(type(value) in (float, str) for value in about.values())


def test_a_release_imports_no_packages_for_tables():
    """OpenDP's prelude has them all: that takes seconds."""
    code = (
        "import sys; from flame_flwr.privacy import Laplace; Laplace(1.0, 1.0).release(3.0); "
        "print({'sklearn', 'pandas', 'polars', 'scipy'} & {*sys.modules})"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "set()\n"
