"""A pair: two sides, the batches that both see, and how they are scored.

A side names its parts by import path (`torchnet.mnist:loss`). They are imported only when that side runs,
so a pair loads where one of the frameworks is missing. In a notebook, a part may be the function itself.
"""

from __future__ import annotations

import importlib
import importlib.util
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from parity.errors import MissingFramework, NotCheckable
from parity.recording import STAGES, Framework

Part = str | Callable[..., Any]
PACKAGES = {"torch": ("torch", "torchvision"), "jax": ("jax", "jaxlib", "flax", "optax")}
ALWAYS = ("data", "init")
"""Stages of every pair: where the two sides are given different things, nothing that follows says anything."""
RESTS_ON = {
    "loss": ("forward",),
    "backward": ("loss",),
    "update": ("backward", "trajectory"),
    "trajectory": ("backward", "update"),
}
"""What a pair that declares a stage must declare too. The update is the trajectory's first steps, seen closely."""


@dataclass(frozen=True)
class Side:
    """One framework's half, each part an import path or a function.

    `Arrays` are dicts of NumPy arrays in torch's names and layout.

    Attributes:
        parameters: `(seed) -> Arrays`, the initial parameters, float64.
        model: `(Arrays, dtype, device) -> model`, an `nn.Module`, an `nnx.Module` or a dict of tensors.
        arrays: `(model) -> Arrays`, the way back; in JAX also of gradients and moments, which are built alike.
        batches: `(seed, steps) -> sequence of dicts of NumPy arrays`, one for each step.
        predict: `(model, batch) -> output`, the batch in the framework's own tensors.
        loss: `(model, batch) -> scalar`; None where the pair declares no stage from the loss on.
        scored: `(seed) -> {name: batch}`, what to score on after the last step; None where the pair declares no score.
        optimizer: torch: `(parameters) -> torch.optim.Optimizer`; JAX: `() -> optax.GradientTransformation`.
        update: instead of `optimizer`, an update without memory: `(model, gradients) -> model`.
        train: `(loop, seed=, dtype=, device=, precision=, state=, start=, count=) -> (losses, state)`; None: no loops.
        loops: the names of the loops that `train` knows.
        missing: `(loop, device) -> str`, why a loop cannot run on this machine, empty where it can; None: all can.
        scores: `(seeds, device=) -> {name: accuracy of each seed}`, for `parity --seeds`; None: not offered.
    """

    parameters: Part
    model: Part
    arrays: Part
    batches: Part
    predict: Part
    loss: Part | None = None
    scored: Part | None = None
    optimizer: Part | None = None
    update: Part | None = None
    train: Part | None = None
    loops: tuple[str, ...] = ()
    missing: Part | None = None
    scores: Part | None = None

    def __post_init__(self) -> None:
        if self.optimizer is not None and self.update is not None:
            raise NotCheckable("a side has either `optimizer` or `update`, and not both")

    @classmethod
    def from_module(cls, module: str, **others: Any) -> Side:
        """A side whose parts stand in `module` under the usual names; `others` adds or replaces parts."""
        usual = {
            "parameters": "draw_parameters",
            "model": "from_arrays",
            "arrays": "to_arrays",
            "batches": "batches",
            "predict": "predict",
            "loss": "loss",
            "scored": "scored",
        }
        return cls(**({part: f"{module}:{name}" for part, name in usual.items()} | others))


@dataclass(frozen=True)
class Pair:
    """Two sides to compare.

    Attributes:
        name: how the pair is called in reports and on the command line.
        torch: the PyTorch side.
        jax: the JAX side.
        steps: how many training steps are compared, at least 1.
        labels: the entry of a scored batch with the right class of each example; None where nothing is classified.
        scored_on: for each scored batch, what it is, in the words that reports use; its name where nothing is said.
        published: for each scored batch, the accuracy that somebody published, between 0 and 1.
        stages: what is compared, names of `STAGES`; data and init always are, and stand in it also if left out.
            Without the trajectory nothing is trained: each step is a pass over its batch at the initial parameters.

    Raises:
        NotCheckable: no step, a stage that there is not or whose grounds are left out, or a side lacks a part for one.
    """

    name: str
    torch: Side
    jax: Side
    steps: int = 100
    labels: str | None = None
    scored_on: Mapping[str, str] = field(default_factory=dict)
    published: Mapping[str, float] = field(default_factory=dict)
    stages: tuple[str, ...] = STAGES

    def __post_init__(self) -> None:
        if self.steps < 1:
            raise NotCheckable(
                f"pair {self.name}: steps must be at least 1, not {self.steps}: nothing would be compared"
            )
        if fault := _stages_fault(self.stages) or _lacking(self):
            raise NotCheckable(f"pair {self.name}: {fault}")
        # A frozen dataclass: the stages in the order of the flow, each once.
        object.__setattr__(self, "stages", tuple(s for s in STAGES if s in ALWAYS or s in self.stages))

    def side(self, framework: Framework) -> Side:
        """The half of `framework`."""
        return self.torch if framework == "torch" else self.jax


