"""The loops agree with one another, go on from any state, compile once, and say what they need."""

from __future__ import annotations

from functools import partial
from importlib import import_module
from types import ModuleType
from typing import Any

import jax
import numpy as np
import pytest
import torch
from torch._dynamo.utils import counters

from jaxnet import loops as jax_loops
from jaxnet import mlp as jax_mlp
from torchnet import loops as torch_loops
from torchnet import mlp as torch_mlp

SMALL: dict[str, dict[str, Any]] = {
    "line_fit": {"steps": 8},
    "mlp": {"steps": 8},
    "mnist": {"steps": 4, "batch_size": 40},
}
ON_CPU = [("torchnet", "many_seeds"), ("jaxnet", "whole_run"), ("jaxnet", "many_seeds")]
LOSSES, PARAMETERS, MOMENTS = 1e-13, 1e-10, 1e-11
WINGS = pytest.mark.parametrize("wing", [torch_mlp, jax_mlp], ids=["torchnet", "jaxnet"])


def apart(found: Any, expected: Any) -> float:
    """The largest difference of two arrays, relative to the largest number of the second."""
    scale = float(np.max(np.abs(expected)))
    return float(np.max(np.abs(np.asarray(found) - expected))) / (scale or 1.0)


def expect_same(found: Any, expected: Any) -> None:
    """Two runs are the same to what the loops are held to in float64."""
    assert found.losses.shape == expected.losses.shape
    assert apart(found.losses, expected.losses) <= LOSSES
    for part, held_to in ((0, PARAMETERS), (1, MOMENTS)):
        assert found.state[part].keys() == expected.state[part].keys()
        for name, array in expected.state[part].items():
            assert apart(found.state[part][name], array) <= held_to, name


def problem(wing: str, name: str) -> ModuleType:
    return import_module(f"{wing}.{name}")


COMPILED_ON = [
    pytest.param("torchnet", "compiled", "mlp", marks=pytest.mark.compiled),
    *(
        pytest.param("torchnet", "compiled", name, marks=[pytest.mark.compiled, pytest.mark.proof])
        for name in ("line_fit", "mnist")
    ),
]


@pytest.mark.parametrize(
    ("wing", "loop", "name"), [*((*driven, name) for driven in ON_CPU for name in SMALL), *COMPILED_ON]
)
def test_a_loop_does_what_stepped_does(wing: str, loop: str, name: str) -> None:
    train = problem(wing, name).train
    expect_same(train(loop, dtype="float64", **SMALL[name]), train("stepped", dtype="float64", **SMALL[name]))


# The MLP is fed the same in every step: that the second piece goes on with the fourth batch, only MNIST shows.
@pytest.mark.parametrize("sizes", [{"mlp": {}}, {"mnist": {"batch_size": 40}}], ids=["mlp", "mnist"])
@pytest.mark.parametrize(
    ("wing", "loop"),
    [
        ("torchnet", "stepped"),
        ("jaxnet", "stepped"),
        *ON_CPU,
        pytest.param("torchnet", "compiled", marks=pytest.mark.compiled),
    ],
)
def test_a_run_in_two_pieces_is_the_run_in_one(wing: str, loop: str, sizes: dict[str, dict[str, Any]]) -> None:
    ((name, size),) = sizes.items()
    train = partial(problem(wing, name).train, loop, steps=8, dtype="float64", **size)
    whole, first = train(), train(count=3)
    second = train(state=first.state, start=3)
    assert second.state.optimizer["step"] == 8
    joined = whole._replace(losses=np.concatenate([first.losses, second.losses]), state=second.state)
    expect_same(joined, whole)


@pytest.mark.parametrize("wing", ["torchnet", "jaxnet"])
def test_many_seeds_are_independent_runs(wing: str) -> None:
    mnist = problem(wing, "mnist")
    together = mnist.train_seeds([5, 2, 9], steps=3, dtype="float64")
    for run, seed in zip(together, [5, 2, 9], strict=True):
        expect_same(run, mnist.train(steps=3, seed=seed, dtype="float64"))
    assert apart(together[0].losses, together[1].losses) > 1e-3


@WINGS
def test_a_state_is_not_changed_by_the_run_that_starts_from_it(wing: ModuleType) -> None:
    state = wing.train(steps=2).state
    before = {name: array.copy() for part in state for name, array in part.items()}
    loops = torch_loops if wing is torch_mlp else jax_loops
    for loop in loops.LOOPS:
        if loop != "compiled" and not loops.missing(loop, "cpu"):
            wing.train(loop, steps=4, state=state, start=2)
    after = {name: array for part in state for name, array in part.items()}
    assert all(np.array_equal(before[name], after[name]) for name in before)


