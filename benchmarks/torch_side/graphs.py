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


class Graph:
    """Work recorded once, after it was done once for the libraries and the compiler to do what a recording may not.

    A graph knows addresses, not tensors. It lives with its work, which holds all that it reads: memory that nobody
    holds is given to others, and the replay would read theirs.
    """

    def __init__(self, work: Callable[[], Any], first: Callable[[], Any] | None = None) -> None:
        warmed_up(first or work)
        self._work = work
        self._graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(self._graph):
            self.result = work()

    def replay(self) -> Any:
        """Do the work again; its result is in the same tensors every time."""
        self._graph.replay()
        return self.result


def graph_of_a_step(how: Settings, feed: Feed, advance: Callable[..., Any], begun: tuple[Any, Any]) -> StartAndRun:
    """What places the start state and what takes all steps: a graph of one, replayed for each.

    Args:
        how: which steps.
        feed: what they are fed; of several seeds, stacked.
        advance: the step, a function.
        begun: parameters and memory as they stand before the first step. A copy is what the graph reads and writes.
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
        put(held, after)
        if not losses:
            losses.append(torch.zeros(how.steps, *loss.shape, dtype=loss.dtype, device=place))
        losses[0].index_copy_(0, counter, loss[None])
        counter.add_(1)

    graph = Graph(step)

    def start() -> Any:
        put(held, begun)
        counter.fill_(how.start)
        return None

    def run(placed: Any) -> Any:
        for _ in how.indices:
            graph.replay()
        return *held, losses[0][how.indices.start : how.indices.stop]

    return start, run


def graph_of_all_steps(how: Settings, feed: Feed, advance: Callable[..., Any], begun: tuple[Any, Any]) -> StartAndRun:
    """The same as one graph of all steps, each of which takes what the one before gave. The start is only read."""
    learning_rate = torch.tensor(how.learning_rate, dtype=torch.float64, device=device_of(how.device))

    def steps(indices: range) -> Any:
        after, losses = list(begun), []
        for step in indices:
            rows = None if feed.rows is None else feed.rows[step]
            *after, loss = advance(*after, feed.data, rows, learning_rate)
            losses.append(loss)
        return *after, losses

    graph = Graph(lambda: steps(how.indices), first=lambda: steps(how.indices[:1]))
    return lambda: None, lambda placed: graph.replay()


def graph_in_place(how: Settings, held: Sequence[Tensor], steps: Callable[[range], Any]) -> StartAndRun:
    """What puts these tensors back to what they are now, and a graph of all steps, which change them."""
    begun = [tensor.detach().clone() for tensor in held]
    graph = Graph(lambda: steps(how.indices), first=lambda: steps(how.indices[:1]))

    def start() -> Any:
        with torch.no_grad():
            put(held, begun)
        return None

    return start, lambda placed: graph.replay()


def graph_of_optimizer(problem: Problem, state: State, feed: Feed, how: Settings, fused: bool) -> StartAndRun:
    """The same with torch.optim inside, as the wing's `whole_run` captures it."""
    model, optimizer = begin(problem, state, how, captured=True)
    memories = [] if optimizer is None else list(optimizer.state.values())
    if fused:
        for memory in memories:
            # The fused kernel reads its counter in float32.
            memory["step"] = memory["step"].float()

    def steps(indices: range) -> Any:
        current, losses = model, []
        for step in indices:
            current, loss = take_step(problem, current, optimizer, feed.batch(step), how)
            losses.append(loss)
        return current, optimizer, losses

    held = [*(model.values() if optimizer is None else model.parameters()), *tensors(memories)]
    return graph_in_place(how, held, steps)


def put(held: Any, given: Any) -> None:
    """The numbers of a tree of tensors into those of another, which stay where they are."""
    for kept, new in zip(tensors(held), tensors(given), strict=True):
        kept.copy_(new)


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


def warmed_up(work: Callable[[], Any]) -> None:
    """Do the work once beside the main stream. What it changed is put back by the `start` before each run."""
    stream = torch.cuda.Stream()  # type: ignore[no-untyped-call]
    stream.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(stream):
        work()
    torch.cuda.current_stream().wait_stream(stream)
    # What the work has allocated is kept for the next one, and a recording allocates in a pool of its own.
    torch.cuda.empty_cache()
