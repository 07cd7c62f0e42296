"""Free runs whose own noise leaves nothing to be judged: judged in lockstep instead, and only there."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
import pytest

from parity.judging.distance.difference import Scales
from parity.judging.distance.factors import NOISE_DRAWS
from parity.judging.distance.noise import Noise, RecordedNoise
from parity.judging.passes.float64 import compare_float64
from parity.judging.passes.judge import Lockstep, judged_beyond_noise
from parity.recording import FRAMEWORKS, Framework, Key, Recording, keys_of
from parity_tests.parity.made_verdicts import provenance

CALM, WILD, EARLY = Key("trajectory", 2, "calm"), Key("trajectory", 2, "wild"), Key("forward", 0, "early")
SCALES = Scales({CALM: 1.0, WILD: 1.0, EARLY: 1.0}, frozenset())


def recording(framework: Framework, values: Mapping[Key, float]) -> Recording:
    found = Recording(provenance(framework, "float64"))
    for key in (EARLY, CALM, WILD):
        found.add(key.stage, key.step, {key.tensor: np.array(1.0 + values.get(key, 0.0))})
    return found


def judged(
    free: Mapping[Key, float], lockstep: Mapping[Key, float] | None = None, noise: float = 1e-6
) -> tuple[dict[Key, str], Lockstep]:
    """What becomes of free runs that are this far apart, and in lockstep that far; None: lockstep must not be run."""

    def run() -> Recording:
        assert lockstep is not None, "a difference that has nothing to do with noise was judged again"
        return recording("jax", lockstep)

    def of(size: float) -> Callable[..., Noise]:
        return lambda *_: RecordedNoise([{WILD: size}] * NOISE_DRAWS, SCALES)

    sides = {"torch": recording("torch", {}), "jax": recording("jax", free)}
    runs: dict[Framework, Recording] = {framework: sides[framework] for framework in FRAMEWORKS}
    compared = compare_float64(runs["torch"], runs["jax"], SCALES, of(noise), keys=keys_of(*runs.values()))
    found = judged_beyond_noise(compared, runs, "torch", SCALES, of(noise), of(0.0), run)
    return {c.key: c.outcome for c in found.comparisons}, found


def test_what_noise_moves_is_judged_in_lockstep_and_the_rest_stays() -> None:
    outcomes, found = judged({WILD: 1e-5}, lockstep={CALM: 1e-3})
    assert outcomes == {EARLY: "agree", CALM: "agree", WILD: "agree"}
    assert found.keys == {WILD}
    assert found.listed.startswith("float64: 1 tensors, first trajectory, step 2, wild, ask for a limit above 1e-09")


def test_a_difference_in_lockstep_is_one() -> None:
    assert judged({WILD: 1e-5}, lockstep={WILD: 1e-11})[0][WILD] == "differ"


@pytest.mark.parametrize("free", [{CALM: 1e-5}, {WILD: 1e-5, EARLY: 1e-5}, {WILD: float("nan")}])
def test_noise_excuses_nothing_else(free: dict[Key, float]) -> None:
    outcomes, found = judged(free)
    assert {key for key, outcome in outcomes.items() if outcome == "differ"} == set(free)
    assert found.run is None


def test_noise_below_the_ceiling_is_no_reason() -> None:
    assert judged({WILD: 1e-5}, noise=1e-11)[0][WILD] == "differ"


def test_where_nothing_differs_nothing_is_run() -> None:
    assert judged({})[1] == Lockstep(judged({})[1].comparisons)


STEP, SLOPE = Key("update", 0, "p"), Key("trajectory", 0, "gradient.p")


def of_step(framework: Framework, moved: list[float], gradient: list[float]) -> Recording:
    found = Recording(provenance(framework, "float64"))
    for key, array in ((Key("init", 0, "p"), [1.0, 1.0]), (STEP, moved), (SLOPE, gradient)):
        found.add(key.stage, key.step, {key.tensor: np.array(array)})
    return found


@pytest.mark.parametrize(
    ("moved", "gradient", "again", "outcome"),
    [
        # The second number of the gradient is rounding on the one side, and 0 on the other.
        ([0.5, 1.0 - 1e-8], [2.0, 1e-16], [0.5, 1.0], "agree"),
        ([0.5, 1.0 - 1e-8], [2.0, 1e-16], [0.5, 1.0 - 1e-8], "differ"),
        ([0.5, 1.0 - 1e-8], [2.0, 1e-16], [0.5 + 1e-8, 1.0], "differ"),
        ([0.5, 1.0 - 1e-8], [2.0, 1e-10], None, "differ"),
        ([0.5 + 1e-8, 1.0 - 1e-8], [2.0, 1e-16], None, "differ"),
    ],
)
def test_what_rounding_of_a_gradient_moved_is_judged_in_lockstep(
    moved: list[float], gradient: list[float], again: list[float] | None, outcome: str
) -> None:
    runs: dict[Framework, Recording] = {
        "torch": of_step("torch", [0.5, 1.0], [2.0, 0.0]), "jax": of_step("jax", moved, gradient)
    }  # fmt: skip
    sizes = Scales({STEP: 1.0, SLOPE: 2.0}, frozenset())

    def run() -> Recording:
        assert again is not None, "a difference that has nothing to do with rounding was judged again"
        return of_step("jax", again, gradient)

    def none(*_: object) -> Noise:
        return RecordedNoise([{}] * NOISE_DRAWS, sizes)

    compared = compare_float64(runs["torch"], runs["jax"], sizes, none, keys=[STEP])
    found = judged_beyond_noise(compared, runs, "torch", sizes, none, none, run)
    assert {c.key: c.outcome for c in found.comparisons} == {STEP: outcome}
    said = "float64: update, step 0, p rests on numbers of a gradient that are nothing but rounding, and 1 tensors with"
    assert found.listed.startswith(said) == (again is not None)
