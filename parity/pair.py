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
from parity.recording import Framework

Part = str | Callable[..., Any]
PACKAGES = {"torch": ("torch", "torchvision"), "jax": ("jax", "jaxlib", "flax", "optax")}


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
        loss: `(model, batch) -> scalar`.
        scored: `(seed) -> {name: batch}`, what to score on after the last step.
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
    loss: Part
    scored: Part
    optimizer: Part | None = None
    update: Part | None = None
    train: Part | None = None
    loops: tuple[str, ...] = ()
    missing: Part | None = None
    scores: Part | None = None

    def __post_init__(self) -> None:
        if (self.optimizer is None) == (self.update is None):
            raise NotCheckable("a side needs either `optimizer` or `update`, and not both")

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
    """

    name: str
    torch: Side
    jax: Side
    steps: int = 100
    labels: str | None = None
    scored_on: Mapping[str, str] = field(default_factory=dict)
    published: Mapping[str, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.steps < 1:
            raise NotCheckable(
                f"pair {self.name}: steps must be at least 1, not {self.steps}: nothing would be compared"
            )

    def side(self, framework: Framework) -> Side:
        """The half of `framework`."""
        return self.torch if framework == "torch" else self.jax


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
