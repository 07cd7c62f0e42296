"""A parameter whose gradient is nothing but rounding is judged in lockstep, and the judge of a GPU also on the CPU."""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
import torch

from parity.judging.check import check
from parity.judging.distance.difference import difference, scales
from parity.judging.distance.factors import FLOAT64_FLOOR
from parity.judging.distance.noise import Noise
from parity.judging.passes.float64 import compare_float64
from parity.judging.passes.judge import ON_CPU, compare_with_cpu, completed, rests_on_null, taken
from parity.pair.pair import Pair, Side
from parity.recording import Arrays, Framework, Key, Recording, keys_of
from parity.sides.live import live_side
from parity.sides.runs import free_run
from parity.verdict import Verdict
from parity_tests.parity.made_recordings import recording, replayed
from parity_tests.parity.tiny import tiny

STEPS = 10


def draw_parameters(seed: int) -> Arrays:
    """A weight, and a shift of all logits alike, of which no cross-entropy depends."""
    numbers = np.random.default_rng(seed)
    return {"weight": numbers.standard_normal((4, 6)), "shift": numbers.standard_normal(1)}


def batches(seed: int, steps: int) -> list[Arrays]:
    numbers = np.random.default_rng(seed + 1)
    return [{"x": numbers.standard_normal((32, 6)), "labels": numbers.integers(0, 4, 32)} for _ in range(steps)]


def to_arrays(model: Any) -> Arrays:
    held = {name: value.detach().numpy() if hasattr(value, "detach") else value for name, value in model.items()}
    return {name: np.array(value) for name, value in held.items()}


def predict(model: Any, batch: Any) -> Any:
    return batch["x"] @ model["weight"].T + model["shift"] * (1 - batch.get("hidden", 0))


SHARED: dict[str, Any] = {
    "parameters": draw_parameters, "batches": batches, "arrays": to_arrays, "predict": predict,
    "scored": lambda seed: {"held out": batches(seed + 5, 1)[0]},
}  # fmt: skip
TORCH = Side(
    model=lambda arrays, dtype, device: {name: torch.tensor(a).requires_grad_() for name, a in arrays.items()},
    loss=lambda model, batch: torch.nn.functional.cross_entropy(predict(model, batch), batch["labels"]),
    optimizer=lambda parameters: torch.optim.Adam(parameters, lr=0.03), **SHARED,
)  # fmt: skip
JAX = Side(
    model=lambda arrays, dtype, device: {name: jnp.asarray(a) for name, a in arrays.items()},
    loss=lambda model, batch: optax.softmax_cross_entropy_with_integer_labels(
        predict(model, batch), batch["labels"]
    ).mean(),
    optimizer=lambda: optax.adam(0.03), **SHARED,
)  # fmt: skip
PAIR = Pair(name="shifted", torch=TORCH, jax=JAX, steps=STEPS, labels="labels")


def wrong_for(name: str) -> Pair:
    """Adam moves one parameter of the JAX side one percent and a millionth too far."""
    right = optax.adam(0.03)

    def update(gradients: Any, state: Any, model: Any) -> Any:
        updates, state = right.update(gradients, state, model)
        return updates | {name: 1.01 * updates[name] + 1e-6}, state

    return replace(PAIR, jax=replace(JAX, optimizer=lambda: optax.GradientTransformation(right.init, update)))


@cache
def verdict_of(wrong: str = "") -> Verdict:
    return check(wrong_for(wrong) if wrong else PAIR)


def test_a_null_gradient_is_listed_and_nothing_is_inconclusive() -> None:
    verdict = verdict_of()
    assert verdict.outcome == "agree", verdict.first_difference or [stage.reason for stage in verdict.stages]
    assert "null gradient: backward shift" in verdict.listed
    judged = [c for c in verdict.comparisons if c.key.tensor == "shift" and c.key.stage == "trajectory"]
    assert {c.dtype for c in judged} == {"float64", "float32"}
    assert len([c for c in judged if c.dtype == "float64"]) == STEPS


def free_runs(seed: int) -> dict[Framework, Recording]:
    return {
        name: free_run(live_side(PAIR.side(name), name, "float64", "cpu"), seed, STEPS) for name in ("torch", "jax")
    }