def _stages_fault(stages: tuple[str, ...]) -> str:
    """Why these stages cannot be declared; empty where they can."""
    if isinstance(stages, str):
        return f"stages are {stages!r}: expected a tuple of names"
    if unknown := [stage for stage in stages if stage not in STAGES]:
        return f"there is no stage {unknown[0]!r}: the stages are {', '.join(STAGES)}"
    if not set(stages) - set(ALWAYS):
        return "no stage after init is declared: the models themselves would not be compared"
    for stage in stages:
        if left_out := [ground for ground in RESTS_ON.get(stage, ()) if ground not in stages]:
            return f"the stage {stage} rests on {' and '.join(left_out)}: declare that too"
    return ""


def _lacking(pair: Pair) -> str:
    """Which part a side lacks for a stage that the pair declares; empty where both have all."""
    for framework, side in (("torch", pair.torch), ("jax", pair.jax)):
        parts = {"loss": ("loss",), "score": ("scored",), "update": ("optimizer", "update")}
        for stage, names in parts.items():
            if stage in pair.stages and all(getattr(side, name) is None for name in names):
                needed = " or ".join(f"`{name}`" for name in names)
                return f"the {framework} side needs {needed} for the stage {stage}, or declare stages without it"
    return ""


def resolve(path: Part, framework: Framework) -> Any:
    """The object that an import path such as `torchnet.mnist:loss` names; a function is itself.

    Raises:
        MissingFramework: the framework of this side is not installed.
        NotCheckable: the path is malformed, its module is missing, or the name is not in it.
    """
    if not isinstance(path, str):
        return path
    module_name, colon, name = path.partition(":")
    if not colon or not module_name or not name:
        raise NotCheckable(f"{path!r} is not an import path: write it as package.module:name")
    try:
        module = importlib.import_module(module_name)
    except ModuleNotFoundError as error:
        missing = (error.name or "").partition(".")[0]
        if missing in PACKAGES[framework]:
            raise MissingFramework(
                f"the {framework} side needs {missing}, which is not installed: install the extra with pip, "
                f"as in pip install '.[{framework}]'"
            ) from error
        raise NotCheckable(f"{path}: no module named {error.name!r}") from error
    try:
        return getattr(module, name)
    except AttributeError as error:
        raise NotCheckable(f"{path}: {module_name} has no {name!r}") from error


def load_pair(file: Path) -> Pair:
    """The `pair` that a Python file defines.

    Raises:
        NotCheckable: the file is missing, does not run, or defines no `pair = Pair(...)`.
    """
    if not file.is_file():
        raise NotCheckable(f"{file}: no such pair file; it is a Python file that defines pair = Pair(...)")
    spec = importlib.util.spec_from_file_location(f"parity_pair_{file.stem}", file)
    if spec is None or spec.loader is None:
        raise NotCheckable(f"{file}: not a Python file; a pair file ends in .py and defines pair = Pair(...)")
    module = importlib.util.module_from_spec(spec)
    try:
        spec.loader.exec_module(module)
    except NotCheckable:
        raise
    except Exception as error:
        raise NotCheckable(f"{file}: does not run: {type(error).__name__}: {error}") from error
    pair = getattr(module, "pair", None)
    if not isinstance(pair, Pair):
        raise NotCheckable(f"{file}: defines no pair; write pair = Pair(name=..., torch=Side(...), jax=Side(...))")
    return pair
