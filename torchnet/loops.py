"""How the steps of a training are driven: one by one, all in one program, or for many seeds together.

Every loop takes a state, what the steps are fed and which steps to take, and gives back the losses and the state after
the last. Data stays on the device, and no loss is read before the end.
"""

from __future__ import annotations

import functools
import os
import shutil
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import jaxtyping
import torch
from torch import Tensor
from torch.func import vmap

from torchnet import functional
from torchnet.arrays import Batch, Moments, Run, Start, State, moments_from_state, moments_to_arrays, to_device, to_host
from torchnet.problem import Feed, Problem, stack_feeds, take
from torchnet.settings import Settings, SettingsError, computing, device_of, dtype_of


class LoopError(Exception):
    """A loop cannot run here: one line that says what it needs and what to do."""


def stepped(problem: Problem, state: State, feed: Feed, how: Settings) -> Run:
    """One step after the other, each started from Python."""
    model, optimizer = begin(problem, state, how)
    losses = []
    for step in how.indices:
        model, loss = take_step(problem, model, optimizer, feed.batch(step), how)
        losses.append(loss)
    return end(problem, model, optimizer, losses)


def whole_run(problem: Problem, state: State, feed: Feed, how: Settings) -> Run:
    """All steps as one program: a CUDA graph in PyTorch, a scan in JAX."""
    _warm_up(problem, state, feed, how)
    model, optimizer = begin(problem, state, how, captured=True)
    losses = []
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        for step in how.indices:
            model, loss = take_step(problem, model, optimizer, feed.batch(step), how)
            losses.append(loss)
    # So far the steps are recorded, and none is taken.
    graph.replay()
    return end(problem, model, optimizer, losses)


def many_seeds(problem: Problem, states: Sequence[State], feeds: Sequence[Feed], how: Settings) -> list[Run]:
    """Independent runs side by side, all as far as the first: states stacked, each step taken for all together."""
    parameters, memory = functional.stack([functional.begin(problem, state, how) for state in states])
    feed = stack_feeds(feeds)
    gradients_of_all = vmap(functional.gradients_of(problem))
    losses = []
    for step in how.indices:
        gradients, loss = gradients_of_all(parameters, feed.batch(step))
        parameters, memory = functional.update(problem, parameters, memory, gradients, how.learning_rate)
        losses.append(loss)
    table = torch.stack(losses, 1)
    return [functional.end(*functional.pick(run, parameters, memory), table[run]) for run in range(len(states))]


def compiled(problem: Problem, state: State, feed: Feed, how: Settings) -> Run:
    """One step after the other, each one program that torch.compile has made of gradient and update together."""
    parameters, memory = functional.begin(problem, state, how)
    # As a number in Python each learning rate would be compiled anew.
    learning_rate = torch.tensor(how.learning_rate, dtype=torch.float64, device=device_of(how.device))
    advance = _compiled_step(problem)
    losses = []
    with _unchecked_shapes():
        for step in how.indices:
            rows = None if feed.rows is None else feed.rows[step]
            parameters, memory, loss = advance(parameters, memory, feed.data, rows, learning_rate)
            losses.append(loss)
    return functional.end(parameters, memory, torch.stack(losses))


LOOPS: dict[str, Callable[..., Any]] = {
    "stepped": stepped, "whole_run": whole_run, "many_seeds": many_seeds, "compiled": compiled,
}  # fmt: skip


def missing(loop: str, device: str) -> str:
    """Why a loop cannot run on this machine, one line; empty where it can."""
    if loop == "whole_run" and device == "cpu":
        return "whole_run captures a CUDA graph and needs a GPU"
    # The name that torch looks for.
    compiler = os.environ.get("CXX", "clang++" if sys.platform == "darwin" else "g++")
    if loop == "compiled" and device == "cpu" and shutil.which(compiler) is None:
        return f"compiled needs a C++ compiler, and {compiler} is not on the path: install one"
    return ""


