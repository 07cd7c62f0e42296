"""What flips in bfloat16 is no difference at the side's own activations, and a wrong way back is one there, too."""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from typing import Any

import jax
import pytest
from flax import nnx

from parity.judging.distance.difference import Scales, difference, scales
from parity.judging.passes.float32 import Float32
from parity.judging.passes.own_activations import AGAIN, AtOwnActivations
from parity.pair.pair import Pair
from parity.recording import FRAMEWORKS, Framework, Key, Recording
from parity.sides.live import LiveSide, live_side
from parity.sides.runs import free_run, lockstep
from parity.verdict import EPS, Comparison
from parity_tests.parity.bfloat16 import STAGES, bfloat16_pair, jax_net, there_only

pytestmark = pytest.mark.usefixtures("compiled_once")
FLIPS = 8
"""Steps, of which some have a ReLU that flips: 256 inputs of one lie within 1 or 2 eps of zero."""
CUT = there_only(lambda x: jax.lax.stop_gradient(nnx.relu(x)), nnx.relu)


@cache
def judge() -> tuple[Recording, Scales]:
    free = [free_run(side(name, "float64"), 0, FLIPS, stages=STAGES) for name in FRAMEWORKS]
    return free[0], scales(free)


def pair(**others: Any) -> Pair:
    return bfloat16_pair(steps=FLIPS, **others)


@cache
def side(framework: Framework, dtype: Any = "bfloat16") -> LiveSide:
    return live_side(pair().side(framework), framework, dtype, "cpu")


def at(jax_side: LiveSide | None = None) -> AtOwnActivations:
    recording, found = judge()
    rule = Float32(recording, found, {}, lambda _: pytest.fail("no noise is asked for"), dtype="bfloat16")
    exact = side("torch", "float64")
    sides: dict[Framework, LiveSide] = {"torch": side("torch"), "jax": jax_side or side("jax")}
    return AtOwnActivations(rule, exact, sides, exact.batches(0, FLIPS))


def furthest(framework: Framework) -> Comparison:
    """The gradient of a side that is furthest from the judge's."""
    recording, found = judge()
    run = lockstep(side(framework), recording, 0, FLIPS)
    apart = {
        key: difference(array, expected, found.of[key])
        for key in recording.flow()
        if key.tensor.startswith("gradient.")
        and (array := run.get(key)) is not None
        and (expected := recording.get(key)) is not None
    }
    key = max(apart, key=apart.__getitem__)
    return Comparison(key, "bfloat16", framework, None, apart[key], 8 * EPS["bfloat16"], None, "differ")


@pytest.mark.parametrize("framework", FRAMEWORKS)
def test_what_a_flip_moves_is_within_the_limit_at_the_sides_own_activations(framework: Framework) -> None:
    before = furthest(framework)
    after = at()(before)
    assert before.difference > 3 * after.difference
    assert (after.outcome, after.note, after.cause) == ("agree", AGAIN, "own activations")


def test_a_wrong_way_back_stays_a_difference() -> None:
    wrong = live_side(pair(jax={"model": jax_net(hidden=CUT)}).jax, "jax", "bfloat16", "cpu")
    comparison = replace(furthest("jax"), key=Key("trajectory", 1, "gradient.inner.weight"))
    assert at(wrong)(comparison).outcome == "differ"


def test_activations_beyond_their_limit_excuse_nothing() -> None:
    wrong = live_side(
        pair(jax={"model": jax_net(hidden=there_only(lambda x: x, nnx.relu))}).jax, "jax", "bfloat16", "cpu"
    )
    comparison = furthest("jax")
    assert at(wrong)(comparison) == comparison


def test_only_gradients_are_judged_again() -> None:
    comparison = replace(furthest("torch"), key=Key("trajectory", 1, "inner.weight"))
    assert at()(comparison) is comparison
