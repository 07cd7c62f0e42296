"""The judge of a case as a recording on disk, so that a variant's process needs no other framework to be judged.

It is made by `parity`: the float64 run, and how far each side's own float32 step is from it.
"""

from __future__ import annotations

import functools
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
from safetensors import safe_open
from safetensors.numpy import load_file, save_file

from benchmarks.case import NETS, Case
from benchmarks.probe import MANTISSA_BITS
from parity.arrays.rounding import cast, rounded_all
from parity.errors import NotCheckable
from parity.judging.distance.difference import Scales, difference, exact, scales
from parity.judging.distance.limits import float64_limit
from parity.judging.distance.noise import Noise
from parity.judging.passes.loops import FLOAT32_STARTS
from parity.pair.pair import Side
from parity.recording import FRAMEWORKS, Array, Arrays, Dtype, Framework, Key, Recording, State
from parity.sides.live import LiveSide, live_side
from parity.sides.runs import engine_step, free_run

WINGS: dict[Framework, str] = {"torch": "torchnet", "jax": "jaxnet"}
STAGES = ("init", "trajectory")
COARSE = ("tf32", "bfloat16")
"""The precisions that a judge also has emulated."""


@dataclass(frozen=True)
class Judge:
    """What a variant has to come to.

    Attributes:
        losses: float64, (steps,).
        states: the state before a step, by the step; the last is the end.
        scales: by `place` of a tensor, its scale.
        limits: by `place`, the largest float64 difference that counts as agreement.
        distances: by framework and `place`, how far that side's own float32 step from the judge's state is from it.
        noises: the same of its noise.
        coarse: by lower precision and `place`, how far a step in it is; empty where nothing multiplies matrices.
    """

    losses: Array
    states: dict[int, State]
    scales: dict[str, float]
    limits: dict[str, float]
    distances: dict[Framework, dict[str, float]]
    noises: dict[Framework, dict[str, float]]
    coarse: dict[str, dict[str, float]]

    @property
    def steps(self) -> int:
        """How many steps the run has."""
        return len(self.losses)

    @property
    def starts(self) -> list[int]:
        """The steps at which a variant is started from the judge's state."""
        return [start for start in FLOAT32_STARTS if start < self.steps]

    def save(self, file: Path) -> None:
        """Write all of it to a safetensors file."""
        arrays = {"losses": self.losses}
        for step, state in self.states.items():
            for part, tensors in state._asdict().items():
                arrays |= {f"{step}/{part}/{name}": np.array(array, order="C") for name, array in tensors.items()}
        figures = {name: getattr(self, name) for name in ("scales", "limits", "distances", "noises", "coarse")}
        file.parent.mkdir(parents=True, exist_ok=True)
        temporary = file.with_suffix(".new")
        save_file(arrays, temporary, metadata={"figures": json.dumps(figures)})
        temporary.replace(file)


def load(file: Path) -> Judge:
    """What `save` wrote."""
    arrays = load_file(file)
    with safe_open(file, "np") as opened:
        figures = json.loads(opened.metadata()["figures"])
    losses = arrays.pop("losses")
    states: dict[int, State] = {}
    for name, array in arrays.items():
        step, part, tensor = name.split("/")
        getattr(states.setdefault(int(step), State({}, {})), part)[tensor] = array
    return Judge(losses, states, **figures)


def place(step: int, tensor: str) -> str:
    """How the figures call a tensor as a step leaves it."""
    return f"{step}/{tensor}"


def side_of(case: Case, framework: Framework) -> Side:
    """The side of a case, as `parity` takes it."""
    module = f"{WINGS[framework]}.{case.problem}"
    problem = import_module(f"benchmarks.{framework}_side.problems").problem_of(case.problem, case.width)
    parts: dict[str, Any] = {
        "parameters": problem.draw_parameters,
        "model": problem.from_arrays,
        "arrays": problem.to_arrays,
    }
    if case.problem == "mnist":
        parts["batches"] = functools.partial(import_module(module).batches, batch_size=case.batch_size)
    parts["optimizer" if problem.optimizer else "update"] = f"{module}:{'optimizer' if problem.optimizer else 'update'}"
    return Side.from_module(module, **parts)


