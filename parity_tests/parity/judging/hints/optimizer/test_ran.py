"""The JAX side's steps as flat arrays, one for each group, and what another optimizer would have after them."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from parity.judging.hints.optimizer.ran import Guess
from parity.pair.optimizers import Clip, Optimizer
from parity.recording import Recording
from parity_tests.parity.optimizers.cases import CASES
from parity_tests.parity.optimizers.recorded import alike, ran

pytestmark = pytest.mark.usefixtures("compiled_quickly")
NAMED = {case.name: case for case in CASES}


def same(optimizer: Optimizer) -> Optimizer:
    return optimizer


def test_a_group_is_one_array() -> None:
    found = ran(NAMED["AdamW, two groups"], 0.01, same, 2)
    assert found.names == [["inner.weight", "scale"], ["inner.bias"]]
    assert {name: array.size for name, array in found.after(0).items() if "." not in name} == {"0": 7, "1": 3}
    assert found.right.optimizer.shapes == {"0": (7,), "1": (3,)}


@pytest.mark.parametrize("name", ["AdamW, two groups", "SGD, two groups", "clipped, scheduled, two groups", "Rprop"])
def test_torchs_own_optimizer_has_what_was_found(name: str) -> None:
    found = ran(NAMED[name], 0.01, same, 3)
    for step in range(3):
        model = found.modelled(found.right, step)
        assert alike(model, {entry: found.after(step)[entry] for entry in model})


def test_what_is_not_recorded_is_found_by_taking_the_steps_again() -> None:
    found = ran(NAMED["SGD, momentum"], 0.01, same, 4)
    assert found.recorded(found.right.optimizer, 3)
    bare = {
        place: {name: array for name, array in group.items() if not name.startswith("momentum")}
        for place, group in found.jax.groups.items()
    }
    without = Recording(found.jax.provenance, bare)
    alone = replace(found, jax=without, torch=without, begins=without)
    assert not alone.recorded(found.right.optimizer, 3)
    np.testing.assert_array_equal(alone.modelled(found.right, 3)["0"], found.after(3)["0"])


def test_torchs_memory_stands_for_one_that_jax_does_not_show_up_to_the_first_difference() -> None:
    found = ran(NAMED["SGD, momentum"], 0.01, same, 4)
    bare = {place: {n: a for n, a in group.items() if "momentum" not in n} for place, group in found.jax.groups.items()}
    without = Recording(found.jax.provenance, bare)
    for first, recorded in ((1, False), (2, True)):
        known = replace(found, jax=without, begins=without, same=first)
        assert known.recorded(found.right.optimizer, 2) == recorded


def test_gradients_are_clipped_as_torch_does_it() -> None:
    found = ran(NAMED["SGD"], 0.01, same, 1)
    whole = np.concatenate(list(found.gradients(0, None).values()))
    norm = np.linalg.norm(whole)
    assert found.norm(0, 2.0) == pytest.approx(norm)
    assert np.linalg.norm(found.gradients(0, Clip("norm", 0.1))["0"]) == pytest.approx(0.1 * norm / (norm + 1e-6))
    assert np.linalg.norm(found.gradients(0, Clip("norm", 0.1), added=0.0)["0"]) == pytest.approx(0.1)
    assert np.max(np.abs(found.gradients(0, Clip("value", 0.1))["0"])) == 0.1


def test_a_value_that_the_formula_has_no_result_for_gives_nothing() -> None:
    found = ran(NAMED["RAdam"], 0.01, same, 1)
    group = found.right.optimizer.groups[0]
    wrong = replace(found.right.optimizer, groups=(group._replace(options={**group.options, "betas": (0.9, 1.0)}),))
    assert found.modelled(Guess(wrong), 0) == {}