def test_two_free_runs_part_there() -> None:
    sides = free_runs(seed=0)
    last = Key("trajectory", STEPS - 1, "shift")
    # What rounding becomes differs from machine to machine: one seed alone may come out near the floor.
    ends = [
        [run.of(*last[:2])[last.tensor] for run in (sides if seed == 0 else free_runs(seed)).values()]
        for seed in range(4)
    ]
    assert max(difference(torch_end, jax_end, 1.0) for torch_end, jax_end in ends) > 100 * FLOAT64_FLOOR
    found = scales(list(sides.values()))
    assert rests_on_null(last, sides["torch"], found)
    assert rests_on_null(last._replace(tensor="exp_avg.shift"), sides["torch"], found)
    assert not rests_on_null(last._replace(tensor="weight"), sides["torch"], found)
    assert not rests_on_null(last._replace(tensor="gradient.shift"), sides["torch"], found)


def test_a_parameter_whose_name_ends_like_one_with_a_null_gradient_is_judged_in_the_free_run() -> None:
    one = np.ones(1)
    judge = recording(
        ("init", 0, {"bias": one, "fc.bias": one}),
        ("backward", 0, {"bias": one * 1e-20, "fc.bias": one}),
        ("update", 0, {"bias": one, "fc.bias": one, "exp_avg.bias": one, "exp_avg.fc.bias": one}),
    )
    found = scales([judge])
    assert [key.tensor for key in judge.flow() if rests_on_null(key, judge, found)] == ["bias", "exp_avg.bias"]


def test_what_rests_on_a_gradient_that_begins_null_does_so_to_the_end() -> None:
    one = np.ones(1)
    judge = recording(("init", 0, {"bias": one, "weight": one}))
    for step, size in enumerate((1e-17, 1.0)):
        judge.add("backward", step, {"bias": one * size, "weight": one})
        judge.add("update", step, {"bias": one, "weight": one, "exp_avg.bias": one})
    found = [key for key in judge.flow() if rests_on_null(key, judge, scales([judge]))]
    assert [(key.step, key.tensor) for key in found] == [
        (0, "bias"), (0, "exp_avg.bias"), (1, "bias"), (1, "exp_avg.bias")
    ]  # fmt: skip


def hiding_later(seed: int, steps: int) -> list[Arrays]:
    """From the second batch on, the shift does not reach the first class, and then the loss depends on it."""
    hidden = np.zeros((32, 4))
    hidden[:, 0] = 1
    return [batch | {"hidden": hidden * (step > 0)} for step, batch in enumerate(batches(seed, steps))]


@pytest.mark.parametrize("wrong", ["", "shift"])
def test_a_gradient_that_only_begins_null_is_no_difference_and_a_wrong_step_still_is(wrong: str) -> None:
    pair = wrong_for(wrong) if wrong else PAIR
    parts: dict[str, Any] = {"batches": hiding_later, "scored": lambda seed: {"held out": hiding_later(seed, 2)[1]}}
    torch, jax = replace(pair.torch, **parts), replace(pair.jax, **parts)
    verdict = check(replace(pair, torch=torch, jax=jax, steps=4))
    if wrong:
        assert verdict.first_difference is not None
        assert verdict.first_difference.comparison.key == ("update", 0, "shift")
        return
    assert verdict.outcome == "agree", verdict.first_difference or [stage.reason for stage in verdict.stages]
    assert "null gradient in the first steps: backward shift" in verdict.listed


