"""What is asked of PyTorch about a run and the machine: whether it is done, its precision, its memory, its kernels."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch.utils._pytree import tree_leaves

from benchmarks.prepared import losses_of
from benchmarks.probe import bits_kept
from benchmarks.switches import flags
from benchmarks.torch_side.lowered import lowered
from parity.recording import Array
from torchnet.settings import computing, device_of


def wait(result: Any, device: str) -> None:
    """Come back when all that was submitted is done; the clock stops after this, and `result` is there."""
    if device == "gpu":
        torch.cuda.synchronize()


def settled(result: Any, device: str) -> bool:
    """Whether there is a result and all of it is done, without waiting. On a CPU, torch comes back with its results."""
    held = any(isinstance(leaf, torch.Tensor) for leaf in tree_leaves(result))
    return held and (device == "cpu" or torch.cuda.current_stream().query())


def spoil(result: Any) -> None:
    """Make the losses of a run that is over useless: what a later run hands out once more is seen."""
    for leaf in tree_leaves(losses_of(result)):
        if isinstance(leaf, torch.Tensor):
            leaf.detach().fill_(torch.nan)


def probe(rows: int, inner: int, columns: int, device: str, precision: str) -> int:
    """Mantissa bits that the factors of a product of these sizes keep, under the settings in force."""

    def product(model: Callable[[torch.Tensor], torch.Tensor], batch: dict[str, torch.Tensor]) -> torch.Tensor:
        return model(batch["x"])

    def multiply(*factors: Array) -> Array:
        first, second = (torch.tensor(factor, device=device_of(device)) for factor in factors)
        asked = lowered(product) if precision == "bfloat16" else product
        return asked(lambda x: x @ second, {"x": first}).float().cpu().numpy()

    return bits_kept(multiply, rows, inner, columns)


def peak_memory(device: str) -> int | None:
    """The most bytes of tensors at once, as PyTorch counts them on a GPU; on a CPU it does not count."""
    return torch.cuda.max_memory_allocated() if device == "gpu" else None


def kernels(run: Callable[[], Any], device: str) -> int | None:
    """How many kernels a run starts on a GPU, counted by PyTorch's profiler; None on a CPU, where there are none."""
    if device == "cpu":
        return None
    activities = [torch.profiler.ProfilerActivity.CUDA]
    with torch.profiler.profile(activities=activities, acc_events=True) as profiled:
        run()
        torch.cuda.synchronize()
    return [event.device_type.name for event in profiled.events()].count("CUDA")


def provenance(device: str) -> dict[str, Any]:
    """Versions, the device's name, threads and flags, as this process has them."""
    return {
        "versions": {"torch": torch.__version__, "cuda": torch.version.cuda or ""},
        "device_name": torch.cuda.get_device_name() if device == "gpu" else "cpu",
        "threads": torch.get_num_threads(),
        "flags": flags()
        | {
            "float32_matmul_precision": torch.get_float32_matmul_precision(),
            "allow_bf16_reduced_precision_reduction": str(
                torch.backends.cuda.matmul.allow_bf16_reduced_precision_reduction
            ),
        },
    }


__all__ = ["computing", "kernels", "peak_memory", "probe", "provenance", "settled", "spoil", "wait"]
