"""What is asked of CUDA, where there is no GPU to be asked: the stream without waiting, and the device with."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
import torch

from benchmarks.torch_side.machine import settled, wait


@pytest.mark.parametrize("device", ["cpu", "gpu"])
@pytest.mark.parametrize("result", [(), (None, [1.0])], ids=["nothing", "no tensor"])
def test_without_a_tensor_there_is_no_result(result: Any, device: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "current_stream", lambda: SimpleNamespace(query=lambda: True))
    assert not settled(result, device)


@pytest.mark.parametrize("done", [True, False])
def test_a_gpus_result_is_settled_once_its_stream_is_done(done: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "current_stream", lambda: SimpleNamespace(query=lambda: done))
    result = ({"weight": torch.ones(3)}, [torch.ones(())])
    assert settled(result, "gpu") is done
    assert settled(result, "cpu")


def test_a_gpu_is_waited_for_and_a_cpu_is_not(monkeypatch: pytest.MonkeyPatch) -> None:
    waited: list[str] = []
    monkeypatch.setattr(torch.cuda, "synchronize", lambda: waited.append("gpu"))
    wait(torch.ones(3), "cpu")
    assert waited == []
    wait(torch.ones(3), "gpu")
    assert waited == ["gpu"]