def test_a_jax_loop_compiles_once_whatever_the_rate_the_seed_and_the_start() -> None:
    for loop, program in (("stepped", "one_step"), ("whole_run", "scan"), ("many_seeds", "scan_together")):
        compiled = getattr(jax_loops, program)
        compiled.clear_cache()
        jax_mlp.train(loop, steps=9, count=5)
        jax_mlp.train(loop, steps=9, count=5, learning_rate=0.01, seed=4)
        state = jax_mlp.train(loop, steps=9, count=5).state
        jax_mlp.train(loop, steps=9, start=4, count=5, state=state)
        assert compiled._cache_size() == 1, loop
        # The planted mistake: what is static is compiled anew.
        jax_mlp.train(loop, steps=9, count=5, dtype="float64")
        assert compiled._cache_size() == 2, loop


@pytest.mark.compiled
def test_torchs_compiled_step_is_one_graph_compiled_once() -> None:
    torch._dynamo.reset()
    counters.clear()
    torch_mlp.train("compiled", steps=6, dtype="float64")
    assert dict(counters["stats"])["unique_graphs"] == 1
    assert not counters["graph_break"]
    torch_mlp.train("compiled", steps=4, seed=3, learning_rate=0.01, dtype="float64")
    assert dict(counters["stats"])["unique_graphs"] == 1
    torch_mlp.train("compiled", steps=4)
    assert dict(counters["stats"])["unique_graphs"] == 2


@pytest.mark.parametrize(("wing", "loop"), [("torchnet", "stepped"), ("jaxnet", "stepped"), *ON_CPU])
def test_no_loop_waits_for_a_loss_before_the_end(wing: str, loop: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A loss that is read would be read as a number; that is forbidden while the loop runs."""
    read: list[str] = []
    for kind in (torch.Tensor, type(jax.numpy.zeros(()))):
        for name in ("__float__", "item", "tolist", "__bool__"):
            original = getattr(kind, name)

            def watched(self: Any, *given: Any, original: Any = original, name: str = name) -> Any:
                read.append(f"{name} of {getattr(self, 'shape', None)}")
                return original(self, *given)

            monkeypatch.setattr(kind, name, watched)
    problem(wing, "mlp").train(loop, steps=5)
    assert [entry for entry in read if not entry.startswith(("item", "__float__"))] == []
    # torch's own Adam reads its counter, which stays on the CPU, once a step and parameter.
    assert len(read) in ((0, 5 * 4, 5 * 4 + 4) if (wing, loop) == ("torchnet", "stepped") else (0,))


def test_whole_run_says_that_torch_needs_a_gpu_for_it() -> None:
    with pytest.raises(torch_loops.LoopError, match="needs a GPU; --loop stepped runs everywhere"):
        torch_mlp.train("whole_run")
    # What also `parity` tells names no option of a wing's.
    assert torch_loops.missing("whole_run", "cpu") == "whole_run captures a CUDA graph and needs a GPU"
    assert torch_loops.missing("whole_run", "gpu") == ""
    assert jax_loops.missing("whole_run", "cpu") == ""


def test_compiled_says_that_it_needs_a_compiler(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CXX", "no-such-compiler")
    with pytest.raises(torch_loops.LoopError, match="no-such-compiler is not on the path: install one") as told:
        torch_mlp.train("compiled")
    assert "\n" not in str(told.value)


@pytest.mark.gpu
@pytest.mark.parametrize("name", ["line_fit", "mlp", "mnist"])
@pytest.mark.parametrize("loop", ["whole_run", "many_seeds"])
@pytest.mark.parametrize("wing", ["torchnet", "jaxnet"])
def test_a_loop_does_what_stepped_does_on_a_gpu(wing: str, loop: str, name: str) -> None:
    train = problem(wing, name).train
    expect_same(
        train(loop, dtype="float64", device="gpu", **SMALL[name]),
        train("stepped", dtype="float64", device="gpu", **SMALL[name]),
    )


@pytest.mark.gpu
@pytest.mark.parametrize("wing", ["torchnet", "jaxnet"])
def test_tf32_is_asked_for_and_shows_on_a_gpu(wing: str) -> None:
    train = problem(wing, "mnist").train
    judge = train(steps=1, dtype="float64", device="gpu").losses[0]
    full, coarse = (train(steps=1, device="gpu", precision=precision).losses[0] for precision in ("float32", "tf32"))
    assert abs(full - judge) / judge < 1e-6
    assert abs(coarse - judge) > abs(full - judge)
