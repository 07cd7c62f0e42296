"""Compiled steps with padded sizes and biases inside the weights. What is too much is 0 and stays 0."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.func import grad_and_value, vmap
from torch.nn.functional import pad

from benchmarks.case import inputs_of
from benchmarks.padding import EXAMPLES, Sizes, sizes_of
from benchmarks.prepared import Outcome, Prepared
from benchmarks.torch_side.graphs import StartAndRun
from benchmarks.torch_side.problems import Setup
from benchmarks.torch_side.seeds import begin_all, end_all, feed_all
from parity.recording import State
from torchnet import functional
from torchnet.arrays import Batch, Moments, moments_from_state, moments_to_arrays, to_device, to_host
from torchnet.problem import Feed, take
from torchnet.settings import device_of


def padded(setup: Setup, drive: Callable[..., StartAndRun]) -> Prepared:
    """The run of the MLP or the MNIST classifier, its steps driven so; of several seeds' classifiers too."""
    sizes = sizes_of(setup.states[0].parameters, setup.case.batch_size)
    step = compiled(sizes, len(setup.states) > 1)
    begun = begin_all(_begun(sizes, setup, seed) for seed in range(len(setup.states)))
    start, run = drive(setup.how, filled_up(sizes, feed_all(setup)), step, begun)
    return Prepared(start, run, lambda done: end_all(setup, functools.partial(_outcome, sizes), *done))


def _begun(sizes: Sizes, setup: Setup, seed: int) -> tuple[Any, functional.Memory]:
    how, state = setup.how, setup.states[seed]
    moments = moments_from_state(state, how.dtype)
    trees = (state.parameters, moments.exp_avg, moments.exp_avg_sq)
    parameters, *averages = (to_device(sizes.carried(tree), how.dtype, how.device) for tree in trees)
    step = torch.tensor(moments.step, dtype=torch.float64, device=device_of(how.device))
    return parameters, functional.Memory(step, *averages)


def _outcome(sizes: Sizes, parameters: Any, memory: Any, losses: Tensor) -> Outcome:
    held, mu, nu = (sizes.arrays(to_host(tree)) for tree in (parameters, memory.exp_avg, memory.exp_avg_sq))
    return Outcome(losses.cpu().numpy(), State(held, moments_to_arrays(Moments(int(memory.step), mu, nu))))


@functools.cache
def compiled(sizes: Sizes, together: bool) -> Callable[..., Any]:
    """A step of one seed, or of several at once, as one program of torch.compile."""
    one = grad_and_value(functools.partial(loss_of, sizes))
    gradients_of = vmap(one) if together else one

    def advance(parameters: Any, memory: Any, data: Batch, rows: Tensor | None, learning_rate: Tensor) -> Any:
        gradients, loss = gradients_of(parameters, take(data, rows))
        return *functional.adam(parameters, memory, gradients, learning_rate), loss

    return torch.compile(advance, fullgraph=True)


def filled_up(sizes: Sizes, feed: Feed) -> Feed:
    """The data with a 1 behind each example's numbers, and examples of nothing but 0 to fill a batch up."""
    name = inputs_of(feed.data)
    count, inputs = feed.data[name].shape
    filling = 1 if feed.rows is not None else -count % EXAMPLES
    data = {key: pad(tensor, (0, 0) * (tensor.ndim - 1) + (0, filling)) for key, tensor in feed.data.items()}
    data[name] = pad(data[name], (0, sizes.width - inputs))
    data[name][:count, inputs] = 1
    if feed.rows is None:
        return Feed(data)
    missing = -feed.rows.shape[-1] % EXAMPLES
    return Feed(data, pad(feed.rows, (0, missing), value=count))


def loss_of(sizes: Sizes, carried: dict[str, Tensor], batch: Batch) -> Tensor:
    """The loss of a padded batch."""
    x = batch[inputs_of(batch)]
    # The 1 behind an example's numbers; 0 behind those that fill the batch up.
    counts = x[:, sizes.layers[0].inputs]
    for layer in sizes.layers[:-1]:
        z = x @ carried[layer.name]
        x = torch.where(torch.arange(z.shape[1], device=z.device) == layer.outputs, 1.0, torch.relu(z))
    last = sizes.layers[-1]
    z = x @ carried[last.name]
    if "labels" not in batch:
        return (counts[:, None] * (z[:, : last.outputs] - batch["target"]) ** 2).sum()
    columns = torch.arange(z.shape[1], device=z.device)
    z = torch.where(columns < last.outputs, z, -torch.inf)
    # Not indexed by the labels: the gradient of that would be a scatter, a kernel of its own.
    picked = torch.where(columns == batch["labels"][:, None], z, 0.0).sum(1)
    return (counts * (torch.logsumexp(z, 1) - picked)).sum() / sizes.examples
