"""What either framework can make the machine do is measured in one unit, and told where it is not."""

from __future__ import annotations

from types import ModuleType, SimpleNamespace

import pytest

from benchmarks.case import PRECISIONS
from benchmarks.jax_side import ceilings as jax_ceilings
from benchmarks.torch_side import ceilings as torch_ceilings

SIDES = pytest.mark.parametrize("side", [torch_ceilings, jax_ceilings], ids=["torch", "jax"])


@SIDES
@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_the_ceilings_of_a_cpu(side: ModuleType, precision: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in (("PRODUCT", {"cpu": 64}), ("COPIED", {"cpu": 2**16}), ("CALLS", 10)):
        monkeypatch.setattr(side, name, value)
    found = side.measure("cpu", precision)
    assert found.keys() == {"flop_s", "bytes_s", "call_s", "launch_s", "graph_s"}
    assert all(found[name] > 0 for name in ("flop_s", "bytes_s", "call_s"))
    assert found["launch_s"] is found["graph_s"] is None
    # The best of several: 2 n**3 operations and two ways of the bytes in the shortest time seen.
    monkeypatch.setattr(side, "_best", lambda *_: 1.0)
    assert side.measure("cpu", precision) == found | {"flop_s": 2 * 64**3, "bytes_s": 2**17, "call_s": 0.1}


@pytest.mark.gpu
@SIDES
@pytest.mark.parametrize("precision", PRECISIONS)
def test_the_ceilings_of_a_gpu(side: ModuleType, precision: str) -> None:
    found = side.measure("gpu", precision)
    assert all(found[name] > 0 for name in ("flop_s", "bytes_s", "call_s"))
    assert (found["launch_s"] is None) == (found["graph_s"] is None) == (side is jax_ceilings)


@SIDES
def test_the_best_of_several_runs_is_taken_to_its_end(side: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    now, turns = [0.0], iter(range(side.REPEATS, 0, -1))
    monkeypatch.setattr(side, "time", SimpleNamespace(perf_counter=lambda: now[0]))

    def work() -> str:
        now[0] += next(turns)
        return "result"

    def wait(result: str | None, device: str) -> None:
        # torch waits for the device and JAX for a result.
        assert (result, device) == (None if side is torch_ceilings else "result", "gpu")
        now[0] += 0.5

    monkeypatch.setattr(side, "wait", wait)
    assert side._best(work, "gpu") == 1.5
