"""The variants in PyTorch, each made ready to run: `prepare` and what it calls."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.func import vmap

from benchmarks.prepared import Outcome, Prepared
from benchmarks.torch_side import onednn
from benchmarks.torch_side.calls import called
from benchmarks.torch_side.graphs import (
    StartAndRun,
    graph_in_place,
    graph_of_a_step,
    graph_of_all_steps,
    graph_of_optimizer,
)
from benchmarks.torch_side.padded import padded
from benchmarks.torch_side.problems import Setup
from benchmarks.torch_side.seeds import begin_all, end_all, feed_all
from parity.recording import State
from torchnet import functional
from torchnet.arrays import Run
from torchnet.data import read_mnist
from torchnet.draws import DATA, generator
from torchnet.loops import begin, end, take_step
from torchnet.minibatches import to_unit_range
from torchnet.problem import Problem, take
from torchnet.settings import device_of, dtype_of

Advance = Callable[..., Any]
"""Parameters, memory and loss of all seeds after a step, from parameters, memory, data, rows and learning rate."""


def prepare(name: str, setup: Setup) -> Prepared:
    """The variant of this name. What compiles does so in its first run; what captures does so here."""
    return PREPARE[name](setup)


def outcome(run: Run) -> Outcome:
    """A wing's run in the words of the benchmark."""
    return Outcome(run.losses, State(*run.state))


def fused(problem: Problem) -> Problem:
    """The problem with Adam in one kernel for all parameters."""
    return problem._replace(optimizer=functools.partial(torch.optim.Adam, fused=True))


def _notebook(setup: Setup) -> Prepared:
    """A new tensor for every batch, as the notebook has it; the draw is NumPy's `choice`, from the seed's generator."""
    case, problem, how = setup.case, setup.problem, setup.how
    floats, place = dtype_of(how.dtype), device_of(how.device)
    if case.problem == "line_fit":
        return _notebook_by_hand(setup)
    if case.problem != "mnist":
        return _stepped(setup)
    mnist = read_mnist()
    images, labels = to_unit_range(mnist.train_images), mnist.train_labels

    def start() -> Any:
        numbers = generator(case.seed, DATA)
        for _ in range(how.start):
            numbers.choice(len(images), case.batch_size)
        return *begin(problem, setup.states[0], how), numbers

    def run(placed: Any) -> Any:
        model, optimizer, numbers = placed
        losses = []
        for _ in how.indices:
            rows = numbers.choice(len(images), case.batch_size)
            x = torch.tensor(images[rows], dtype=floats, device=place)
            y = torch.tensor(labels[rows], dtype=torch.int64, device=place)
            optimizer.zero_grad()
            loss = problem.loss(model, {"images": x, "labels": y})
            loss.backward()
            optimizer.step()
            losses.append(loss.detach())
        return model, optimizer, losses

    return Prepared(start, run, lambda done: [outcome(end(problem, *done))])


def _notebook_by_hand(setup: Setup) -> Prepared:
    """The line fit: gradients left by `backward`, the update written out, the gradients zeroed."""
    how, batch = setup.how, setup.feeds[0].data

    def run(placed: Any) -> Any:
        model, _ = placed
        m, c = model["m"], model["c"]
        losses = []
        for _ in how.indices:
            y = m * batch["x"] + c
            loss = torch.norm(y - batch["target"])
            loss.backward()
            with torch.no_grad():
                m -= how.learning_rate * m.grad
                c -= how.learning_rate * c.grad
                m.grad.zero_()
                c.grad.zero_()
            losses.append(loss.detach())
        return model, None, losses

    return Prepared(lambda: begin(setup.problem, setup.states[0], how), run, lambda done: [
        outcome(end(setup.problem, *done))
    ])  # fmt: skip


def _stepped(setup: Setup) -> Prepared:
    problem, how, feed = setup.problem, setup.how, setup.feeds[0]

    def run(placed: Any) -> Any:
        model, optimizer = placed
        losses = []
        for step in how.indices:
            model, loss = take_step(problem, model, optimizer, feed.batch(step), how)
            losses.append(loss)
        return model, optimizer, losses

    return Prepared(lambda: begin(problem, setup.states[0], how), run, lambda done: [outcome(end(problem, *done))])


