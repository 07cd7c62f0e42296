"""`record`: one side alone, all stages of its training."""

from __future__ import annotations

import numpy as np
import pytest

from parity import NotCheckable, Pair, Side, record
from parity.recording import STAGES, Dtype, Framework

TINY = {side: f"parity_tests.parity.tiny_{side}" for side in ("torch", "jax")}
SIDES = {side: Side.from_module(module, optimizer=f"{module}:optimizer") for side, module in TINY.items()}
PAIR = Pair(name="tiny", torch=SIDES["torch"], jax=SIDES["jax"], steps=2, labels="labels")


@pytest.mark.parametrize(("framework", "dtype"), [("torch", "float32"), ("jax", "float64")])
def test_records_all_stages_of_the_side_that_is_named(framework: Framework, dtype: Dtype) -> None:
    found = record(PAIR, framework, seed=3, dtype=dtype)
    assert (found.provenance.framework, found.provenance.dtype) == (framework, dtype)
    assert {key.stage for key in found.flow()} == set(STAGES)
    drawn = record(PAIR, framework, seed=4, dtype=dtype).of("init", 0)
    for name, array in found.of("init", 0).items():
        assert array.dtype == dtype
        assert not np.array_equal(array, drawn[name])


def test_a_side_that_there_is_not_is_told() -> None:
    with pytest.raises(NotCheckable, match="no side is called 'tensorflow': a pair has the sides torch and jax"):
        record(PAIR, "tensorflow")  # type: ignore[arg-type]
