"""The hand-written run shares no code with Flax and Optax, and its Adam is the wing's."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from benchmarks.case import Case
from benchmarks.jax_side import by_hand as module
from benchmarks.jax_side.padded import padded
from benchmarks.jax_side.problems import setup
from benchmarks.jax_side.turned import turned
from jaxnet import mlp
from jaxnet.settings import computing
from parity_tests.imports import imported


def test_it_imports_neither_flax_nor_optax() -> None:
    with open(module.__file__, encoding="utf-8") as file:
        names = list(imported(file.read(), Path("benchmarks/jax_side/by_hand.py")))
    assert not [name for name in names if name.startswith(("flax", "optax"))]


@pytest.mark.parametrize(
    "make", [module.by_hand, module.flat, padded, turned], ids=["dicts", "a vector", "padded", "turned"]
)
def test_it_goes_on_from_a_state_as_the_wing_does(make: object) -> None:
    assert callable(make)
    middle = mlp.train(steps=8, count=3, dtype="float64").state
    expected = mlp.train(steps=8, start=3, state=middle, dtype="float64")
    with computing("cpu", "float64"):
        prepared = make(setup(Case("mlp", steps=8), "float64", seeds=[0], start=3, state=middle))
        (found,) = prepared.read(prepared.run(prepared.place()))
    assert np.allclose(found.losses, expected.losses, rtol=1e-12, atol=0)
    assert found.state.optimizer["step"] == 8
    for part in (0, 1):
        assert found.state[part].keys() == expected.state[part].keys()
        for name, array in expected.state[part].items():
            assert np.allclose(found.state[part][name], array, rtol=1e-9, atol=1e-12), name
