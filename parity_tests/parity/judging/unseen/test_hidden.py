"""What lockstep sets back is looked for where a run began again from its own states comes to something else."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from parity.judging.distance.difference import Scales
from parity.judging.distance.factors import FLOAT64_CEILING
from parity.judging.unseen.hidden import hidden
from parity.recording import Arrays, Key
from parity.sides.live import Gradients
from parity_tests.parity.made_recordings import recording

STEPS = 6
SCALES = Scales({Key("trajectory", s, n): 1.0 for s in range(STEPS) for n in ("loss", "gradient.w")}, frozenset())


def findings(
    moved: Mapping[tuple[int, str], float],
    *,
    kept: Collection[int] = range(STEPS),
    drew: bool = False,
    ran: bool = True,
) -> Any:
    """Of a JAX side that from the state before a step comes so far from what it did there in its run."""

    def gradients(parameters: Arrays, step: int) -> Gradients:
        assert parameters["w"] == step - 1, "not the state before that step"
        far = [np.asarray(1.0 + moved.get((step, name), 0.0)) for name in ("loss", "w")]
        return Gradients(far[0], {"w": far[1]}, {})

    run = recording(("init", 0, {"w": np.asarray(0.0)}))
    for step in range(STEPS):
        arrays = {"w": np.asarray(float(step)), "gradient.w": np.asarray(1.0)} if step in kept else {}
        run.add("trajectory", step, {"loss": np.asarray(1.0)} | arrays)
    side = SimpleNamespace(
        drew=drew, float64=SimpleNamespace(batches=lambda seed, steps: range(steps), gradients=gradients)
    )
    return SimpleNamespace(
        judging="torch", other="jax", running={"jax": side}, seed=0, pair=SimpleNamespace(steps=STEPS), scales=SCALES,
        lockstep=SimpleNamespace(run=run if ran else None), recordings={"float64": {"jax": run}},
    )  # fmt: skip


@pytest.mark.parametrize("far", [2 * FLOAT64_CEILING, float("nan")])
@pytest.mark.parametrize(
    ("step", "name", "told"), [(1, "loss", "loss"), (1, "w", "gradient.w"), (5, "w", "gradient.w")]
)
def test_what_comes_to_something_else_is_told_of_the_second_step_and_the_last(
    step: int, name: str, told: str, far: float
) -> None:
    found = hidden(findings({(step, name): far}))
    assert found.startswith(f"not comparable: from the state before step {step} the jax side gives another {told} than")


def test_rounding_is_nothing_else() -> None:
    assert hidden(findings({(1, "loss"): FLOAT64_CEILING / 2})) == ""


def test_of_a_run_that_is_not_kept_whole_only_what_is_there_is_asked() -> None:
    assert "before step 3 " in hidden(findings({(3, "w"): 1.0}, kept=(2, 3, 5)))
    assert hidden(findings({(1, "w"): 1.0, (5, "w"): 1.0}, kept=(0, 2, 4))) == ""


def test_nothing_is_asked_of_a_free_run_or_of_a_side_that_draws() -> None:
    wrong = {(1, "loss"): 1.0}
    assert hidden(findings(wrong, ran=False)) == ""
    assert hidden(findings(wrong, drew=True)) == ""
