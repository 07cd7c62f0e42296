"""The MLP: the notebook's settings, and what the two sides do with them and with wrong ones."""

from __future__ import annotations

import inspect
from types import ModuleType
from typing import Any

import numpy as np
import pytest

from jaxnet import mlp as jax_mlp
from parity_tests.by_hand import mlp as by_hand
from torchnet import mlp as torch_mlp

WINGS = pytest.mark.parametrize("wing", [torch_mlp, jax_mlp], ids=["torchnet", "jaxnet"])


@WINGS
def test_the_notebooks_settings_are_the_defaults(wing: ModuleType) -> None:
    settings = {name: value.default for name, value in inspect.signature(wing.train).parameters.items()}
    assert (settings["steps"], settings["learning_rate"], settings["dtype"]) == (100, 0.03, "float32")
    shapes = {name: array.shape for name, array in wing.draw_parameters(0).items()}
    assert shapes == {"fc1.weight": (5, 5), "fc1.bias": (5,), "fc2.weight": (5, 5), "fc2.bias": (5,)}
    batches = wing.batches(0, 4)
    assert [{name: array.shape for name, array in batch.items()} for batch in batches] == [
        {"x": (100, 5), "target": (100, 5)}
    ] * 4


@WINGS
def test_the_first_loss_is_the_sum_of_squares_by_hand_and_the_last_is_smaller(wing: ModuleType) -> None:
    run = wing.train(steps=30, dtype="float64")
    assert run.losses.dtype == np.float64
    assert run.losses[0] == pytest.approx(by_hand(wing.draw_parameters(0), wing.batches(0, 1)[0]).loss, rel=1e-13)
    assert run.losses[-1] < 0.9 * run.losses[0]


WRONG: dict[str, dict[str, Any]] = {
    "steps is 0": {"steps": 0},
    "learning rate is -1": {"learning_rate": -1.0},
    "learning rate is nan": {"learning_rate": float("nan")},
    "dtype is 'float16'": {"dtype": "float16"},
    "device is 'tpu'": {"device": "tpu"},
    "precision is 'bf16'": {"precision": "bf16"},
    "tf32 needs a GPU": {"precision": "tf32"},
    "loop is 'fast'": {"loop": "fast"},
    "expected at least one, each 0 or above": {"seed": -1},
    "start 90 and count 20": {"start": 90, "count": 20},
}


@pytest.mark.parametrize("message", WRONG)
@WINGS
def test_what_cannot_be_is_told_in_one_line(wing: ModuleType, message: str) -> None:
    with pytest.raises(ValueError, match=r"expected|use") as told:
        wing.train(**WRONG[message])
    assert message in str(told.value)
    assert "\n" not in str(told.value)


def test_why_jax_sees_no_gpu_is_told_on_the_same_line(monkeypatch: pytest.MonkeyPatch) -> None:
    def devices(platform: str) -> Any:
        raise RuntimeError("Unable to initialize backend 'cuda': no driver\nTraceback")

    monkeypatch.setattr("jax.devices", devices)
    with pytest.raises(ValueError, match=r"^JAX sees no GPU \(Unable .* 'cuda': no driver\): use --device cpu, or .*$"):
        jax_mlp.train(device="gpu")
