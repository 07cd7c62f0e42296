"""Weights from a file: every dtype to the bit, both sides from one, and one line where there is nothing to read."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.numpy import save_file
from safetensors.torch import save_file as save_tensors

from parity import NotCheckable, check, checkpoint
from parity_tests.imports import FRAMEWORKS
from parity_tests.parity.tiny import same, tiny
from parity_tests.parity.tiny_draws import draw_parameters
from parity_tests.test_isolation import python

WEIGHTS = draw_parameters(5)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """The weights of a tiny model."""
    path = tmp_path / "weights.safetensors"
    save_file(WEIGHTS, path)
    return path


def test_every_seed_has_the_weights_of_the_file(file: Path) -> None:
    for seed in (0, 7):
        assert same(checkpoint(file)(seed), dict(sorted(WEIGHTS.items())))


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.float16, torch.bfloat16], ids=str)
def test_floating_weights_become_float64_bit_for_bit(tmp_path: Path, dtype: torch.dtype) -> None:
    tensor = torch.randn(3, 5, generator=torch.Generator().manual_seed(0)).to(dtype)
    save_tensors({"weight": tensor}, tmp_path / "one.safetensors")
    found = checkpoint(tmp_path / "one.safetensors")(0)
    assert same(found, {"weight": tensor.double().numpy()})


def test_whole_numbers_and_scalars_stay_as_they_are(tmp_path: Path) -> None:
    arrays = {"count": np.asarray(3, np.int64), "mask": np.array([True, False]), "byte": np.array([7], np.uint8)}
    save_file(arrays, tmp_path / "whole.safetensors")
    assert same(checkpoint(tmp_path / "whole.safetensors")(0), dict(sorted(arrays.items())))


def test_a_pair_with_the_weights_of_one_file_agrees_and_with_those_of_two_differs(file: Path, tmp_path: Path) -> None:
    other = tmp_path / "other.safetensors"
    save_file(WEIGHTS | {"inner.bias": WEIGHTS["inner.bias"] * (1 + 1e-6)}, other)
    both = {"parameters": checkpoint(file)}
    pair = replace(tiny(torch=both, jax=both), stages=("forward", "score"))
    assert check(pair).outcome == "agree"
    found = check(replace(pair, jax=replace(pair.jax, parameters=checkpoint(other)))).first_difference
    assert found is not None
    assert (found.comparison.key.stage, found.comparison.key.tensor) == ("init", "inner.bias")


def test_a_safetensors_file_is_read_without_either_framework(file: Path) -> None:
    code = f"from parity import checkpoint\nprint(sorted(checkpoint({str(file)!r})(0)))"
    done = python(code, FRAMEWORKS["torch"] | FRAMEWORKS["jax"], [])
    assert done.stdout.strip() == str(sorted(WEIGHTS)), done.stderr


def test_a_state_dict_without_torch_says_what_to_do(tmp_path: Path) -> None:
    (tmp_path / "weights.pt").touch()
    code = f"from parity import checkpoint\ncheckpoint({str(tmp_path / 'weights.pt')!r})(0)"
    assert "MissingFramework: " in (said := python(code, FRAMEWORKS["torch"], []).stderr)
    assert "weights.pt: a state_dict needs torch, which is not installed: save it once as .safetensors" in said


@pytest.mark.parametrize(
    ("cut", "message"),
    [
        (slice(-3), "not a whole safetensors file: .*not fully covered"),
        (slice(4), "not a whole safetensors file: .*too small"),
        (slice(0), "not a whole safetensors file"),
        (slice(100, None), "not a whole safetensors file"),
    ],
    ids=["truncated", "no header", "empty", "foreign"],
)
def test_a_file_that_is_not_whole_is_told(file: Path, cut: slice, message: str) -> None:
    file.write_bytes(file.read_bytes()[cut])
    with pytest.raises(NotCheckable, match=message) as raised:
        checkpoint(file)(0)
    assert str(file) in str(raised.value)


def test_a_file_that_there_is_not_or_that_holds_nothing_is_told(tmp_path: Path) -> None:
    with pytest.raises(NotCheckable, match=r"nowhere\.safetensors: no such checkpoint"):
        checkpoint(tmp_path / "nowhere.safetensors")(0)
    save_file({}, tmp_path / "empty.safetensors")
    with pytest.raises(NotCheckable, match=r"empty\.safetensors: a checkpoint without any tensor"):
        checkpoint(tmp_path / "empty.safetensors")(0)


def test_another_kind_of_file_is_refused_at_once() -> None:
    with pytest.raises(NotCheckable, match=r"weights\.npz: not a checkpoint: its name ends in none of \.safetensors"):
        checkpoint("weights.npz")


def test_a_dtype_that_numpy_lacks_is_told(tmp_path: Path) -> None:
    save_tensors({"narrow": torch.ones(2).to(torch.float8_e4m3fn)}, tmp_path / "narrow.safetensors")
    with pytest.raises(NotCheckable, match="narrow is F8_E4M3, which NumPy lacks"):
        checkpoint(tmp_path / "narrow.safetensors")(0)
