"""What PyTorch can make the machine do at its best: a large product, a copy, an empty call, empty graphs."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import torch

from benchmarks.ceilings import CALLS, COPIED, PRODUCT, REPEATS
from benchmarks.torch_side.machine import wait
from torchnet.settings import device_of


def measure(device: str, precision: str) -> dict[str, Any]:
    """The best of several runs of each, the product in this precision: operations, bytes, seconds."""
    place, size, length = device_of(device), PRODUCT[device], COPIED[device]
    matrix = torch.ones(size, size, device=place, dtype=torch.bfloat16 if precision == "bfloat16" else torch.float32)
    source, target = (torch.ones(length // 4, device=place) for _ in range(2))
    one = torch.ones(1, device=place)

    def calls() -> None:
        for _ in range(CALLS):
            one.neg_()

    found: dict[str, Any] = {
        "flop_s": 2 * size**3 / _best(lambda: matrix @ matrix, device),
        "bytes_s": 2 * length / _best(lambda: target.copy_(source), device),
        "call_s": _best(calls, device) / CALLS,
        "launch_s": None,
        "graph_s": None,
    }
    if device == "gpu":
        many, single = (_graph(one, nodes) for nodes in (CALLS, 1))
        found |= {"launch_s": _best(many.replay, device) / CALLS, "graph_s": _best(single.replay, device)}
    return found


def _graph(one: torch.Tensor, nodes: int) -> torch.cuda.CUDAGraph:
    graph = torch.cuda.CUDAGraph()
    one.neg_()
    torch.cuda.synchronize()
    with torch.cuda.graph(graph):
        for _ in range(nodes):
            one.neg_()
    return graph


def _best(work: Callable[[], Any], device: str) -> float:
    seconds = []
    for _ in range(REPEATS):
        begun = time.perf_counter()
        work()
        wait(None, device)
        seconds.append(time.perf_counter() - begun)
    return min(seconds)
