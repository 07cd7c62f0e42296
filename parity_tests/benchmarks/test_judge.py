"""The judge on disk is the judge that was made, and says what the wings and parity say."""

from __future__ import annotations

import functools
from pathlib import Path

import numpy as np
import pytest

import jaxnet.mlp
import torchnet.mnist
from benchmarks import judge
from benchmarks.case import Case
from benchmarks.judge import COARSE, Judge, place
from parity.judging.distance.factors import FLOAT64_CEILING, FLOAT64_FLOOR

MLP = Case("mlp", steps=12)
WIDE = Case("mnist", steps=2, width=30, batch_size=40)


@functools.cache
def made(case: Case) -> Judge:
    return judge.make(case)


def test_what_is_saved_is_loaded(tmp_path: Path) -> None:
    file = tmp_path / "below" / "judge.safetensors"
    made(MLP).save(file)
    found, expected = judge.load(file), made(MLP)
    assert np.array_equal(found.losses, expected.losses)
    assert found.states.keys() == expected.states.keys() == {0, 1, 2, 10, 11, 12}
    for step, state in expected.states.items():
        for one, other in zip(found.states[step], state, strict=True):
            assert one.keys() == other.keys()
            assert all(
                one[name].shape == array.shape and np.array_equal(one[name], array) for name, array in other.items()
            )
    for name in ("scales", "limits", "distances", "noises", "coarse"):
        assert getattr(found, name) == getattr(expected, name)


def test_the_judge_is_the_float64_run_of_the_wings() -> None:
    run = jaxnet.mlp.train(steps=12, dtype="float64")
    assert np.allclose(made(MLP).losses, run.losses, rtol=1e-12, atol=0)
    assert made(MLP).states[12].optimizer["step"] == 12
    assert made(MLP).starts == [0, 1, 10]


def test_limits_stay_between_what_parity_states_and_own_steps_lie_within() -> None:
    found = made(MLP)
    assert all(FLOAT64_FLOOR <= limit <= FLOAT64_CEILING for limit in found.limits.values())
    assert found.distances.keys() == found.noises.keys() == {"torch", "jax"}
    for distances in found.distances.values():
        assert 0 < max(distances.values()) < 1e-4
        # What a lower precision does is far from what float32 does, and bfloat16 keeps three bits less than TF32.
        for name in (place(0, f"exp_avg.fc{layer}.weight") for layer in (1, 2)):
            assert found.coarse["tf32"][name] > 1e-4
            assert 2 < found.coarse["bfloat16"][name] / found.coarse["tf32"][name] < 32


def test_a_size_of_its_own_has_a_judge_of_its_own() -> None:
    found = made(WIDE)
    assert found.states[0].parameters["fc2.weight"].shape == (30, 30)
    usual = torchnet.mnist.train(steps=2, batch_size=40, dtype="float64")
    assert not np.isclose(found.losses[0], usual.losses[0])


def test_the_line_fit_multiplies_no_matrices() -> None:
    assert made(Case("line_fit", steps=3)).coarse == {}


@pytest.mark.parametrize("case", [MLP, WIDE], ids=["mlp", "wide"])
def test_every_tensor_that_is_judged_has_its_figures(case: Case) -> None:
    found = made(case)
    tensors = [*found.states[1].parameters, *found.states[1].optimizer]
    for start in found.starts:
        floats = {place(start, name) for name in (*tensors, "loss") if name != "step"}
        assert floats <= found.distances["torch"].keys()
        assert floats <= found.noises["jax"].keys()
        assert all(floats <= found.coarse[precision].keys() for precision in COARSE)
    assert {place(case.steps - 1, name) for name in tensors} <= found.limits.keys()
