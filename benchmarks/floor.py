"""What a step cannot do without: arithmetic, memory traffic and launches, and how long the machine takes for it."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from benchmarks.case import Case

FLOAT32_BYTES = 4


@dataclass(frozen=True)
class Work:
    """The least that a step has to do.

    Attributes:
        flop: multiplications and additions in products of matrices, forward and backward.
        bytes: the batch read once; parameters and both of Adam's means read and written once.
    """

    flop: int
    bytes: int


@dataclass(frozen=True)
class Ceilings:
    """What the machine was measured to do at its best on the day, by either framework.

    Attributes:
        flop_s: of a large product in the case's precision, operations a second.
        bytes_s: of a large copy on the device, bytes read and written a second.
        launch_s: an empty kernel in a graph of 1000, seconds; on a CPU None, where nothing is launched.
        call_s: by framework, an empty call from Python to its end, seconds.
        graph_s: a CUDA graph of one empty kernel, from launch to end, seconds; None on a CPU.
    """

    flop_s: float
    bytes_s: float
    launch_s: float | None
    call_s: dict[str, float]
    graph_s: float | None

    def document(self) -> dict[str, Any]:
        """The ceilings as plain JSON values."""
        return asdict(self)


def work_of(case: Case) -> Work:
    """The work of one seed's step. Without an optimizer (the line fit) there are no products and no means."""
    if case.problem == "line_fit":
        return Work(0, FLOAT32_BYTES * (5 * 100 + 100 + 2 * 2))
    if case.problem == "mlp":
        layers, examples, entries = [(5, 5), (5, 5)], 100, 10
    else:
        layers = [(784, case.width), (case.width, case.width), (case.width, 10)]
        # A label is an index of eight bytes: two of float32's.
        examples, entries = case.batch_size, 784 + 2
    products = [2 * examples * inputs * outputs for inputs, outputs in layers]
    # Backward, a layer takes the gradient of its weight and of what came in; nobody asks for that of the batch.
    flop = 3 * sum(products) - products[0]
    parameters = sum((inputs + 1) * outputs for inputs, outputs in layers)
    return Work(flop, FLOAT32_BYTES * (examples * entries + 6 * parameters))


def floor_us(work: Work, ceilings: Ceilings, kernels: float | None) -> dict[str, float]:
    """The least that a step can take, in microseconds, by reason: arithmetic, memory and, where counted, launches."""
    found = {"arithmetic": 1e6 * work.flop / ceilings.flop_s, "memory": 1e6 * work.bytes / ceilings.bytes_s}
    if kernels is not None and ceilings.launch_s is not None:
        found["launches"] = 1e6 * kernels * ceilings.launch_s
    return found
