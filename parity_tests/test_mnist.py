"""The MNIST classifier: the notebook's settings, its score, and its command."""

from __future__ import annotations

import inspect
import subprocess
import sys
from functools import cache
from types import ModuleType
from typing import Any

import numpy as np
import pytest

from jaxnet import mnist as jax_mnist
from torchnet import mnist as torch_mnist

WINGS = pytest.mark.parametrize("wing", [torch_mnist, jax_mnist], ids=["torchnet", "jaxnet"])


@cache
def trained(wing: ModuleType) -> Any:
    return wing.train()


@WINGS
def test_the_notebooks_settings_are_the_defaults(wing: ModuleType) -> None:
    settings = {name: value.default for name, value in inspect.signature(wing.train).parameters.items()}
    assert (settings["steps"], settings["batch_size"], settings["learning_rate"]) == (100, 1000, 0.03)
    weights = {name: array.shape for name, array in wing.draw_parameters(0).items() if name.endswith("weight")}
    assert weights == {"fc1.weight": (100, 784), "fc2.weight": (100, 100), "fc3.weight": (10, 100)}


@WINGS
def test_a_batch_is_drawn_with_replacement_and_its_pixels_are_divided(wing: ModuleType) -> None:
    batch = wing.batches(0, 1)[0]
    assert (batch["images"].shape, batch["labels"].shape) == ((1000, 784), (1000,))
    assert (batch["images"].min(), batch["images"].max()) == (0, 1)
    many = wing.draw_rows(0, 1, 60_000, 60_000)
    # Of as many draws as there are images, 1 - 1/e are of an image that was not drawn before.
    assert len(np.unique(many)) / 60_000 == pytest.approx(1 - np.exp(-1), abs=0.01)


@WINGS
def test_batch_i_does_not_depend_on_how_many_there_are(wing: ModuleType) -> None:
    few, many = wing.batches(3, 2, 10)[1], wing.batches(3, 5, 10)[1]
    assert all(np.array_equal(few[name], many[name]) for name in ("images", "labels"))
    assert not np.array_equal(few["images"], wing.batches(4, 2, 10)[1]["images"])


@WINGS
def test_it_is_scored_on_the_last_training_images_and_on_the_test_images(wing: ModuleType) -> None:
    mnist, scored = wing.read_mnist(), wing.scored(0)
    assert np.array_equal(scored["notebook"]["images"] * 255, mnist.train_images[-1000:].reshape(1000, 784))
    assert np.array_equal(scored["test"]["labels"], mnist.test_labels)


@WINGS
def test_it_learns_what_the_notebook_says(wing: ModuleType) -> None:
    """0.971 with a standard deviation of 0.0045 over 60 seeds, so that 4 of them are a band that a seed falls into."""
    run = trained(wing)
    assert run.losses.shape == (100,)
    assert run.losses[0] == pytest.approx(np.log(10), rel=0.05)
    shares = wing.accuracies(run.state.parameters)
    assert shares["notebook"] == pytest.approx(0.971, abs=4 * 0.0045)
    assert 0.93 < shares["test"] < 0.98


@WINGS
def test_a_model_that_has_learned_nothing_scores_like_chance(wing: ModuleType) -> None:
    assert wing.accuracies(wing.draw_parameters(0))["test"] < 0.3


@WINGS
def test_a_batch_of_no_images_is_told_in_one_line(wing: ModuleType) -> None:
    with pytest.raises(ValueError, match="batch size is 0: expected 1 or more"):
        wing.train(batch_size=0)


@pytest.mark.parametrize("wing", ["torchnet", "jaxnet"])
def test_the_command_trains_and_scores(wing: str) -> None:
    command = [sys.executable, "-m", f"{wing}.mnist", "--steps", "2", "--batch-size", "50"]
    found = subprocess.run(command, capture_output=True, text=True, check=False)
    assert found.returncode == 0, found.stderr
    lines = found.stdout.splitlines()
    assert lines[0].endswith("before step 2")
    assert lines[1].startswith("accuracy on the last 1000 training images, as the notebook has it: 0.")
    assert lines[2].startswith("accuracy on the 10,000 test images: 0.")


def leaves(wing: ModuleType, capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str, str]:
    """Exit status, stdout and stderr of the command."""
    with pytest.raises(SystemExit) as left:
        wing.command.run(wing.main, list(arguments))
    return int(left.value.code or 0), *capsys.readouterr()


@WINGS
def test_the_command_tells_its_options(wing: ModuleType, capsys: pytest.CaptureFixture[str]) -> None:
    status, told, _ = leaves(wing, capsys, "--help")
    options = ("steps", "batch-size", "learning-rate", "seed", "device", "dtype", "precision", "loop", "data")
    assert status == 0
    assert [option for option in options if f"--{option}" not in told] == []


@WINGS
@pytest.mark.parametrize(
    ("option", "words"), [("--loop", "loop is 'fast'"), ("--steps", "Invalid value for '--steps'")]
)
def test_the_command_tells_in_one_line_what_it_cannot_do(
    wing: ModuleType, option: str, words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    status, _, told = leaves(wing, capsys, option, "fast")
    assert (status, told.count("\n")) == (2, 1)
    assert words in told


@WINGS
def test_a_fault_of_the_code_is_not_made_one_line(wing: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    """The planted mistake: shapes that do not fit, which torch and JAX say by a ValueError as well."""

    def train(*_: Any, **__: Any) -> Any:
        raise ValueError("operands could not be broadcast together")

    monkeypatch.setattr(wing, "train", train)
    with pytest.raises(ValueError, match="operands could not be broadcast"):
        wing.command.run(wing.main, [])
