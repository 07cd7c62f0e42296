"""Compiled steps whose products are oneDNN's. On an x86 CPU, torch has MKL make those of float32, whatever is set.

On the AMD processor of `results/cpu-2-cores`, MKL uses no AVX-512; oneDNN asks the processor what it has.
"""

from __future__ import annotations

import functools
from collections.abc import Callable

import torch
from jaxtyping import Float
from torch import Tensor
from torch.func import grad_and_value

from benchmarks.case import inputs_of, layers_of
from torchnet.arrays import Batch
from torchnet.functional import Parameters
from torchnet.problem import Problem

Left = Float[Tensor, "rows inner"]
Right = Float[Tensor, "columns inner"]
Result = Float[Tensor, "rows columns"]

_LIBRARY = torch.library.Library("benchmarks", "DEF")  # type: ignore[no-untyped-call]
_LIBRARY.define("product(Tensor left, Tensor right) -> Tensor")  # type: ignore[no-untyped-call]


def product(left: Left, right: Right) -> Result:
    """`left @ right.T`. An operation of its own: torch.compile takes oneDNN's own for a layer with constant weights."""
    found: Tensor = torch.ops.benchmarks.product(left, right)
    return found


def _product(left: Tensor, right: Tensor) -> Tensor:
    # oneDNN has no float64, in which MKL does what it does elsewhere.
    if left.dtype == torch.float64:
        return left @ right.T
    found: Tensor = torch.ops.mkldnn._linear_pointwise(left, right, None, "none", [], "")
    return found


_LIBRARY.impl("product", _product, "CPU")  # type: ignore[no-untyped-call]
_LIBRARY.impl("product", lambda left, right: left.new_empty(len(left), len(right)), "Meta")  # type: ignore[no-untyped-call]


@functools.cache
def gradients_of(problem: Problem) -> Callable[[Parameters, Batch], tuple[Parameters, Tensor]]:
    """The function from parameters and batch to gradients and loss, for the MLP or the MNIST classifier.

    The layers' gradients are written out: torch.compile drops the gradient that an operation brings along, where
    `torch.func.grad` asks for it, and takes 0 (pytorch/pytorch#193279; seen in 2.14.1).
    """

    def gradients(parameters: Parameters, batch: Batch) -> tuple[Parameters, Tensor]:
        layers = layers_of(parameters)
        inputs = [batch[inputs_of(batch)]]
        for layer in layers:
            x = product(inputs[-1], parameters[f"{layer}.weight"]) + parameters[f"{layer}.bias"]
            inputs.append(torch.relu(x) if layer != layers[-1] else x)
        gradient, loss = _from_outputs(problem)(inputs.pop(), batch)
        found = {}
        for layer, x in zip(reversed(layers), reversed(inputs), strict=True):
            found[f"{layer}.weight"] = product(gradient.T, x.T)
            found[f"{layer}.bias"] = gradient.sum(0)
            if layer != layers[0]:
                gradient = product(gradient, parameters[f"{layer}.weight"].T) * (x > 0)
        # In the order of the parameters: the compiler takes another order for another program.
        return {name: found[name] for name in parameters}, loss

    return gradients


def _from_outputs(problem: Problem) -> Callable[[Tensor, Batch], tuple[Tensor, Tensor]]:
    """The function from the last layer's outputs and the batch to the loss's gradient there, and the loss."""

    def loss(outputs: Tensor, batch: Batch) -> Tensor:
        value: Tensor = problem.loss(lambda *_: outputs, batch)
        return value

    found: Callable[[Tensor, Batch], tuple[Tensor, Tensor]] = grad_and_value(loss)
    return found
