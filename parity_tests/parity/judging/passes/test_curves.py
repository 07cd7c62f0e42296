"""Free-running curves are each side's own losses, with the band by which it leaves itself."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np

from parity.judging.distance.factors import FEW_EPS
from parity.judging.passes.curves import curve
from parity.recording import FRAMEWORKS, Arrays, Framework
from parity.sides.live import LiveSide
from parity.verdict import EPS
from parity_tests.parity.tiny import live

STEPS = 5


def sides() -> dict[Framework, LiveSide]:
    return {framework: live(framework, "float32") for framework in FRAMEWORKS}


def test_a_curve_is_the_loss_of_every_step_of_a_free_run() -> None:
    for side in sides().values():
        found = curve(side, 0, STEPS)
        taken = side.run(side.initial(0), iter(side.batches(0, STEPS)))
        assert found.losses == [float(step.gradients.loss) for step in taken]
        assert len(found.losses) == len(found.band) == STEPS


def test_a_band_is_that_of_rounding_and_never_narrows() -> None:
    for band in (curve(side, 0, 30).band for side in sides().values()):
        assert band == sorted(band)
        # One unit in the last place is at most a few eps of the first loss, and shows in the loss of some later step.
        assert band[0] <= FEW_EPS * EPS["float32"]
        assert 0 < band[-1] < 1e-2


def test_of_two_curves_in_float32_neither_is_the_other_and_both_come_down() -> None:
    losses = {framework: curve(side, 0, 30).losses for framework, side in sides().items()}
    assert np.allclose(losses["torch"], losses["jax"], rtol=1e-3)
    assert losses["torch"] != losses["jax"]
    assert all(found[-1] < 0.7 * found[0] for found in losses.values())


def test_the_seed_is_that_of_the_run() -> None:
    side = live("torch", "float32")
    assert curve(side, 0, 2).losses != curve(side, 1, 2).losses
    assert curve(side, 1, 2) == curve(side, 1, 2)


def test_no_band_comes_of_a_buffer_that_was_moved() -> None:
    """A mask or an index that is moved is another network."""
    begun: list[Arrays] = []

    def losses(initial: Arrays, _: Any) -> list[float]:
        begun.append(initial)
        return [1.0]

    held = {"weight": np.array([1.0, 2.0], np.float32), "mask": np.array([0.0, 1.0], np.float32)}
    side: Any = SimpleNamespace(
        outline=SimpleNamespace(buffers=frozenset({"mask"})), initial=lambda seed: held, losses=losses,
        batches=lambda seed, steps: [{}] * steps,
    )  # fmt: skip
    curve(side, 0, 1)
    right, aside = begun
    assert all(np.array_equal(arrays["mask"], held["mask"]) for arrays in begun)
    assert np.array_equal(right["weight"], held["weight"])
    assert (aside["weight"] != held["weight"]).all()