def _fused(setup: Setup) -> Prepared:
    setup = setup._replace(problem=fused(setup.problem))
    plain = _stepped(setup)

    def start() -> Any:
        model, optimizer = plain.place()
        for memory in optimizer.state.values():
            # The fused kernel reads its counter, in float32, on the device.
            memory["step"] = memory["step"].to(device_of(setup.how.device), torch.float32)
        return model, optimizer

    return plain._replace(place=start)


@functools.cache
def advance_of(problem: Problem, together: bool) -> Advance:
    """A step as a function, of one seed, or of several at once, whose parameters and batches have a first axis more."""
    gradients_of = functional.gradients_of(problem)
    return _advance(problem, vmap(gradients_of) if together else gradients_of)


def _advance(problem: Problem, gradients_of: Callable[..., Any]) -> Advance:
    def advance(parameters: Any, memory: Any, data: Any, rows: Tensor | None, learning_rate: Tensor) -> Any:
        gradients, loss = gradients_of(parameters, take(data, rows))
        return *functional.update(problem, parameters, memory, gradients, learning_rate), loss

    return advance


@functools.cache
def compiled(problem: Problem, together: bool, mode: str = "default") -> Advance:
    """The same step as one program of torch.compile."""
    return torch.compile(advance_of(problem, together), fullgraph=True, mode=mode)


@functools.cache
def compiled_onednn(problem: Problem) -> Advance:
    """The same of one seed, its products by oneDNN."""
    return torch.compile(_advance(problem, onednn.gradients_of(problem)), fullgraph=True)


def _outcome(parameters: Any, memory: Any, losses: Tensor) -> Outcome:
    return outcome(functional.end(parameters, memory, losses))


def _functions(setup: Setup, drive: Callable[..., StartAndRun], inside: Callable[[Problem, bool], Advance]) -> Prepared:
    """Steps as functions, of one seed or of several together: each called, or recorded in a CUDA graph."""
    step = inside(setup.problem, len(setup.states) > 1)
    begun = begin_all(functional.begin(setup.problem, state, setup.how) for state in setup.states)
    start, run = drive(setup.how, feed_all(setup), step, begun)
    return Prepared(start, run, lambda done: end_all(setup, _outcome, *done))


def _compiled(mode: str, setup: Setup) -> Prepared:
    drive = functools.partial(called, copies=mode != "default" and setup.how.device == "gpu")
    return _functions(setup, drive, functools.partial(compiled, mode=mode))


def _whole_run(setup: Setup, with_fused: bool = False) -> Prepared:
    problem = fused(setup.problem) if with_fused else setup.problem
    start, run = graph_of_optimizer(problem, setup.states[0], setup.feeds[0], setup.how, with_fused)
    return Prepared(start, run, lambda done: [outcome(end(problem, *done))])


def _three_kernels(setup: Setup) -> Prepared:
    # Only here: torch brings Triton along where it is built for a GPU, and not elsewhere.
    from benchmarks.torch_side.three_kernels import three_kernels

    return three_kernels(setup, graph_in_place)


PREPARE: dict[str, Callable[[Setup], Prepared]] = {
    "notebook": _notebook,
    "stepped": _stepped,
    "fused": _fused,
    "compiled": functools.partial(_compiled, "default"),
    "compiled_reduce_overhead": functools.partial(_compiled, "reduce-overhead"),
    "compiled_max_autotune": functools.partial(_compiled, "max-autotune"),
    "graph_step": functools.partial(_functions, drive=graph_of_a_step, inside=advance_of),
    "graph_step_compiled": functools.partial(_functions, drive=graph_of_a_step, inside=compiled),
    "whole_run": _whole_run,
    "whole_run_fused": functools.partial(_whole_run, with_fused=True),
    "whole_run_compiled": functools.partial(_functions, drive=graph_of_all_steps, inside=compiled),
    "compiled_padded": functools.partial(padded, drive=called),
    "compiled_onednn": functools.partial(_functions, drive=called, inside=lambda problem, _: compiled_onednn(problem)),
    "whole_run_padded": functools.partial(padded, drive=graph_of_all_steps),
    "whole_run_three_kernels": _three_kernels,
    "many_seeds": functools.partial(_functions, drive=called, inside=advance_of),
    "many_seeds_compiled": functools.partial(_compiled, "default"),
    "many_seeds_whole_run": functools.partial(_functions, drive=graph_of_all_steps, inside=compiled),
    "many_seeds_padded": functools.partial(padded, drive=graph_of_all_steps),
}