def drive(
    loop: str,
    problem: Problem,
    seeds: Sequence[int],
    feed_of: Callable[[int, Settings], Feed],
    how: Settings,
    state: Start | None = None,
) -> list[Run]:
    """The run of every seed, from `state` or from the seed's draws.

    `many_seeds` runs all of them together, and a single seed together with the next one.

    Raises SettingsError, LoopError where this machine cannot run the loop, ValueError for a state that does not fit.
    """
    if loop not in LOOPS:
        raise SettingsError(f"loop is {loop!r}: expected {', '.join(LOOPS)}")
    if not seeds or min(seeds) < 0:
        raise SettingsError(f"seeds are {list(seeds)}: expected at least one, each 0 or above")
    if reason := missing(loop, how.device):
        raise LoopError(f"{reason}; --loop stepped runs everywhere")
    together = [*seeds, seeds[0] + 1] if loop == "many_seeds" and len(seeds) == 1 else seeds
    with computing(how.device, how.dtype, how.precision):
        states = [State(*(state or (problem.draw_parameters(seed), {}))) for seed in together]
        feeds = [feed_of(seed, how) for seed in together]
        if loop == "many_seeds":
            return many_seeds(problem, states, feeds, how)[: len(seeds)]
        return [LOOPS[loop](problem, *start, how) for start in zip(states, feeds, strict=True)]


def take_step(problem: Problem, model: Any, optimizer: Any, batch: Batch, how: Settings) -> tuple[Any, Tensor]:
    """The model after one step, and the loss before it."""
    loss = problem.loss(model, batch)
    if optimizer is None:
        gradients = torch.autograd.grad(loss, list(model.values()))
        return problem.update(model, dict(zip(model, gradients, strict=True)), how.learning_rate), loss.detach()
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    return model, loss.detach()


def begin(problem: Problem, state: State, how: Settings, captured: bool = False) -> tuple[Any, Any]:
    """Model and optimizer as the state says; None instead of an optimizer where the update is by hand."""
    model = problem.from_arrays(state.parameters, how.dtype, how.device)
    if problem.optimizer is None:
        return model, None
    optimizer = problem.optimizer(model.parameters(), how.learning_rate)
    moments = moments_from_state(state, how.dtype)
    exp_avg, exp_avg_sq = (to_device(arrays, how.dtype, how.device) for arrays in moments[1:])
    # Adam's own counter is float32, in which a captured float64 step would take its bias corrections too: parameters
    # come out wrong by 5e-7 after the first step. Outside a graph the counter is read from Python, so it stays there.
    # load_state_dict would make it float32 again where `capturable` is set, so the state is put in place by hand.
    place = device_of(how.device if captured else "cpu")
    for name, parameter in model.named_parameters():
        step = torch.tensor(moments.step, dtype=dtype_of(how.dtype), device=place)
        optimizer.state[parameter] = {"step": step, "exp_avg": exp_avg[name], "exp_avg_sq": exp_avg_sq[name]}
    for group in optimizer.param_groups:
        group["capturable"] = captured
    return model, optimizer


def end(problem: Problem, model: Any, optimizer: Any, losses: Sequence[Tensor]) -> Run:
    """The run whose last step left this model and optimizer."""
    remembered = {}
    if optimizer is not None:
        entries = {name: optimizer.state[parameter] for name, parameter in model.named_parameters()}
        steps = [int(entry["step"]) for entry in entries.values()]
        averages = (to_host({name: entry[key] for name, entry in entries.items()}) for key in ("exp_avg", "exp_avg_sq"))
        remembered = moments_to_arrays(Moments(steps[0], *averages))
    return Run(torch.stack(list(losses)).cpu().numpy(), State(problem.to_arrays(model), remembered))


def _warm_up(problem: Problem, state: State, feed: Feed, how: Settings) -> None:
    """One step on a copy, beside the main stream: a capture may not be the first to call the libraries."""
    stream = torch.cuda.Stream()  # type: ignore[no-untyped-call]
    stream.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(stream):
        model, optimizer = begin(problem, state, how, captured=True)
        take_step(problem, model, optimizer, feed.batch(how.start), how)
    torch.cuda.current_stream().wait_stream(stream)


@functools.cache
def _compiled_step(problem: Problem) -> Callable[..., Any]:
    gradients_of = functional.gradients_of(problem)

    def step(parameters: Any, memory: Any, data: Batch, rows: Tensor | None, learning_rate: Tensor) -> Any:
        gradients, loss = gradients_of(parameters, take(data, rows))
        return *functional.update(problem, parameters, memory, gradients, learning_rate), loss

    return torch.compile(step, fullgraph=True)


@contextmanager
def _unchecked_shapes() -> Iterator[None]:
    """Inside, annotated shapes are not checked, where they are at all (in tests): Dynamo cannot trace the checks."""
    before = jaxtyping.config.jaxtyping_disable
    jaxtyping.config.update("jaxtyping_disable", True)
    try:
        yield
    finally:
        jaxtyping.config.update("jaxtyping_disable", before)
