"""Many layers side by side in one pair, so that one check compares each alone beside its counterpart.

Each stands behind a parameter of its own, a gain, and so is a layer that the engine sees also where it has no other
parameter. No case sees another: a mistake in one shows in that one, and in the loss, which is the sum of all.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
import torch
from flax import nnx
from torch import Tensor, nn

from parity import Pair
from parity.recording import Arrays, Batch, Key
from parity_tests.ports.layer_case import Array, LayerCase

Sizes = tuple[int, int]
"""How many examples there are, and the size that their axes have or nearly have."""
SIZES: tuple[Sizes, ...] = ((3, 7), (1, 6), (3, 6), (1, 7))
"""Those of each step. The first two have odd and even axes, and both batch sizes."""
Inputs = dict[str, Sequence[Any]]
OUTPUT = re.compile(r"output(\d*)")


def slug(case: LayerCase) -> str:
    """A case's name as that of a module."""
    return re.sub(r"\W+", "_", case.name).strip("_")


def pair_of(cases: Sequence[LayerCase], sizes: Sequence[Sizes] = SIZES) -> Pair:
    """The cases as one pair, with a step for each of the sizes; scored at all of them."""

    def batches(seed: int, steps: int) -> list[Batch]:
        return [_inputs(cases, np.random.default_rng((seed, 0, step)), *sizes[step]) for step in range(steps)]

    def scored(seed: int) -> dict[str, Batch]:
        numbers = np.random.default_rng((seed, 1))
        return {f"{count} of {size}": _inputs(cases, numbers, count, size) for count, size in sizes}

    return Pair(
        name="layers",
        torch=dict(
            model=partial(Together, cases), loss=loss, optimizer=partial(torch.optim.SGD, lr=0.01, momentum=0.9)
        ),
        jax=dict(
            model=partial(TogetherCounterpart, cases),
            loss=loss_of_counterparts,
            optimizer=partial(optax.sgd, 0.01, momentum=0.9),
        ),
        parameters=partial(drawn, cases),
        batches=batches,
        scored=scored,
        steps=len(sizes),
    )


def case_of(cases: Sequence[LayerCase], key: Key, outputs: Sequence[str]) -> str:
    """The name of the case that a tensor belongs to; empty for the loss. `outputs` has the case of each output."""
    if found := OUTPUT.fullmatch(key.tensor.rpartition(".")[2] if key.stage == "score" else key.tensor):
        return outputs[int(found[1] or 0)]
    names = {slug(case): case.name for case in cases}
    return next((names[part] for part in re.split(r"[./]", key.tensor) if part in names), "")


def outputs_of(cases: Sequence[LayerCase]) -> list[str]:
    """For each output of the torch model, the name of the case that gives it."""
    model = Together(cases).double().eval()
    found = []
    for case in cases:
        inputs = [torch.from_numpy(array) for array in case.draw(np.random.default_rng(0), *SIZES[0])]
        found += [case.name] * len(getattr(model, slug(case))(*inputs))
    return found


def _inputs(cases: Sequence[LayerCase], numbers: np.random.Generator, count: int, size: int) -> Any:
    return {slug(case): case.draw(numbers, count, size) for case in cases}


def drawn(cases: Sequence[LayerCase], seed: int) -> Arrays:
    """Parameters and statistics, none as its layer begins; weights of classes and counters stay as they are."""
    numbers = np.random.default_rng((seed, 2))
    with torch.random.fork_rng():
        model = Together(cases).double()
    trained = {name for name, _ in model.named_parameters()}
    found = {}
    for name, tensor in model.state_dict().items():
        normal = 0.5 * numbers.standard_normal(tuple(tensor.shape))
        if name.endswith("running_var"):
            found[name] = 0.5 + np.abs(normal)
        else:
            found[name] = np.asarray(normal) if name in trained or name.endswith("running_mean") else tensor.numpy()
    return found


def share(shape: tuple[int, ...]) -> Array:
    """What each entry of an output counts in the loss, where no two count alike: between 0.5 and 1.5."""
    return np.asarray(1 + np.cos(np.arange(1, np.prod(shape, dtype=int) + 1)).reshape(shape) / 2)


class Alone(nn.Module):
    """A layer and the gain of what it gives."""

    def __init__(self, case: LayerCase) -> None:
        super().__init__()
        self.gain = nn.Parameter(torch.ones(()))
        self.layer = case.torch()

    def forward(self, *inputs: Tensor) -> list[Tensor]:
        outputs = self.layer(*inputs)
        return [self.gain * output for output in (outputs if isinstance(outputs, tuple) else (outputs,))]


class Together(nn.Module):
    """The layers of all cases, each called on its own inputs."""

    def __init__(self, cases: Sequence[LayerCase]) -> None:
        super().__init__()
        for case in cases:
            self.add_module(slug(case), Alone(case))

    def forward(self, inputs: Inputs) -> list[Tensor]:
        return [output for name, alone in self.named_children() for output in alone(*inputs[name])]


def loss(model: Together, batch: Inputs) -> Tensor:
    """The logarithm of the mean of every output's squares, by their share, summed over the outputs.

    Squares cannot cancel, which would leave of the loss what float32 has rounded. Their logarithms are of one size, so
    that no layer's gradients are nothing beside another's.
    """
    return torch.stack([_weighed(output) for output in model(batch)]).sum()


def _weighed(output: Tensor) -> Tensor:
    return torch.log1p((torch.from_numpy(share(tuple(output.shape))).to(output) * output**2).mean())


class AloneCounterpart(nnx.Module):
    """The counterpart of `Alone`. It takes and gives torch's layout."""

    def __init__(self, case: LayerCase, rngs: nnx.Rngs) -> None:
        self.gain = nnx.Param(jnp.ones(()))
        self.layer = case.jax(rngs)
        self.channels_last = case.channels_last

    def __call__(self, *inputs: jax.Array) -> list[jax.Array]:
        layer: Any = self.layer
        outputs = layer(*(self._moved(x, 1, -1) for x in inputs))
        return [
            self.gain[...] * self._moved(output, -1, 1)
            for output in (outputs if isinstance(outputs, tuple) else (outputs,))
        ]

    def _moved(self, x: jax.Array, source: int, destination: int) -> jax.Array:
        return jnp.moveaxis(x, source, destination) if self.channels_last and x.ndim > 2 else x


class TogetherCounterpart(nnx.Module):
    """The counterparts of all cases."""

    def __init__(self, cases: Sequence[LayerCase], rngs: nnx.Rngs) -> None:
        self.names = tuple(slug(case) for case in cases)
        for case in cases:
            setattr(self, slug(case), AloneCounterpart(case, rngs))

    def __call__(self, inputs: Inputs) -> list[jax.Array]:
        return [output for name in self.names for output in getattr(self, name)(*inputs[name])]


def loss_of_counterparts(model: TogetherCounterpart, batch: Inputs) -> jax.Array:
    """As `loss`."""
    means = [jnp.mean(jnp.asarray(share(output.shape), output.dtype) * output**2) for output in model(batch)]
    return jnp.sum(jnp.log1p(jnp.stack(means)))
