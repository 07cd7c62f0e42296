"""A `state_dict` out of a file of torch's: bit for bit, and never more than tensors."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from parity import NotCheckable, checkpoint
from parity_tests.parity.tiny import same


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.bfloat16], ids=str)
def test_a_state_dict_comes_back_bit_for_bit(tmp_path: Path, dtype: torch.dtype) -> None:
    model = nn.Sequential(nn.Linear(3, 2), nn.BatchNorm1d(2)).to(dtype)
    torch.save(model.state_dict(), tmp_path / "weights.pt")
    expected = {
        name: (tensor.double() if tensor.is_floating_point() else tensor).numpy()
        for name, tensor in model.state_dict().items()
    }
    assert same(checkpoint(tmp_path / "weights.pt")(0), expected)


@pytest.mark.parametrize(
    ("saved", "message"),
    [
        (nn.Linear(1, 1), "holds more than tensors"),
        ({"weight": np.ones(1)}, "holds more than tensors"),
        ({"model": {"weight": torch.ones(1)}}, "model is a dict: save model.state_dict\\(\\) and nothing else"),
        (torch.ones(1), "holds a Tensor: expected a dictionary of tensors"),
        ({}, "a checkpoint without any tensor"),
    ],
    ids=["a module", "an array", "nested", "a tensor", "nothing"],
)
def test_what_is_no_state_dict_is_told(tmp_path: Path, saved: Any, message: str) -> None:
    torch.save(saved, tmp_path / "weights.pth")
    with pytest.raises(NotCheckable, match=f"weights.pth: {message}"):
        checkpoint(tmp_path / "weights.pth")(0)


@pytest.mark.parametrize("keep", [0, 10, 0.5, 0.99], ids=str)
def test_a_truncated_file_is_told(tmp_path: Path, keep: float) -> None:
    file = tmp_path / "weights.pt"
    torch.save(nn.Linear(3, 2).state_dict(), file)
    content = file.read_bytes()
    file.write_bytes(content[: int(keep if keep > 1 else keep * len(content))])
    with pytest.raises(NotCheckable, match=r"weights\.pt: (not a whole checkpoint|holds more than tensors, or is no)"):
        checkpoint(file)(0)