class Cancelling(torch.nn.Module):
    """A linear layer, whose parameters alone are asked for."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = torch.nn.Parameter(torch.randn(3, 2))
        self.bias = torch.nn.Parameter(torch.zeros(3))

    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        return torch.nn.functional.linear(inputs, self.weight, self.bias)


SHARES = np.array([[0.1, 1, 1], [0.2, 2, 1], [-0.3, 3, 1]])
"""What the loss hands back: in the first entry of the bias it adds up to rounding, in another order to another one."""


def cancelling(seed: int, steps: int) -> list[Arrays]:
    numbers = np.random.default_rng(seed)
    return [{"inputs": numbers.standard_normal((3, 2)), "shares": SHARES} for _ in range(steps)]


@pytest.mark.parametrize("wrong", [{}, {"eps": 1e-7}, {"learning_rate": 0.11}, {"b1": 0.8}])
def test_a_gradient_that_is_null_in_an_entry_is_no_difference_and_a_wrong_step_still_is(wrong: Any) -> None:
    def predict(parameters: Any, batch: Any) -> Any:
        return batch["inputs"] @ parameters["weight"].T + parameters["bias"]

    def loss(parameters: Any, batch: Any) -> Any:
        one_by_one = zip(batch["inputs"], batch["shares"], strict=True)
        return sum((x @ parameters["weight"].T + parameters["bias"]) @ shares for x, shares in one_by_one)

    pair = Pair(
        name="cancelling",
        torch={
            "model": Cancelling,
            "loss": lambda model, batch: (model(batch["inputs"]) * batch["shares"]).sum(),
            "predict": lambda model, batch: model(batch["inputs"]),
            "optimizer": lambda parameters: torch.optim.Adam(parameters, lr=0.1),
        },
        jax={
            "model": lambda rngs: {"weight": jnp.zeros((3, 2)), "bias": jnp.zeros(3)},
            "loss": loss,
            "predict": predict,
            "optimizer": lambda: optax.adam(**({"learning_rate": 0.1} | wrong)),
        },
        batches=cancelling,
        steps=2,
        scored=lambda seed: {"held out": cancelling(seed + 1, 1)[0]},
    )  # fmt: skip
    verdict = check(pair, dtypes=("float64",))
    if wrong:
        assert verdict.first_difference is not None
        assert verdict.first_difference.comparison.key.stage == "update"
        return
    assert verdict.outcome == "agree", verdict.first_difference or [stage.reason for stage in verdict.stages]
    assert any("rests on numbers of a gradient that are nothing but rounding" in line for line in verdict.listed)


@pytest.mark.parametrize("name", ["shift", "weight"])
def test_a_wrong_step_of_a_parameter_is_caught_whether_or_not_its_gradient_is_null(name: str) -> None:
    verdict = verdict_of(name)
    assert verdict.first_difference is not None
    assert verdict.first_difference.comparison.key == ("update", 0, name)
    assert verdict.first_difference.comparison.dtype == "float64"


def test_the_judge_of_a_gpu_is_compared_with_the_cpu_tensor_by_tensor() -> None:
    pair = tiny(2)
    judge = free_run(live_side(pair.torch, "torch", "float64", "cpu"), 0, 2)
    found = scales([judge])

    def noise_of(framework: Framework, _: int | None) -> Noise:
        return Noise(judge, lambda move, into: replayed(judge, into), found, 0)

    cpu = free_run(live_side(pair.torch, "torch", "float64", "cpu"), 0, 2)
    right = compare_with_cpu(judge, cpu, found, noise_of)
    assert {c.key for c in right} == set(judge.flow())
    assert {(c.outcome, c.loop) for c in right} == {("agree", ON_CPU.format("torch"))}
    judge.of("trajectory", 1)["outer.weight"] *= 1 + 1e-8
    wrong = compare_with_cpu(judge, cpu, found, noise_of)
    assert [str(c.key) for c in wrong if c.outcome == "differ"] == [
        "update, step 1, outer.weight", "trajectory, step 1, outer.weight",
    ]  # fmt: skip
    assert compare_float64(judge, judge, found, noise_of, keys=keys_of(judge))


def test_the_pair_is_what_it_says() -> None:
    with jax.enable_x64(True):
        model = JAX.model(draw_parameters(0), "float64", "cpu")  # type: ignore[operator]
        gradient = jax.grad(JAX.loss)(model, {n: jnp.asarray(a) for n, a in batches(0, 1)[0].items()})  # type: ignore[arg-type]
    assert abs(float(gradient["shift"][0])) < 1e-15


def test_what_only_the_other_side_holds_is_there_for_its_steps_from_the_judges_states() -> None:
    weight, count = np.ones(2), np.array(3)

    def side(*counters: str) -> Recording:
        own = {"w": weight} | dict.fromkeys(counters, count)
        trained = {"loss": np.array(1.0), "gradient.w": weight} | own
        return recording(("init", 0, own), ("forward", 0, own), ("trajectory", 0, trained), ("trajectory", 1, trained))

    judge, other = side(), side("counter", "unknown")
    found = completed(judge, other, {"counter", "w"})
    assert found.state_before(1).parameters.keys() == {"w", "counter"}
    assert found.of("trajectory", 1).keys() == {"loss", "gradient.w", "w", "counter"}
    assert found.of("forward", 0).keys() == judge.of("forward", 0).keys() == {"w"}
    assert judge.state_before(1).parameters.keys() == {"w"}
    assert completed(other, judge, {"counter"}) is other
    assert completed(judge, other, ()) is judge


def test_only_what_all_runs_have_taken_is_compared_in_lockstep() -> None:
    steps = [("trajectory", step, {"w": np.ones(2)}) for step in range(3)]
    whole, short = recording(*steps), recording(*steps[:2])
    keys = list(whole.flow())
    assert taken(keys, whole) == keys
    assert taken(keys, whole, short) == keys[:2]
