"""Single steps over flat arrays are those of the whole optimizer, and a form of Optax is what Optax itself computes."""

from __future__ import annotations

from dataclasses import replace

import jax
import numpy as np
import optax
import pytest

from parity.jax_side.optimizer import steps
from parity.pair.optimizers import STEP, Optimizer, Schedule
from parity.recording import Arrays
from parity_tests.parity.optimizers.beside import Beside, apart, drawn, gradients
from parity_tests.parity.optimizers.cases import CASES
from parity_tests.parity.optimizers.recorded import side

pytestmark = pytest.mark.usefixtures("compiled_once")
NAMED = {case.name: case for case in CASES}
COUNT = 4


def read(case: str) -> Optimizer:
    return Beside(NAMED[case], 0.01).read


def replayed(optimizer: Optimizer, words: str) -> list[Arrays]:
    """The parameters after each step of a form, each from where the one before led."""
    form = next(one for one in steps.forms(optimizer.kind, optimizer.groups[0].options) if one.words == words)
    begun, found = [drawn()], []
    for number in range(COUNT):
        found.append(steps.steps(form, optimizer, begun, gradients()[: number + 1]))
        begun.append(found[-1])
    return found


def optaxs(transformation: optax.GradientTransformation) -> list[Arrays]:
    with jax.enable_x64(True):
        leaves, found = jax.device_put(drawn()), []
        state = transformation.init(leaves)
        for slopes in gradients()[:COUNT]:
            updates, state = transformation.update(jax.device_put(slopes), state, leaves)
            leaves = optax.apply_updates(leaves, updates)
            found.append({name: np.asarray(leaf) for name, leaf in leaves.items()})
    return found


def test_single_steps_are_those_of_torch() -> None:
    recorded = side("jax", read("SGD, dampening"), COUNT)
    found = [{name: recorded.of("trajectory", step)[name] for name in drawn()} for step in range(COUNT)]
    expected = Beside(NAMED["SGD, dampening"], 0.01).in_torch(drawn(), gradients()[:COUNT]).parameters
    assert apart(expected, found) < 1e-14


def test_a_step_goes_on_from_what_is_remembered() -> None:
    optimizer = replace(read("SGD, momentum"), state={f"momentum_buffer.{name}": a for name, a in drawn(1).items()})
    after, memory = steps.step(optimizer, drawn(), gradients()[0])
    expected = {name: 0.9 * array + gradients()[0][name] for name, array in drawn(1).items()}
    for name, array in drawn().items():
        np.testing.assert_allclose(memory[f"momentum_buffer.{name}"], expected[name], rtol=1e-15)
        np.testing.assert_allclose(after[name], array - 0.01 * expected[name], rtol=1e-14)


@pytest.mark.parametrize(
    ("case", "words", "transformation"),
    [
        ("RMSprop", "epsilon under the root", optax.rmsprop(0.01, 0.99)),
        ("Adagrad", "epsilon 1e-7 under the root, and sums that begin at 0.1", optax.adagrad(0.01)),
        ("Adam, weight decay", "Nesterov's momentum",
         optax.chain(optax.add_decayed_weights(0.1), optax.adam(0.01, nesterov=True))),
        ("Adam, AMSGrad", "the largest of the corrected second moments", optax.amsgrad(0.01)),
        ("AdamW", "epsilon under the root", optax.adamw(0.01, eps=0.0, eps_root=1e-8, weight_decay=0.01)),
        ("Rprop", "each step a step late", optax.rprop(0.01)),
    ],
)  # fmt: skip
def test_a_form_is_what_optax_computes(case: str, words: str, transformation: optax.GradientTransformation) -> None:
    assert apart(optaxs(transformation), replayed(read(case), words)) < 1e-14


def test_a_form_has_the_rate_of_the_schedule() -> None:
    scheduled = replace(read("RMSprop"), schedule=Schedule("ExponentialLR", {"gamma": 0.5}), state={})
    assert [steps.rate(scheduled, scheduled.groups[0].options, count) for count in (0, 2)] == [0.01, 0.0025]
    # In float32, as Optax hands a schedule its count.
    expected = optaxs(optax.rmsprop(lambda count: 0.01 * 0.5**count, 0.99))
    assert apart(expected, replayed(scheduled, "epsilon under the root")) < 1e-7


def test_only_the_amsgrad_that_is_asked_for_has_a_form() -> None:
    plain, largest = (
        [form.words for form in steps.forms("Adam", read(case).groups[0].options)] for case in ("Adam", "Adam, AMSGrad")
    )
    assert largest == ["the largest of the corrected second moments"]
    assert not {*plain} & {*largest}
    assert list(steps.forms("Adadelta", {})) == []


def test_the_count_is_no_array_of_a_parameter() -> None:
    assert side("jax", read("Adam"), 1).of("trajectory", 0)[STEP] == 1
