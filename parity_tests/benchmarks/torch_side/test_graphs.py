"""On a GPU: every variant that captures a CUDA graph does what the judge does, again and again from the start."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from benchmarks import judge
from benchmarks.case import Case
from benchmarks.variants import VARIANTS, Variant
from benchmarks.worker import Worker

GRAPHED = [variant for variant in VARIANTS if variant.framework == "torch" and variant.needs_gpu]


@pytest.mark.gpu
@pytest.mark.parametrize(
    "variant",
    [pytest.param(v, marks=[pytest.mark.compiled] if v.compiles else []) for v in GRAPHED],
    ids=lambda variant: variant.name,
)
def test_a_graph_does_what_the_judge_does(variant: Variant, tmp_path: Path) -> None:
    case = Case("mlp", device="gpu", steps=12, seeds=3 if variant.seeds else 1)
    judge.make(Case("mlp", steps=12)).save(tmp_path / "judge.safetensors")
    one = Worker(case, variant)
    found = one.check(tmp_path / "judge.safetensors")
    assert (found["outcome"], found["reason"]) == ("right", "")
    one.start()
    assert one.prepared is not None
    first = one.prepared.read(one.last)[0]
    assert one.run()["settled"]
    assert np.allclose(one.prepared.read(one.last)[0].losses, first.losses, rtol=1e-4)
    assert one.describe()["kernels_per_step"] > 5
