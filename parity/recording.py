"""What a side did: named NumPy arrays in the order of the flow, with their provenance."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from typing import Any, Literal, NamedTuple

import numpy as np

Array = np.ndarray[Any, np.dtype[Any]]
Arrays = dict[str, Array]
Batch = dict[str, Array]
Framework = Literal["torch", "jax"]
Dtype = Literal["float64", "float32", "bfloat16"]
Device = Literal["cpu", "gpu"]

FRAMEWORKS: tuple[Framework, Framework] = ("torch", "jax")
OTHER: dict[Framework, Framework] = {"torch": "jax", "jax": "torch"}
DTYPES: tuple[Dtype, ...] = ("float64", "float32", "bfloat16")
"""In the order in which they run and are told. NumPy lacks bfloat16: its arrays are float32, which holds each of its
numbers."""
USUAL_DTYPES: tuple[Dtype, Dtype] = ("float64", "float32")
"""What is compared where nobody says otherwise."""
USUAL_LOOPS = ("stepped", "whole_run")
"""Which of the sides' own loops are driven where nobody says otherwise."""

STAGES = ("data", "init", "forward", "loss", "backward", "update", "trajectory", "score")
PLACE = re.compile(r"^(?P<layer>.+?)(?:#\d+)?\.(?P<what>input|output|tap)\d*$")
"""The name of what goes into a call of a layer, comes out of it, or stands at a tap: `fc1.input`, `attn#2.output1`,
`attn.scores.tap`."""
OBSERVED_STEPS = 3
"""Steps, from the first, whose every layer is recorded; the trajectory follows all steps without the layers."""
GRADIENT = "gradient."
"""What the names of gradients begin with in the trajectory."""
WHOLE = "iu"
"""The kinds of NumPy's dtypes that are whole numbers. Truths are none: what they are an index into is another thing."""


class State(NamedTuple):
    """Where a training run stands between two steps, canonical: torch's names, torch's layout.

    `optimizer` holds `step` (a whole number) and one array a parameter and moment, such as `exp_avg.fc1.weight`.
    It is empty where the update has no memory.
    """

    parameters: Arrays
    optimizer: Arrays

    @property
    def entries(self) -> frozenset[str]:
        """What the optimizer remembers, without the parameters that it is of: `step`, `exp_avg`."""
        return frozenset(name.partition(".")[0] for name in self.optimizer)


class Key(NamedTuple):
    """The name of one recorded array: which stage, at which step (from 0), which tensor."""

    stage: str
    step: int
    tensor: str

    @property
    def is_gradient(self) -> bool:
        """Whether it is a gradient: everything of the backward stage, and the trajectory's gradients."""
        return self.stage == "backward" or self.tensor.startswith(GRADIENT)

    @property
    def after_update(self) -> bool:
        """Whether it is of a stage that holds what a step has made: parameters, and what the optimizer remembers."""
        return self.stage in ("update", "trajectory")

    def flow(self) -> tuple[int, int, int]:
        """Place in the order of the flow: data and init, then step after step, then trajectory and score."""
        index = STAGES.index(self.stage)
        part = 0 if index < 2 else 1 if index < 6 else index
        return (part, self.step, index) if part == 1 else (part, index, self.step)

    def __str__(self) -> str:
        return f"{self.stage}, step {self.step}, {self.tensor}"


@dataclass(frozen=True)
class Provenance:
    """Under which conditions a side ran. Two sides are comparable where `conditions` are equal."""

    framework: Framework
    versions: dict[str, str]
    device: Device
    device_name: str
    dtype: Dtype
    precision: str
    x64: bool
    """Whether 64-bit JAX was on; for torch, which has no such switch, whether the run was in float64."""

    def conditions(self) -> dict[str, object]:
        """The entries that must be equal on both sides of a comparison."""
        return {name: getattr(self, name) for name in ("device", "dtype", "precision", "x64")}

    def document(self) -> dict[str, Any]:
        """The provenance as plain JSON values."""
        return asdict(self)


@dataclass
class Recording:
    """Everything that one side did in one run: arrays by stage and step, then by tensor."""

    provenance: Provenance
    groups: dict[tuple[str, int], Arrays] = field(default_factory=dict)

    def add(self, stage: str, step: int, arrays: Arrays, prefix: str = "") -> None:
        """Store `arrays` under `stage` and `step`, each name behind `prefix`."""
        group = self.groups.setdefault((stage, step), {})
        group.update({prefix + name: array for name, array in arrays.items()})

    def of(self, stage: str, step: int) -> Arrays:
        """The arrays of one stage and step, by tensor; none where the run did not come there."""
        return self.groups.get((stage, step), {})

    def get(self, key: Key) -> Array | None:
        """One array, or None where there is none of that name."""
        return self.of(key.stage, key.step).get(key.tensor)

    def flow(self) -> list[Key]:
        """The names of all arrays, in the order of the flow."""
        found = [Key(stage, step, tensor) for (stage, step), group in self.groups.items() for tensor in group]
        return sorted(found, key=Key.flow)

    @property
    def stages(self) -> set[str]:
        """The stages that anything was recorded of."""
        return {stage for stage, _ in self.groups}

    def state_before(self, step: int) -> State:
        """Parameters and optimizer state as they stood before `step`.

        Before step 0 these are the initial parameters and no optimizer state, {}; where nothing was trained, behind
        step 0 with those that were stirred.
        """
        names = self.of("init", 0)
        if step == 0 or "trajectory" not in self.stages:
            return State(names | self.of("init", min(step, 1)), {})
        after = self.of("trajectory", step - 1)
        others = {n: a for n, a in after.items() if n not in names and n != "loss" and not n.startswith(GRADIENT)}
        return State({name: after[name] for name in names}, others)


def named_after(tensor: str, arrays: Iterable[str]) -> str:
    """The array that a tensor is, or whose name stands behind another word: `fc1.weight` for `exp_avg.fc1.weight`.

    Of `weight` and `fc1.weight` that is the longer one; empty where there is none.
    """
    return max((name for name in arrays if f".{tensor}".endswith(f".{name}")), key=len, default="")


def keys_of(*recordings: Recording) -> list[Key]:
    """The names that any of the recordings has, in the order of the flow; within a step in the order of the first."""
    names = dict.fromkeys(key for recording in recordings for key in recording.flow())
    return sorted(names, key=Key.flow)
