"""Both wings against the second judge: every pass, every update, and their own losses by finite differences."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from types import ModuleType

import numpy as np
import pytest

from jaxnet.data import read_mnist
from parity_tests import by_hand
from parity_tests.by_hand import Pass, Problem, Update
from parity_tests.finite_differences import measure, wrong_gradients
from parity_tests.wings import scaled, wing_loss, wing_pass, without_bias_gradients, without_relu

PROBLEMS: dict[str, Problem] = {"line_fit": by_hand.line_fit, "mlp": by_hand.mlp, "mnist": by_hand.mnist}
# What feeds the ReLUs.
INPUTS = {"line_fit": None, "mlp": "x", "mnist": "images"}
TRAINING: dict[str, tuple[Update, float, int]] = {
    "line_fit": (by_hand.descend, 0.05, 100),
    "mlp": (by_hand.adam, 0.03, 100),
    "mnist": (by_hand.adam, 0.03, 5),
}


@pytest.fixture(params=["torchnet", "jaxnet"])
def wing(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def load(wing: str, problem: str) -> ModuleType:
    return importlib.import_module(f"{wing}.{problem}")


def distance(array: np.ndarray, judge: np.ndarray) -> float:
    """The largest deviation, relative to the judge's largest entry."""
    assert array.shape == judge.shape
    assert array.dtype == judge.dtype == np.float64
    return float(np.max(np.abs(array - judge)) / np.max(np.abs(judge)))


def disagreements(found: Pass, judge: Pass) -> list[str]:
    """What of a pass differs from the judge's by more than 1e-12."""
    pairs = {"output": (found.output, judge.output), "loss": (np.array(found.loss), np.array(judge.loss))}
    assert list(found.gradients) == list(judge.gradients)
    pairs |= {name: (found.gradients[name], judge.gradients[name]) for name in judge.gradients}
    return [name for name, (array, right) in pairs.items() if not distance(array, right) <= 1e-12]


@pytest.mark.parametrize("problem", PROBLEMS)
@pytest.mark.parametrize("seed", [0, 1])
def test_a_pass_is_the_one_by_hand(wing: str, problem: str, seed: int) -> None:
    module = load(wing, problem)
    parameters, batch = module.draw_parameters(seed), module.batches(seed, 2)[1]
    assert disagreements(wing_pass(module, parameters, batch), PROBLEMS[problem](parameters, batch)) == []


@pytest.mark.parametrize("problem", PROBLEMS)
def test_the_gradients_are_what_the_wings_own_loss_does(wing: str, problem: str) -> None:
    module = load(wing, problem)
    parameters = module.draw_parameters(0)
    # With more images some ReLU is always about to switch.
    batch = {name: array[:20] if problem == "mnist" else array for name, array in module.batches(0, 1)[0].items()}
    inputs = batch[name] if (name := INPUTS[problem]) else None
    measurements = measure(lambda at: wing_loss(module, at, batch), parameters, inputs)
    gradients = wing_pass(module, parameters, batch).gradients
    assert wrong_gradients(measurements, gradients) == []
    for planted in parameters:
        assert wrong_gradients(measurements, gradients | {planted: 1.001 * gradients[planted]}) == [planted]


ALL = ("output", "loss", "gradients")
MISTAKES: dict[str, tuple[Callable[[ModuleType], ModuleType], tuple[str, ...], tuple[str, ...]]] = {
    "mean for sum": (lambda module: scaled(module, 1 / 500), ("line_fit", "mlp"), ALL[1:]),
    "sum for mean": (lambda module: scaled(module, 1000), ("mnist",), ALL[1:]),
    "sign": (lambda module: scaled(module, -1), ("line_fit", "mlp", "mnist"), ALL[1:]),
    "missing ReLU": (without_relu, ("mlp", "mnist"), ALL),
    "bias gradient dropped": (without_bias_gradients, ("line_fit", "mlp", "mnist"), ("biases",)),
}


@pytest.mark.parametrize(("mistake", "problem"), [(name, each) for name in MISTAKES for each in MISTAKES[name][1]])
def test_a_mistake_in_a_wing_is_found_by_hand(wing: str, mistake: str, problem: str) -> None:
    module = load(wing, problem)
    parameters, batch = module.draw_parameters(0), module.batches(0, 1)[0]
    plant, _, expected = MISTAKES[mistake]
    biases = [name for name in parameters if name.endswith("bias") or name == "c"]
    names = {"output": ["output"], "loss": ["loss"], "gradients": list(parameters), "biases": biases}
    found = disagreements(wing_pass(plant(module), parameters, batch), PROBLEMS[problem](parameters, batch))
    assert found == [name for part in expected for name in names[part]]


def training_disagreements(wing: str, problem: str, **mistake: float) -> list[str]:
    """What of a training differs from the one by hand by more than rounding grows to."""
    module = load(wing, problem)
    update, learning_rate, steps = TRAINING[problem]
    run = module.train(dtype="float64", steps=steps, **mistake)
    parameters, batches = module.draw_parameters(0), module.batches(0, steps)
    losses, state = by_hand.train(
        PROBLEMS[problem], update, parameters, (batches[i] for i in range(steps)), learning_rate
    )
    pairs = {"loss": (np.asarray(run.losses), losses, 1e-12)}
    pairs |= {name: (run.state.parameters[name], state.parameters[name], 1e-10) for name in parameters}
    if update is by_hand.adam:
        assert run.state.optimizer["step"] == steps
        for kind, means in (("exp_avg", state.exp_avg), ("exp_avg_sq", state.exp_avg_sq)):
            names = {f"{kind}.{name}": mean for name, mean in means.items()}
            pairs |= {name: (run.state.optimizer[name], mean, 1e-11) for name, mean in names.items()}
    return [name for name, (array, right, most) in pairs.items() if not distance(array, right) <= most]


@pytest.mark.parametrize("problem", PROBLEMS)
def test_training_is_the_one_by_hand(wing: str, problem: str) -> None:
    assert training_disagreements(wing, problem) == []


@pytest.mark.parametrize("problem", ["line_fit", "mlp"])
def test_a_learning_rate_off_by_one_percent_is_found_by_hand(wing: str, problem: str) -> None:
    # The line fit's parameters end where they end at any rate; its losses tell how it came there.
    assert "loss" in training_disagreements(wing, problem, learning_rate=1.01 * TRAINING[problem][1])


def test_an_image_of_a_batch_is_one_of_the_archive_with_its_label(wing: str) -> None:
    data = read_mnist()
    labels = {image.tobytes(): label for image, label in zip(data.train_images, data.train_labels, strict=True)}
    batch = load(wing, "mnist").batches(0, 3)[2]
    assert batch["images"].shape == (1000, 784)
    pixels = np.rint(batch["images"] * 255).astype(np.uint8)
    np.testing.assert_array_equal(pixels / 255, batch["images"])
    assert [labels[row.tobytes()] for row in pixels] == batch["labels"].tolist()
    # Drawn from all over the archive, and not the same image again and again.
    assert len({row.tobytes() for row in pixels}) > 980
