"""An activation near zero may have another sign; one that is not near zero may not."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pytest

from parity.judging.check import check
from parity.judging.distance.difference import scales
from parity.judging.distance.factors import FEW_EPS, FLOAT32_FACTOR, MOVES
from parity.judging.passes.flips import Rejudge, flips, flips_before
from parity.judging.passes.float32 import Float32
from parity.recording import Array, Arrays, Batch, Dtype, Key
from parity.sides.live import Gradients, LiveSide, Observation
from parity.verdict import EPS, Comparison
from parity_tests.parity.made_recordings import MadeNoise, recording
from parity_tests.parity.tiny import tiny
from parity_tests.parity.tiny_draws import batches, draw_parameters
from parity_tests.parity.tiny_jax import loss

NEAR = FLOAT32_FACTOR * FEW_EPS * EPS["float32"]


def observation(**forward: Array) -> Observation:
    return Observation(
        {name.replace("__", "."): array for name, array in forward.items()}, Gradients(np.zeros(()), {}, {}), {}
    )


@pytest.mark.parametrize(
    ("found", "inside", "outside"),
    [
        ([2.0, NEAR / 2, 1.0], 0, 0),
        ([2.0, -NEAR / 2, 1.0], 1, 0),
        ([2.0, -3 * NEAR, 1.0], 0, 1),
        ([2.0, -NEAR / 2, -1.0], 1, 1),
    ],
)
def test_a_flip_is_inside_where_both_are_near_zero_in_the_scale_of_the_layer(
    found: list[float], inside: int, outside: int
) -> None:
    judge = observation(fc1__output=np.array([2.0, NEAR, 1.0]))
    assert flips(observation(fc1__output=np.array(found, "float32")), judge) == (inside, outside)


def test_a_mask_does_not_make_everything_beside_it_near_zero() -> None:
    judge = observation(fc1__output=np.array([2.0, 0.5, -1e9]))
    assert flips(observation(fc1__output=np.array([2.0, -0.5, -1e9], "float32")), judge) == (0, 1)


def test_what_stands_at_a_tap_may_flip_and_what_only_one_side_has_cannot() -> None:
    judge = observation(a__tap=np.array([1.0, NEAR / 2]), fc1__output=np.ones(2), fc2__output=np.ones((2, 3)))
    found = observation(a__tap=np.array([1.0, -NEAR / 2]), fc2__output=-np.ones((3, 2)))
    assert flips(found, judge) == (1, 0)


def test_only_what_comes_out_of_layers_flips() -> None:
    judge = observation(fc1__input=np.array([1.0]), output=np.array([1.0]))
    assert flips(observation(fc1__input=np.array([-1.0]), output=np.array([-1.0])), judge) == (0, 0)


def test_what_goes_into_a_layer_flips_where_it_is_nowhere_negative() -> None:
    judge = observation(fc1__input=np.array([1.0, NEAR / 2]), fc2__input=np.array([-1.0, NEAR / 2]))
    shut = np.array([1.0, 0.0])
    assert flips_before(observation(fc1__input=shut, fc2__input=shut - 1), judge) == (1, 0)
    assert flips_before(observation(fc1__input=shut[::-1]), judge) == (0, 1)
    assert flips_before(observation(fc1__output=shut), observation(fc1__output=shut[::-1])) == (0, 0)


def test_a_buffer_is_not_moved_aside() -> None:
    """A mask or an index that is moved is another network."""
    held = {"weight": np.array([1.0, 2.0]), "mask": np.array([0.0, 1.0])}
    given: list[Arrays] = []

    def observe(parameters: Arrays, _: Batch) -> Observation:
        given.append(parameters)
        return observation(fc1__output=np.array([2.0, NEAR / 2 if len(given) % 2 else -NEAR / 2]))

    live: Any = SimpleNamespace(
        outline=SimpleNamespace(buffers=frozenset({"mask"})), dtype="float64", observe=observe
    )  # fmt: skip
    judge = recording(("init", 0, held))
    float32 = Float32(judge, scales([judge]), {}, lambda _: MadeNoise(judge))
    found = list(Rejudge(float32, live, {"torch": live}, [{}], 0).asides("torch", 0))
    assert len(found) == MOVES
    assert all(np.array_equal(arrays["mask"], held["mask"]) for arrays in given)
    assert all((arrays["weight"] != held["weight"]).all() for arrays in given[2:])


# A pair in which rounding the parameters to float32 flips an activation: 0.1 - 0.100000001 + 5e-10 is
# negative, and in float32, where the first two are the same number, it is positive.


def parameters_at_the_edge(seed: int) -> Arrays:
    arrays = draw_parameters(seed)
    arrays["inner.weight"][0, :2] = 0.1, 1
    arrays["inner.bias"][0] = 5e-10
    return arrays


def batches_at_the_edge(seed: int, steps: int) -> list[Batch]:
    found = [dict(batch) for batch in batches(seed, steps)]
    found[0]["inputs"] = found[0]["inputs"].copy()
    found[0]["inputs"][0] = 0
    found[0]["inputs"][0, :2] = 1, -0.100000001
    return found


AT_THE_EDGE: dict[str, Any] = {"parameters": parameters_at_the_edge, "batches": batches_at_the_edge}


def test_a_flip_by_the_rounding_of_the_parameters_is_listed_and_no_difference() -> None:
    verdict = check(tiny(1, AT_THE_EDGE, AT_THE_EDGE))
    assert verdict.outcome == "agree", verdict.first_difference
    assert any("1 activation flipped at zero" in line for line in verdict.listed)


def test_beside_a_flip_a_wrong_gradient_is_still_one() -> None:
    """At the states moved aside the limit is what it always is."""
    off = AT_THE_EDGE | {"loss": lambda model, batch: loss(model, batch) * (1 + 3e-4)}
    verdict = check(tiny(1, AT_THE_EDGE, off))
    assert verdict.outcome == "differ"


# A side made by hand: a ReLU of two numbers, one of them the difference of two weights that are neighbours in float32.


class MadeSide:
    """Its outputs as `change` leaves them, its gradient `gain` where the ReLU is open."""

    dtype: Dtype = "float32"
    outline = None

    def __init__(self, change: Callable[[Array], Array] = np.asarray, gain: float = 1.0) -> None:
        self.change, self.gain, self.passes = change, gain, 0

    def observe(self, parameters: Arrays, _: Batch) -> Observation:
        self.passes += 1
        weight = parameters["w"]
        output = self.change(np.array([1.0, weight[0] - weight[1]]))
        return Observation({"fc.output": output}, Gradients(np.zeros(()), {"w": self.gain * (output > 0)}, {}), {})


JUDGE = recording(("init", 0, {"w": np.array([0.5, 0.5 - 2.0**-25])}), ("backward", 0, {"w": np.ones(2)}))
DIFFERING = Comparison(Key("backward", 0, "w"), "float32", "jax", None, 1.0, 1e-5, None, "differ")


def lower(by: float) -> Callable[[Array], Array]:
    return lambda output: output - np.array([0, by])


def against(output: Array) -> Array:
    """Shut where the judge is open and open where it is shut, whatever the state."""
    return np.array([1.0, 1e-9 if output[1] <= 0 else -1e-9])


def rejudging(side: MadeSide) -> Rejudge:
    float32 = Float32(JUDGE, scales([JUDGE]), {}, lambda _: MadeNoise(JUDGE))
    sides = {"torch": MadeSide(), "jax": side}
    return Rejudge(float32, cast(LiveSide, MadeSide()), cast(Any, sides), [{}], seed=0)


def test_a_gradient_is_judged_again_where_nothing_flips() -> None:
    found = rejudging(MadeSide(lower(4e-8)))(DIFFERING)
    assert (found.outcome, found.difference) == ("agree", 0)
    assert found.note == "1 activation flipped at zero: judged again from a state moved aside"
    assert rejudging(MadeSide(lower(4e-8)))(DIFFERING) == found


@pytest.mark.parametrize("gain", [1.001, 2.0, -1.0, 0.0, np.nan])
def test_there_a_wrong_gradient_differs_still(gain: float) -> None:
    found = rejudging(MadeSide(lower(4e-8), gain))(DIFFERING)
    assert found.outcome == "differ"
    assert found.limit == NEAR


class Behind(MadeSide):
    """The same where the two numbers are a sum: what the ReLU gives is seen only where it goes into the next layer."""

    def observe(self, parameters: Arrays, batch: Batch) -> Observation:
        seen = super().observe(parameters, batch)
        return seen._replace(forward={"next.input": np.maximum(seen.forward["fc.output"], 0)})


def behind(gain: float = 1.0, change: Callable[[Array], Array] = np.asarray) -> Comparison:
    sides = {"torch": Behind(), "jax": Behind(change, gain)}
    return replace(rejudging(MadeSide()), judge=cast(LiveSide, Behind()), sides=cast(Any, sides))(DIFFERING)


def test_a_relu_of_a_sum_may_flip_too_and_a_wrong_gradient_differs_still() -> None:
    found = behind(change=lower(4e-8))
    assert (found.outcome, found.difference) == ("agree", 0)
    assert found.note == "1 activation flipped at zero: judged again from a state moved aside"
    for gain in (1.001, 2.0, -1.0, 0.0):
        assert behind(gain, lower(4e-8)).outcome == "differ"
    assert behind(2.0).outcome == "differ"
    assert behind(change=against).outcome == "differ"


@pytest.mark.parametrize(
    ("side", "why"),
    [
        (MadeSide(lower(1e-2)), "a flip outside the margin"),
        (MadeSide(lambda output: np.array([-1.0, -1e-9])), "one inside the margin and one outside"),
    ],
)
def test_otherwise_the_difference_stands(side: MadeSide, why: str) -> None:
    assert rejudging(side)(DIFFERING) is DIFFERING, why
    assert side.passes == 1


def test_what_flips_wherever_the_state_is_moved_differs_in_the_end() -> None:
    side = MadeSide(against)
    found = rejudging(side)(DIFFERING)
    assert (found.outcome, found.difference) == ("differ", 1.0)
    assert side.passes == MOVES + 1


class Elsewhere(MadeSide):
    """Another output of it may flip in every state, with no ReLU behind it; its gradient is off in the first ones."""

    def observe(self, parameters: Arrays, batch: Batch) -> Observation:
        seen = super().observe(parameters, batch)
        norm = np.array([1.0, 1e-9 if self.dtype == "float64" or self.still else -1e-9])
        first = self.dtype == "float32" and self.passes <= self.off
        gradients = {"w": self.gain * np.ones(2) - np.array([0.0, float(first)])}
        return Observation({"norm.output": norm}, seen.gradients._replace(parameters=gradients), {})

    off = 0
    still = False


def elsewhere(gain: float = 1.0, off: int = 0, other_off: int = 0, still: bool = False) -> Comparison:
    judge, torch, jax = Elsewhere(), Elsewhere(), Elsewhere(gain=gain)
    judge.dtype, torch.off, jax.off, torch.still, jax.still = "float64", other_off, off, still, still
    return replace(rejudging(MadeSide()), judge=cast(LiveSide, judge), sides=cast(Any, {"torch": torch, "jax": jax}))(
        DIFFERING
    )


def test_a_flip_that_no_layer_shows_is_no_difference() -> None:
    """As of a ReLU before a pool: the gradient alone tells of it, and it is right at other states."""
    found = elsewhere(off=2, still=True)
    assert (found.outcome, found.difference) == ("agree", 0)
    assert found.note == "one that no layer shows flipped at zero: judged again from a state moved aside"
    for gain in (1.001, 2.0, -1.0, 0.0):
        assert elsewhere(gain, off=2, still=True).outcome == "differ"


def test_after_a_difference_that_stands_no_flip_is_looked_for_that_nobody_sees() -> None:
    side = MadeSide(gain=2.0)
    by = replace(rejudging(side), batches=[{}, {}])
    assert by(DIFFERING).outcome == "differ"
    assert side.passes == MOVES + 1
    later = replace(DIFFERING, key=DIFFERING.key._replace(step=1))
    assert by(later) is later
    assert side.passes == MOVES + 2


def test_one_state_at_which_it_agrees_is_enough_where_something_flips_in_all() -> None:
    assert (elsewhere(off=4).outcome, elsewhere(off=4).difference) == ("agree", 0)
    assert elsewhere(off=MOVES + 1).outcome == "differ"


@pytest.mark.parametrize("gain", [1.001, 2.0, -1.0, 0.0])
def test_a_wrong_gradient_agrees_at_none_though_the_other_side_is_off_too(gain: float) -> None:
    assert elsewhere(gain).outcome == "differ"
    assert elsewhere(gain, off=2, other_off=3).outcome == "differ"


@pytest.mark.parametrize(
    "other",
    [
        replace(DIFFERING, key=Key("forward", 0, "fc.output")),
        replace(DIFFERING, key=Key("trajectory", 0, "w")),
        replace(DIFFERING, key=Key("loss", 0, "loss")),
        replace(DIFFERING, side=None),
    ],
    ids=["an activation", "a parameter", "the loss", "both sides against each other"],
)
def test_a_flip_excuses_a_gradient_of_one_side_and_nothing_else(other: Comparison) -> None:
    side = MadeSide(lower(4e-8))
    assert rejudging(side)(other) is other
    assert side.passes == 0


# Where a side is recorded


def test_a_recorded_side_is_judged_by_how_far_it_was_aside() -> None:
    by = replace(rejudging(MadeSide()), sides={})
    assert by(DIFFERING) is DIFFERING
    within, beyond = (
        replace(by, recorded={DIFFERING.key: (2.0, apart)})(DIFFERING) for apart in (0.9 * NEAR, 1.1 * NEAR)
    )
    assert (within.outcome, within.limit, within.difference) == ("agree", NEAR, 0.9 * NEAR)
    assert within.note == "2 activations flipped at zero: judged again from a state moved aside"
    assert beyond.outcome == "differ"


@pytest.mark.parametrize(("gain", "outcome"), [(1.0, "agree"), (1 + 0.9 * NEAR, "agree"), (1 + 1.1 * NEAR, "differ")])
def test_beside_a_recorded_side_the_limit_is_the_narrowest(gain: float, outcome: str) -> None:
    """The other side is not there to say how far a right one comes: so as far as a few eps allow, and no further."""
    both = rejudging(MadeSide(lower(4e-8), gain))
    found = replace(both, sides={"jax": both.sides["jax"]})(DIFFERING)
    assert (found.outcome, found.limit) == (outcome, NEAR)