def make(case: Case) -> Judge:
    """The judge of a case, computed on the CPU by the frameworks that are installed.

    Raises:
        NotCheckable: neither framework is installed, or a gradient is null, so that two right runs may part.
    """
    found = [framework for framework in FRAMEWORKS if find_spec(framework)]
    if not found:
        raise NotCheckable("neither torch nor jax is installed: install the extra torch or jax with pip")

    def live(framework: Framework, dtype: Dtype) -> LiveSide:
        return live_side(side_of(case, framework), framework, dtype, "cpu")

    judging = live(found[0], "float64")
    run = free_run(judging, case.seed, case.steps, stages=STAGES, data=False)
    known = scales([run])
    if known.null:
        raise NotCheckable(f"{case.name}: the gradient of {next(iter(known.null))[1]} is null: choose another size")
    noise = _noise(judging, case, run, known)
    starts = [start for start in FLOAT32_STARTS if start < case.steps]
    kept = sorted({step for start in starts for step in (start, start + 1)} | {case.steps})
    own = {framework: _own_steps(live(framework, "float32"), case, run, starts, known.of) for framework in found}
    needed = [Key("trajectory", step - 1, name) for step in kept[1:] for name in _tensors(run, step)]
    needed += [Key("trajectory", step, "loss") for step in range(case.steps)]
    return Judge(
        losses=np.array([run.of("trajectory", step)["loss"] for step in range(case.steps)]),
        states={step: run.state_before(step) for step in kept},
        scales={place(key.step, key.tensor): known.of[key] for key in needed if key in known.of},
        limits={place(key.step, key.tensor): float64_limit(noise.of(key), noise.of(key)) for key in needed},
        distances={framework: distances for framework, (distances, _) in own.items()},
        noises={framework: noises for framework, (_, noises) in own.items()},
        coarse={
            precision: _coarse(MANTISSA_BITS[precision], judging, case, run, starts, known.of)
            for precision in COARSE
            if case.problem in NETS
        },
    )


def _noise(judging: LiveSide, case: Case, run: Recording, known: Scales) -> Noise:
    """The judge's own noise, from one draw."""

    def again(move: Callable[[Arrays], Arrays], into: Recording) -> None:
        initial = move(judging.initial(case.seed))
        free_run(judging, case.seed, case.steps, initial, stages=STAGES, data=False, into=into)

    found = Noise(run, again, known, case.seed)
    found.draw()
    return found


def _tensors(run: Recording, step: int) -> list[str]:
    state = run.state_before(step)
    return [*state.parameters, *state.optimizer]


def _own_steps(
    live: LiveSide, case: Case, run: Recording, starts: Sequence[int], scale: dict[Key, float]
) -> tuple[dict[str, float], dict[str, float]]:
    """Distance and noise of one step of a side itself from the judge's state at each start."""
    distances: dict[str, float] = {}
    noises: dict[str, float] = {}
    for start in starts:
        state = run.state_before(start)

        def step(
            move: Callable[[Arrays], Arrays], into: Recording | None, state: State = state, start: int = start
        ) -> Recording:
            given = State(move(cast(state.parameters, "float32")), cast(state.optimizer, "float32"))
            return engine_step(live, case.seed, start, given, into)

        taken = step(lambda parameters: parameters, None)
        noise = Noise(taken, step, Scales(scale, frozenset()), case.seed)
        while noise.draw():
            pass
        for tensor, array in taken.of("trajectory", start).items():
            key = Key("trajectory", start, tensor)
            if not exact(key, array):
                distances[place(start, tensor)] = difference(array, run.of("trajectory", start)[tensor], scale[key])
                noises[place(start, tensor)] = noise.of(key)
    return distances, noises


def _coarse(
    bits: int, judging: LiveSide, case: Case, run: Recording, starts: Sequence[int], scale: dict[Key, float]
) -> dict[str, float]:
    """How far a step is from the judge's whose products see no more than so many mantissa bits."""
    found = {}
    for start in starts:
        state = run.state_before(start)
        batch = rounded_all(judging.batches(case.seed, start + 1)[start], bits)
        passed = judging.gradients(rounded_all(state.parameters, bits), batch, bits)
        after = judging.update(state, passed.parameters)
        for tensor, array in ({"loss": passed.loss} | after.parameters | after.optimizer).items():
            key = Key("trajectory", start, tensor)
            if not exact(key, array):
                found[place(start, tensor)] = difference(array, run.of("trajectory", start)[tensor], scale[key])
    return found
