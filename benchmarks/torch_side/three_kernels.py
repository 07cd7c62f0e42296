"""The whole run with a step in three kernels of our own, launched one after the other."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from benchmarks.kernels import COLUMNS, EDGE, TF32, WHOLE, Stack, Tile, corrections, stack_of
from benchmarks.prepared import Outcome, Prepared
from benchmarks.torch_side import kernels
from benchmarks.torch_side.graphs import StartAndRun
from benchmarks.torch_side.padded import filled_up
from benchmarks.torch_side.problems import Setup
from parity.recording import State
from torchnet.arrays import Moments, moments_from_state, moments_to_arrays, to_device, to_host
from torchnet.settings import device_of, dtype_of

Drive = Callable[..., StartAndRun]


def three_kernels(setup: Setup, drive: Drive) -> Prepared:
    """The run of the MNIST classifier, its steps driven so."""
    how, state = setup.how, setup.states[0]
    stack = stack_of(state.parameters, setup.case.batch_size)
    moments = moments_from_state(state, how.dtype)
    held = to_device(
        {"weights": stack.matrix(state.parameters)}
        | {name: stack.matrix(getattr(moments, name)) for name in ("exp_avg", "exp_avg_sq")},
        how.dtype, how.device,
    )  # fmt: skip
    start, run = drive(how, list(held.values()), Steps(setup, stack, held, moments.step))

    def read(losses: Any) -> list[Outcome]:
        weights, mu, nu = (stack.arrays(matrix) for matrix in to_host(held).values())
        found = State(weights, moments_to_arrays(Moments(moments.step + len(losses), mu, nu)))
        return [Outcome(losses.cpu().numpy(), found)]

    return Prepared(start, run, read)


class Steps:
    """Steps of the run, which change the weights and Adam's means where they lie, and give back their losses."""

    def __init__(self, setup: Setup, stack: Stack, held: dict[str, Tensor], steps_before: int) -> None:
        how, place = setup.how, device_of(setup.how.device)
        self._stack, self._held, self._start = stack, held, how.start
        self._feed = filled_up(stack.sizes, setup.feeds[0])
        count = len(how.indices)
        self._corrections = torch.tensor(
            corrections(steps_before, count, how.learning_rate), dtype=torch.float64, device=place
        )

        def table(*shape: int) -> Tensor:
            return torch.zeros(shape, dtype=dtype_of(how.dtype), device=place)

        self._losses = table(count, stack.examples)
        self._inputs, self._gradients = table(stack.examples, stack.height), table(stack.examples, 3 * COLUMNS)
        self._precision, self._tiles = ("tf32", TF32) if how.precision == "tf32" else ("ieee", WHOLE)

    def __call__(self, indices: range) -> Tensor:
        """The losses of these steps, (steps,)."""
        for step in indices:
            self._take(step, step - self._start)
        return self._losses[indices.start - self._start : indices.stop - self._start].sum(1)

    def _take(self, step: int, line: int) -> None:
        stack, weights, data = self._stack, self._held["weights"], self._feed.data
        assert self._feed.rows is not None
        rows, shape = self._feed.rows[step], {"FIRST": stack.first, "COLUMNS": COLUMNS, "HEIGHT": stack.height}
        first, net, update = self._tiles
        kernels.first_layer[stack.examples // first.examples, COLUMNS // first.units](
            data["images"], rows, weights, self._inputs,
            UNITS=stack.units, E=first.examples, K=first.inputs, N=first.units, **shape, **self._how(first),
        )  # fmt: skip
        kernels.there_and_back[stack.examples // net.examples,](
            data["labels"], rows, weights, self._inputs, self._gradients, self._losses[line], stack.sizes.examples,
            UNITS=stack.units, DIGITS=stack.digits, E=net.examples, K=net.inputs, OUT=EDGE, **shape, **self._how(net),
        )  # fmt: skip
        kernels.update[stack.tiles,](
            *self._held.values(), self._inputs, self._gradients, self._corrections[line],
            BATCH=stack.examples, E=update.examples, K=update.inputs, N=update.units, **shape, **self._how(update),
        )  # fmt: skip

    def _how(self, tile: Tile) -> dict[str, Any]:
        return {"PRECISION": self._precision, "num_warps": tile.warps, "num_stages": tile.stages}
