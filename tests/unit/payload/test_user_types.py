"""Types that users register."""

from __future__ import annotations

from dataclasses import astuple, dataclass

import numpy as np
import pandas as pd
import pytest

from flame_flwr.errors import ModelError, PayloadError
from flame_flwr.payload import decode, encode, register_type, user_types


@dataclass
class Estimate:
    mean: float
    spread: np.ndarray

    def __eq__(self, other):
        return self.mean == other.mean and (self.spread == other.spread).all()


@dataclass
class Other:
    value: object


@pytest.fixture(autouse=True)
def _empty_registry():
    registries = (user_types.BY_CLASS, user_types.BY_NAME)
    before = [registry.copy() for registry in registries]
    for registry in registries:
        registry.clear()
    yield
    for registry, content in zip(registries, before, strict=True):
        registry.clear()
        registry.update(content)


def register(cls=Estimate, **options):
    register_type(
        cls, **{"to": lambda v: list(vars(v).values()), "restore": lambda v: cls(*v)} | options
    )


def test_a_registered_type_travels(travel):
    register()
    value = {"one": Estimate(1.5, np.arange(3)), "many": [(Estimate(2.5, np.zeros(9000)),)]}

    assert travel(value) == value


def test_registered_types_may_hold_each_other(travel):
    register()
    register(Other)

    result = travel(Other(Other(bytearray(b"x"))))

    assert result == Other(Other(bytearray(b"x")))
    assert type(result.value.value) is bytearray


def test_its_name_on_the_wire():
    register()
    assert f"{__name__}.Estimate".encode() in encode(Estimate(1.0, np.zeros(1))).header

    register(Other, name="short")
    assert b"short" in encode(Other(1)).header


def test_subclasses_are_not_included():
    register(Other)

    with pytest.raises(PayloadError, match="Derived at"):
        encode(type("Derived", (Other,), {})(1))


def test_the_receiver_must_have_registered_it():
    register(Other, name="org.Other")
    payload = encode(Other(1))
    user_types.BY_NAME.clear()

    with pytest.raises(PayloadError, match=r"'org.Other', that this side does not know. Call reg"):
        decode(payload)


@pytest.mark.parametrize("cls", [dict, tuple, float, np.ndarray, np.float64, pd.DataFrame])
def test_what_travels_anyway_cannot_be_registered(cls):
    with pytest.raises(ModelError, match="travels without being registered"):
        register(cls)


def test_two_classes_cannot_have_one_name():
    register(Other, name="one")

    with pytest.raises(ModelError, match=r"the name 'one' of .*Estimate belongs to .*Other"):
        register(Estimate, name="one")


def test_one_class_cannot_have_two_names():
    register(Other, name="one")

    with pytest.raises(ModelError, match="is registered as 'one' already"):
        register(Other, name="two")


def test_a_module_may_be_loaded_twice(travel):
    def load():
        return dataclass(
            type(
                "Loaded",
                (),
                {"__annotations__": {"value": int}, "__module__": "app", "__qualname__": "Loaded"},
            )
        )

    first, second = load(), load()
    register_type(first, to=astuple, restore=lambda v: first(*v))
    register_type(second, to=astuple, restore=lambda v: second(*v))

    assert travel(second(3)) == second(3)
    assert travel(first(3)) == second(3)


def test_errors_in_the_users_functions_are_named():
    def fail(value):
        raise KeyError("secret")

    register(Other, to=fail)
    with pytest.raises(
        PayloadError, match=r"`to` that register_type got .* raised KeyErr"
    ) as caught:
        encode([Other(1)])
    assert "secret" not in caught.value.message
    assert caught.value.detail == "$[0]"

    register(Estimate, restore=fail)
    with pytest.raises(PayloadError, match=r"`restore` .* raised KeyError") as caught:
        decode(encode(Estimate(1.0, np.zeros(1))))
    assert "secret" not in caught.value.message
    assert caught.value.detail == "'secret'"
