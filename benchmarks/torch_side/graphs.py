"""CUDA graphs: steps recorded once on tensors that stay where they are, then replayed as often as asked."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.utils._pytree import tree_map_only

from torchnet.arrays import State
from torchnet.loops import begin, take_step
from torchnet.problem import Feed, Problem
from torchnet.settings import Settings, device_of

StartAndRun = tuple[Callable[[], Any], Callable[[Any], Any]]


def graphs_of_functions(
    how: Settings, feed: Feed, advance: Callable[..., Any], begun: tuple[Any, Any], whole: bool
) -> StartAndRun:
    """What places the start state and what takes all steps, of a step that is a function.

    Args:
        how: which steps.
        feed: what they are fed; of several seeds, stacked.
        advance: the step.
        begun: parameters and memory as they stand before the first step. A copy is what every graph reads and writes.
        whole: one graph of all steps; otherwise one of a single step, replayed for each.
    """
    place = device_of(how.device)
    learning_rate = torch.tensor(how.learning_rate, dtype=torch.float64, device=place)
    counter = torch.zeros(1, dtype=torch.int64, device=place)
    held = tree_map_only(Tensor, torch.clone, begun)
    losses: list[Tensor] = []

    def step() -> None:
        # The step is counted on the device: a graph is replayed with the same arguments.
        rows = None if feed.rows is None else feed.rows.index_select(0, counter)[0]
        *after, loss = advance(*held, feed.data, rows, learning_rate)
        for kept, moved in zip(tensors(held), tensors(tuple(after)), strict=True):
            kept.copy_(moved)
        if not losses:
            losses.append(torch.zeros(how.steps, *loss.shape, dtype=loss.dtype, device=place))
        losses[0].index_copy_(0, counter, loss[None])
        counter.add_(1)

    count = len(how.indices)
    graph = captured(step, count if whole else 1)

    def start() -> Any:
        for kept, given in zip(tensors(held), tensors(begun), strict=True):
            kept.copy_(given)
        counter.fill_(how.start)
        return None

    def run(placed: Any) -> Any:
        for _ in range(1 if whole else count):
            graph.replay()
        return *held, losses[0][how.indices.start : how.indices.stop]

    return start, run


def graph_of_optimizer(problem: Problem, state: State, feed: Feed, how: Settings, fused: bool) -> StartAndRun:
    """The same of all steps in one graph, with torch.optim inside, as the wing's `whole_run` captures them."""
    model, optimizer = begin(problem, state, how, captured=True)
    memories = [] if optimizer is None else list(optimizer.state.values())
    if fused:
        for memory in memories:
            # The fused kernel reads its counter in float32.
            memory["step"] = memory["step"].float()
    held = [*(model.values() if optimizer is None else model.parameters()), *tensors(memories)]
    begun = [tensor.detach().clone() for tensor in held]
    losses: list[Tensor] = []
    last: list[Any] = []

    def steps(indices: range) -> None:
        losses.clear()
        current = model
        for step in indices:
            current, loss = take_step(problem, current, optimizer, feed.batch(step), how)
            losses.append(loss)
        last[:] = [current]

    warmed_up(lambda: steps(how.indices[:1]))
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        steps(how.indices)

    def start() -> Any:
        with torch.no_grad():
            for kept, given in zip(held, begun, strict=True):
                kept.copy_(given)
        return None

    def run(placed: Any) -> Any:
        graph.replay()
        return last[0], optimizer, list(losses)

    return start, run


def tensors(tree: Any) -> list[Tensor]:
    """The tensors of a tree of them, those of a dict in the order of their names.

    PyTorch's own trees keep a dict's order, which is that of the file for a state that was read from one.
    """
    if isinstance(tree, Mapping):
        return tensors([tree[name] for name in sorted(tree)])
    if isinstance(tree, Sequence):
        return [tensor for branch in tree for tensor in tensors(branch)]
    # Where the update is by hand, there is None beside the parameters.
    return [tree] if isinstance(tree, Tensor) else []


def captured(step: Callable[[], None], count: int) -> torch.cuda.CUDAGraph:
    """A graph of `count` steps, after one step that lets the libraries and the compiler do what a capture may not."""
    warmed_up(step)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        for _ in range(count):
            step()
    return graph


def warmed_up(work: Callable[[], None]) -> None:
    """Do the work once beside the main stream. What it changed is put back by the `start` before each run."""
    stream = torch.cuda.Stream()  # type: ignore[no-untyped-call]
    stream.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(stream):
        work()
    torch.cuda.current_stream().wait_stream(stream)
