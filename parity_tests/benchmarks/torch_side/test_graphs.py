"""What a CUDA graph reads stays; on a GPU, every variant that captures one does what the judge does."""

from __future__ import annotations

import gc
import weakref
from pathlib import Path

import numpy as np
import pytest
import torch

from benchmarks import judge
from benchmarks.case import PRECISIONS, Case
from benchmarks.torch_side.graphs import Graph, tensors
from benchmarks.variants import VARIANTS, Variant
from benchmarks.worker import Worker


def test_tensors_stand_in_the_order_of_their_names_whatever_the_order_of_a_dict() -> None:
    weight, bias = torch.ones(2, 2), torch.ones(2)
    ordered = tensors(({"weight": weight, "bias": bias}, None, [{"bias": bias, "weight": weight}]))
    assert [tensor.shape for tensor in ordered] == [bias.shape, weight.shape] * 2


class _Recorded:
    """Stands for a CUDA graph, stream and context where there is no GPU."""

    def __init__(self, *_: object) -> None:
        self.replays = 0

    def __enter__(self) -> None:
        pass

    def __exit__(self, *_: object) -> None:
        pass

    def wait_stream(self, other: object) -> None:
        pass

    def replay(self) -> None:
        self.replays += 1


def test_what_a_graph_reads_lives_as_long_as_the_graph(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("CUDAGraph", "graph", "Stream", "stream", "current_stream"):
        monkeypatch.setattr(torch.cuda, name, _Recorded)

    def recorded() -> tuple[Graph, weakref.ref[torch.Tensor]]:
        read = torch.ones(3)
        return Graph(lambda: read * 2), weakref.ref(read)

    graph, read = recorded()
    gc.collect()
    assert read() is not None
    assert torch.equal(graph.replay(), torch.full((3,), 2.0))
    del graph
    gc.collect()
    assert read() is None


GRAPHED = [variant for variant in VARIANTS if variant.framework == "torch" and variant.needs_gpu]


@pytest.mark.gpu
@pytest.mark.parametrize(
    "variant",
    [pytest.param(v, marks=[pytest.mark.compiled] if v.compiles else []) for v in GRAPHED],
    ids=lambda variant: variant.name,
)
@pytest.mark.parametrize("precision", PRECISIONS)
def test_a_graph_does_what_the_judge_does(variant: Variant, precision: str, tmp_path: Path) -> None:
    problem = "mlp" if "mlp" in variant.problems else "mnist"
    case = Case(problem, precision, "gpu", steps=12, seeds=3 if variant.seeds else 1)
    if why := variant.why_not(case):
        pytest.skip(why)
    # A variant has a process of its own; here, they would share the compiler's count of programs for one function.
    torch.compiler.reset()
    judge.make(Case(problem, steps=12)).save(tmp_path / "judge.safetensors")
    one = Worker(case, variant)
    found = one.check(tmp_path / "judge.safetensors")
    assert (found["outcome"], found["reason"]) == ("right", "")
    one.start()
    assert one.prepared is not None
    first = one.prepared.read(one.last)[0]
    assert one.run()["settled"]
    assert np.allclose(one.prepared.read(one.last)[0].losses, first.losses, rtol=1e-4)
    assert one.describe()["kernels_per_step"] >= (3 if variant.name == "whole_run_three_kernels" else 6)
