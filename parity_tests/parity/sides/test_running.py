"""What a side that runs is asked: buffers stay where parameters are moved, and every dtype tells what it changed."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from parity.judging.passes.loops import ENGINE
from parity.recording import Arrays, State
from parity.sides import running
from parity.sides.running import Running

HELD = {"weight": np.array([1.0, 2.0]), "mask": np.array([0.0, 1.0])}


INTO: Any = None


def side(**lower: Any) -> Running:
    """A side of a module that holds a mask, with its live sides by their dtypes."""
    found = object.__new__(Running)
    found.framework = "torch"
    vars(found).update(
        _seed=0, _tell=lambda _: None, _pair=SimpleNamespace(steps=2, stages=("forward",)),
        _live={
            "float64": SimpleNamespace(
                outline=SimpleNamespace(buffers=frozenset({"mask"})), initial=lambda seed: HELD, changed=""
            ),
        } | lower,
    )  # fmt: skip
    return found


def further(arrays: Arrays) -> Arrays:
    return {name: array + 1 for name, array in arrays.items()}


def test_a_run_from_moved_parameters_begins_with_the_same_buffers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(running, "free_run", lambda live, seed, steps, initial, **_: initial)
    begun: Any = side().free_moved(further, INTO)
    assert {name: array.tolist() for name, array in begun.items()} == {"weight": [2.0, 3.0], "mask": [0.0, 1.0]}


def test_so_does_a_step_of_a_loop(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(running, "engine_step", lambda live, seed, start, given, into: given.parameters)
    judge: Any = SimpleNamespace(state_before=lambda step: State(HELD, {}))
    begun: Any = side(float32=None).loop_step(ENGINE, 0, judge, further)
    assert {name: array.tolist() for name, array in begun.items()} == {"weight": [2.0, 3.0], "mask": [0.0, 1.0]}


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_what_is_changed_in_any_dtype_is_told_and_none_is_run_for_it(dtype: str) -> None:
    assert side().changed == ""
    assert side(**{dtype: SimpleNamespace(changed="a setting")}).changed == "a setting"
