"""Gradients with products by oneDNN are the wing's, and oneDNN makes the products."""

from __future__ import annotations

import platform

import pytest
import torch

from benchmarks.torch_side.onednn import gradients_of, product
from benchmarks.variants import X86
from torchnet import functional, mlp
from torchnet.arrays import to_device

pytestmark = pytest.mark.skipif(platform.machine().lower() not in X86, reason="torch has MKL and oneDNN on x86")


def test_its_gradients_are_those_of_the_wing() -> None:
    parameters = to_device(mlp.PROBLEM.draw_parameters(0), "float64", "cpu")
    batch = to_device(mlp.batches(0, 1)[0], "float64", "cpu")
    expected, loss = functional.gradients_of(mlp.PROBLEM)(parameters, batch)
    found, its_loss = gradients_of(mlp.PROBLEM)(parameters, batch)
    assert found.keys() == expected.keys()
    assert its_loss == loss
    for name, gradient in expected.items():
        assert torch.allclose(found[name], gradient, rtol=1e-13, atol=1e-13), name


def test_in_float32_onednn_makes_the_product() -> None:
    numbers = torch.Generator().manual_seed(0)
    left, right = (torch.randn(shape, generator=numbers) for shape in ((5, 7), (3, 7)))
    with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CPU]) as profile:
        found = product(left, right)
    names = [event.key for event in profile.key_averages()]
    assert "mkldnn::_linear_pointwise" in names
    assert not {"aten::mm", "aten::addmm", "aten::matmul"} & set(names)
    assert torch.allclose(found, left @ right.T, rtol=1e-6, atol=1e-6)
