"""A step as a function from parameters to parameters, to be mapped over seeds or compiled as a whole.

torch.optim changes parameters in place, and torch.compile cannot take `backward` and `torch.optim` as one graph, so
Adam is written out here.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor
from torch.func import functional_call, grad_and_value

from torchnet.arrays import Batch, Moments, Rate, Run, State, moments_from_state, moments_to_arrays, to_device, to_host
from torchnet.problem import Problem
from torchnet.settings import Settings, device_of

Parameters = dict[str, Float[Tensor, "..."]]
BETAS, EPSILON = (0.9, 0.999), 1e-8


class Memory(NamedTuple):
    """What Adam remembers: the steps it has taken, float64, and running means of the gradients and of their squares."""

    step: Float[Tensor, ""]
    exp_avg: Parameters
    exp_avg_sq: Parameters


def adam(
    parameters: Parameters, memory: Memory, gradients: Parameters, learning_rate: Rate
) -> tuple[Parameters, Memory]:
    """One update of Adam, in the order of operations of torch.optim.Adam, with its betas and epsilon.

    With a shared step, parameters may be stacked. Bias corrections are taken in float64 whatever the dtype.

    Source: torch/optim/adam.py, _single_tensor_adam.
    """
    step = memory.step + 1
    step_size = learning_rate / (1 - BETAS[0] ** step)
    correction = (1 - BETAS[1] ** step).sqrt()
    moved, exp_avg, exp_avg_sq = {}, {}, {}
    for name, gradient in gradients.items():
        exp_avg[name] = torch.lerp(memory.exp_avg[name], gradient, 1 - BETAS[0])
        exp_avg_sq[name] = torch.addcmul(memory.exp_avg_sq[name] * BETAS[1], gradient, gradient, value=1 - BETAS[1])
        denominator = exp_avg_sq[name].sqrt() / correction + EPSILON
        moved[name] = parameters[name] - step_size * exp_avg[name] / denominator
    return moved, Memory(step, exp_avg, exp_avg_sq)


def begin(problem: Problem, state: State, how: Settings) -> tuple[Parameters, Memory | None]:
    """Parameters and memory on the device; no memory where the update is by hand.

    Raises ValueError as `checked` does.
    """
    model = problem.from_arrays(state.parameters, how.dtype, how.device)
    parameters = to_device(problem.to_arrays(model), how.dtype, how.device)
    if problem.optimizer is None:
        return parameters, None
    moments = moments_from_state(state, how.dtype)
    step = torch.tensor(moments.step, dtype=torch.float64, device=device_of(how.device))
    averages = (to_device(arrays, how.dtype, how.device) for arrays in moments[1:])
    return parameters, Memory(step, *averages)


@functools.cache
def gradients_of(problem: Problem) -> Callable[[Parameters, Batch], tuple[Parameters, Tensor]]:
    """The function from parameters and batch to gradients and loss."""
    if problem.optimizer is None:
        return grad_and_value(problem.loss)
    # Its own parameters are never used: each call brings others.
    module = problem.from_arrays(problem.draw_parameters(0))

    def loss(parameters: Parameters, batch: Batch) -> Tensor:
        value: Tensor = problem.loss(lambda *inputs: functional_call(module, parameters, inputs), batch)
        return value

    return grad_and_value(loss)


def update(
    problem: Problem, parameters: Parameters, memory: Memory | None, gradients: Parameters, learning_rate: Rate
) -> tuple[Parameters, Memory | None]:
    """Parameters and memory after the problem's own update by hand, or after Adam."""
    if memory is None:
        return problem.update(parameters, gradients, learning_rate), None
    return adam(parameters, memory, gradients, learning_rate)


def end(parameters: Parameters, memory: Memory | None, losses: Float[Tensor, count]) -> Run:
    """The run whose last step left these."""
    optimizer = {}
    if memory is not None:
        optimizer = moments_to_arrays(Moments(int(memory.step), to_host(memory.exp_avg), to_host(memory.exp_avg_sq)))
    return Run(losses.cpu().numpy(), State(to_host(parameters), optimizer))


def stack(runs: Sequence[tuple[Parameters, Memory | None]]) -> tuple[Parameters, Memory | None]:
    """Parameters and memory of several runs in one, on a new first axis. All have taken as many steps."""
    memories = [memory for _, memory in runs if memory is not None]
    parameters = _stack_tensors([parameters for parameters, _ in runs])
    if not memories:
        return parameters, None
    exp_avg = _stack_tensors([memory.exp_avg for memory in memories])
    exp_avg_sq = _stack_tensors([memory.exp_avg_sq for memory in memories])
    return parameters, Memory(memories[0].step, exp_avg, exp_avg_sq)


def pick(run: int, parameters: Parameters, memory: Memory | None) -> tuple[Parameters, Memory | None]:
    """Parameters and memory of one of the runs that `stack` has put together."""
    if memory is None:
        return _pick_tensors(run, parameters), None
    return _pick_tensors(run, parameters), Memory(memory.step, *(_pick_tensors(run, average) for average in memory[1:]))


def _stack_tensors(runs: Sequence[Parameters]) -> Parameters:
    return {name: torch.stack([parameters[name] for parameters in runs]) for name in runs[0]}


def _pick_tensors(run: int, parameters: Parameters) -> Parameters:
    return {name: tensor[run] for name, tensor in parameters.items()}
