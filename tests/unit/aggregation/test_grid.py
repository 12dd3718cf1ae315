"""The grid's law, against whole numbers and fractions of Python's."""

import itertools
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from flame_flwr.aggregation.grid import (
    COUNTS,
    MODELS,
    STATISTICS,
    Grid,
    OffGridError,
    add_words,
    negated_words,
)
from flame_flwr.errors import ModelError

GRIDS = st.sampled_from(
    [COUNTS, MODELS, STATISTICS, Grid(128, 64), Grid(64, 62), Grid(192, 1), Grid(1024, 600)]
)


def whole_of(words):
    """Return numbers' words as whole numbers, by another way than the package's."""
    return [sum(int(word) << (64 * place) for place, word in enumerate(row)) for row in words]


def steps_of(value, grid):
    """Return a number's steps, rounded to even by Python's fractions."""
    return round(Fraction(value) * 2**grid.exponent)


@given(GRIDS, st.integers(3, 20), st.data())
def test_value_is_its_steps_rounded_to_even(grid, parties, data):
    most = (2 ** (grid.bits - 1) - 1) // parties
    bound = float(most / 2**grid.exponent) / 2
    value = data.draw(st.floats(-bound, bound, allow_nan=False))
    if not grid.exponent:
        value = float(round(value))
    words = grid.to_words(np.array([value]), parties)
    assert whole_of(words) == [steps_of(value, grid) % 2**grid.bits]


@given(GRIDS, st.integers(3, 20), st.data())
def test_sum_is_that_of_whole_numbers(grid, parties, data):
    most = (2 ** (grid.bits - 1) - 1) // parties
    bound = float(most / 2**grid.exponent) * 0.999
    values = data.draw(
        st.lists(st.floats(-bound, bound), min_size=parties, max_size=parties).map(
            lambda each: [float(round(one)) for one in each] if not grid.exponent else each
        )
    )
    orders = itertools.islice(itertools.permutations(range(parties)), 3)
    totals = []
    for order in orders:
        total = grid.to_words([0], parties)
        for place in order:
            total = add_words(total, grid.to_words([values[place]], parties))
        totals.append(grid.from_words(total)[0])
    expected = sum(steps_of(value, grid) for value in values)
    if grid.exponent:
        assert totals[0] == float(Fraction(expected, 2**grid.exponent))
    else:
        assert int(totals[0]) == expected
    assert len({float(each).hex() for each in totals}) == 1


@given(GRIDS, st.integers(3, 20), st.data())
@example(COUNTS, 3, None)
def test_whole_numbers_never_pass_through_floats(grid, parties, data):
    most = ((2 ** (grid.bits - 1) - 1) // parties) >> grid.exponent
    number = most if data is None else data.draw(st.integers(-most, most))
    given_as = number if -(2**63) <= number < 2**63 else [number]
    array = np.array(given_as, dtype=None if np.isscalar(given_as) else object)
    words = grid.to_words(array, parties)
    assert whole_of(words) == [(number << grid.exponent) % 2**grid.bits]


@pytest.mark.parametrize("kind", ["int8", "uint8", "int32", "uint64", "bool", "float16", "float32"])
def test_every_type_of_number_is_itself(kind):
    values = np.array([0, 1, 1, 0], kind)
    words = MODELS.to_words(values.reshape(2, 2), 3)
    assert MODELS.from_words(words).tolist() == [0.0, 1.0, 1.0, 0.0]


@given(GRIDS, st.lists(st.integers(0, 2**1024 - 1), min_size=1, max_size=5))
def test_negated_is_the_rest_of_the_modulus(grid, numbers):
    numbers = [number % 2**grid.bits for number in numbers]
    data = b"".join(number.to_bytes(grid.bits // 8, "little") for number in numbers)
    words = np.frombuffer(data, np.uint64).reshape(len(numbers), -1)
    assert whole_of(negated_words(words)) == [-number % 2**grid.bits for number in numbers]
    assert not add_words(words, negated_words(words)).any()


@pytest.mark.parametrize(
    ("grid", "value"),
    [
        (MODELS, np.nan),
        (MODELS, -np.inf),
        (MODELS, 2.0**31),
        (MODELS, (2**63 - 1) // 3 // 2**32 + 1),
        (COUNTS, 0.5),
        (COUNTS, (2**63 - 1) // 3 + 1),
        (STATISTICS, 1e300),
        (STATISTICS, "one"),
        (STATISTICS, 1j),
        (STATISTICS, [2**200]),
    ],
)
def test_value_without_a_place_is_an_error(grid, value):
    array = np.array(value, dtype=object) if isinstance(value, list) else np.array([value])
    with pytest.raises(OffGridError):
        grid.to_words(array, 3)


@pytest.mark.parametrize("value", [2.0**40, 2**40, [2**80]])
def test_a_large_value_has_a_larger_grid(value):
    """As the text says, until there is none."""
    grid, said = MODELS, []
    array = np.array(value, dtype=object) if isinstance(value, list) else np.array([value])
    while (found := off(grid, array)) is not None:
        said.append(grid)
        grid = eval(found.partition("grid=")[2], {"Grid": Grid})
    assert grid.from_words(grid.to_words(array, 3))[0] == float(array[0])
    assert said[0] == MODELS
    assert "larger" not in off(Grid(1024, 1000), array)


def off(grid, array):
    try:
        grid.to_words(array, 3)
    except OffGridError as error:
        return str(error)
    return None


@pytest.mark.parametrize("parties", [3, 7, 20])
def test_largest_value_cannot_overflow_a_sum(parties):
    most = (2**63 - 1) // parties
    words = COUNTS.to_words(np.array([most, -most]), parties)
    total = words
    for _ in range(parties - 1):
        total = add_words(total, words)
    assert COUNTS.from_words(total).tolist() == [most * parties, -most * parties]
    with pytest.raises(OffGridError):
        COUNTS.to_words(np.array([most + 1]), parties)


@pytest.mark.parametrize(("bits", "exponent"), [(63, 3), (0, 0), (64, 63), (64, -1), (2048, 3)])
def test_grid_that_cannot_be_is_refused(bits, exponent):
    with pytest.raises(ModelError, match="must be"):
        Grid(bits, exponent)
