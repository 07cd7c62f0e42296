"""A pair: two sides, the batches that both see, and how they are scored.

A side names its parts by import path (`torchnet.mnist:loss`). They are imported only when that side runs,
so a pair loads where one of the frameworks is missing. In a notebook, a part may be the function itself.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from typing import TYPE_CHECKING, Any, Self

from parity.errors import NotCheckable
from parity.pair.dtypes import dtypes_fault
from parity.pair.optimizers import Optimizer
from parity.recording import FRAMEWORKS, STAGES, USUAL_DTYPES, Dtype, Framework
from parity.weight_map.outline import Outline
from parity.weight_map.weight_map import WeightMap

Part = str | Callable[..., Any]
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
class Tie:
    """What a side has from the pair that it is in.

    Attributes:
        training: whether its passes are made in training mode; scores never are.
        streams: whether its batches carry the stream that dropout masks are drawn from.
        torch: the torch side, which draws the initial parameters where nobody names them; None outside a pair.
        outline: of the torch side's model, where that is recorded.
        told: what the pair tells of the weight map between two modules.
        frozen: patterns of the names of parameters that no step may move.
        entries: what the torch side's optimizer remembers, where that is recorded.
        optimizer: what the torch side's optimizer is, where that is recorded.
        dropouts: the shapes of the masks that the torch side draws in each pass, where they are recorded.
        steps: how many the pair trains; None outside a pair.
    """

    training: bool = True
    streams: bool = False
    torch: Side | None = None
    outline: Outline | None = None
    told: Mapping[str, str] | WeightMap = field(default_factory=dict)
    frozen: tuple[str, ...] = ()
    entries: frozenset[str] | None = None
    optimizer: Optimizer | None = None
    dropouts: Mapping[str, Sequence[tuple[int, ...]]] | None = None
    steps: int | None = None


@dataclass(frozen=True, kw_only=True)
class Side:
    """One framework's half, each part an import path or a function.

    A model is either any model of the framework, which the engine builds, fills and reads itself; or, with `arrays`,
    one that the side's own parts build and read. `Arrays` are dicts of NumPy arrays in torch's names and layout.
    The code of the parts may name places inside, to be compared too: `x = parity.tap(x, "attention.scores")`.

    Attributes:
        model: `() -> nn.Module`; in JAX `(rngs) -> nnx.Module`, `() -> linen.Module`, which the other parts get bound
            to its variables, or `() -> pytree of parameters`. With `arrays`: `(Arrays, dtype, device) -> model`.
        loss: `(model, batch) -> scalar`, the batch in the framework's own tensors; None where the pair declares no
            stage from the loss on. In JAX `loss` and `predict` are told by an argument `train`, if they have one,
            whether the pass is one in training mode: Linen modules and plain functions have no mode of their own.
        optimizer: torch: `(parameters) -> torch.optim.Optimizer`, or a list of several that divide them; JAX:
            `() -> optax.GradientTransformation`, or None: the exact translation of torch's, with its schedule and its
            clipping (`parity.to_optax`).
        scheduler: torch: `(optimizer) -> torch.optim.lr_scheduler.LRScheduler`, or several, stepped after every step.
            In JAX a schedule is a part of the transformation, and so is clipping.
        clip: torch: `(parameters) -> None`, done to the gradients before every step; None: nothing.
        update: instead of `optimizer`, an update without memory: `(model, gradients) -> model`.
        predict: `(model, batch) -> output`; None: what the model gives where the loss calls it, which a pytree cannot.
        parameters: `(seed) -> Arrays`, the initial parameters, float64; None: what torch's module draws from the seed.
        batches: `(seed, steps) -> sequence of dicts of NumPy arrays`, one for each step; None: those of the pair.
        scored: `(seed) -> {name: batch}`, what to score on after the last step; None: those of the pair.
        arrays: `(model) -> Arrays`, the way back; in JAX also of gradients and moments, which are built alike.
        train: `(loop, seed=, dtype=, device=, precision=, state=, start=, count=) -> (losses, state)`; None: no loops.
        loops: the names of the loops that `train` knows.
        missing: `(loop, device) -> str`, why a loop cannot run on this machine, empty where it can; None: all can.
        scores: `(seeds, device=) -> {name: accuracy of each seed}`, for `parity --seeds`; None: not offered.
        tie: filled in by the pair.

    Raises:
        NotCheckable: both `optimizer` and `update` are named.
    """

    model: Part
    loss: Part | None = None
    optimizer: Part | None = None
    scheduler: Part | None = None
    clip: Part | None = None
    update: Part | None = None
    predict: Part | None = None
    parameters: Part | None = None
    batches: Part | None = None
    scored: Part | None = None
    arrays: Part | None = None
    train: Part | None = None
    loops: tuple[str, ...] = ()
    missing: Part | None = None
    scores: Part | None = None
    tie: Tie = field(default_factory=Tie)

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


@dataclass(frozen=True, kw_only=True)
class Pair:
    """Two sides to compare.

    Attributes:
        torch: the PyTorch side, or a dict of the parts of one.
        jax: the JAX side, likewise.
        batches: the part of that name for each side that names none of its own.
        scored: likewise; None: what the batches offer as `batches.scored`, if they do.
        parameters: likewise; `checkpoint(FILE)`, for instance.
        name: how the pair is called in reports and on the command line; empty: as its file is.
        steps: how many training steps are compared, at least 1; None: as many as the batches say, or 100.
        labels: the entry of a scored batch with the right class of each example; None where nothing is classified. It
            has the shape of the model's output without the axis of its classes, two or more, which is the last or the
            second.
        scored_on: for each scored batch, what it is, in the words that reports use; its name where nothing is said.
        published: for each scored batch, the accuracy that somebody published, between 0 and 1.
        stages: what is compared, names of `STAGES`; data and init always are, and stand in it also if left out.
            Without the trajectory nothing is trained: each step is a pass over its batch at the initial parameters.
            Without the backward stage the models are in evaluation mode.
        weight_map: what the weight map that is found between two modules is to be told, a line for a torch name; or a
            whole map, which was saved and perhaps corrected, as `WeightMap.load(FILE)` reads it.
        float32_inside: patterns such as `*.norm` for torch's names of layers, or modules around them, that compute in
            float32 whatever the dtype; `*.out.input` for what is done on the way into one. In the float64 run they and
            what rests on them are judged by float32's rule. Without a word, what computes in float32 is red.
        frozen: patterns of torch's names of parameters that no step may move on either side, such as "embed.*". Their
            gradients and what an optimizer remembers of them are not compared. All other parameters must move.
        dtypes: what is compared unless a check is told otherwise: float64, alone or with float32 and bfloat16, which
            are judged against it. In bfloat16 the model is as `model.to(torch.bfloat16)` makes it, and so are batches
            and what an optimizer remembers. Only of sides without loops.

    Raises:
        NotCheckable: no step, a stage that there is not or whose grounds are left out, a side lacks a part for one, or
            dtypes that cannot be compared.
    """

    torch: Side
    jax: Side
    batches: Part | None = None
    scored: Part | None = None
    parameters: Part | None = None
    name: str = ""
    steps: int = None  # type: ignore[assignment]
    labels: str | None = None
    scored_on: Mapping[str, str] = field(default_factory=dict)
    published: Mapping[str, float] = field(default_factory=dict)
    stages: tuple[str, ...] = STAGES
    weight_map: Mapping[str, str] | WeightMap = field(default_factory=dict)
    float32_inside: tuple[str, ...] = ()
    frozen: tuple[str, ...] = ()
    dtypes: tuple[Dtype, ...] = USUAL_DTYPES

    if TYPE_CHECKING:
        # More may be given than is kept: a dict for a side.
        def __init__(
            self, *, torch: Side | Mapping[str, Any], jax: Side | Mapping[str, Any], **others: Any
        ) -> None: ...

    def __new__(cls, **given: Any) -> Self:  # noqa: D102 -- what is made is told by the class
        known = [part.name for part in fields(cls)]
        if unknown := [name for name in given if name not in known]:
            raise NotCheckable(f"pair: there is no {unknown[0]!r}: a pair has {', '.join(known)}")
        return super().__new__(cls)

    def __post_init__(self) -> None:
        told: int | None = self.steps
        steps = getattr(self.batches, "steps", 100) if told is None else told
        if steps < 1:
            raise _unfit(self, f"steps must be at least 1, not {steps}: nothing would be compared")
        if fault := _stages_fault(self.stages) or _patterns_fault(self):
            raise _unfit(self, fault)
        torch, jax = _side("torch", self.torch, self), _side("jax", self.jax, self)
        if torch.parameters is None or jax.parameters is None:
            torch, jax = (replace(side, parameters=torch.parameters or jax.parameters) for side in (torch, jax))
        # What a recording has told stays.
        tie = replace(
            jax.tie,
            training="backward" in self.stages,
            streams=torch.arrays is None or jax.arrays is None,
            torch=replace(torch, tie=Tie(steps=steps)),
            told=self.weight_map,
            frozen=tuple(self.frozen),
            steps=steps,
        )
        # A frozen dataclass: the stages in the order of the flow, each once.
        filled = {
            "steps": steps, "torch": replace(torch, tie=tie), "jax": replace(jax, tie=tie),
            "stages": tuple(stage for stage in STAGES if stage in ALWAYS or stage in self.stages),
        }  # fmt: skip
        for name, value in filled.items():
            object.__setattr__(self, name, value)
        if fault := _lacking(self) or dtypes_fault(self.dtypes, {*self.torch.loops, *self.jax.loops}):
            raise _unfit(self, fault)

    def side(self, framework: Framework) -> Side:
        """The half of `framework`."""
        return self.torch if framework == "torch" else self.jax


def _side(framework: Framework, given: Any, pair: Pair) -> Side:
    """A side with what it takes from the pair."""
    if not isinstance(given, Side):
        known = [part.name for part in fields(Side) if part.name != "tie"]
        if unknown := set(given) - set(known):
            raise _unfit(pair, f"a side has no part {min(unknown)!r}: it has {', '.join(known)}")
        if "model" not in given:
            raise _unfit(pair, f"the {framework} side names no model")
    side: Side = given if isinstance(given, Side) else Side(**given)
    offered = pair.scored or getattr(pair.batches, "scored", None)
    return replace(
        side, batches=side.batches or pair.batches, scored=side.scored or offered,
        parameters=side.parameters or pair.parameters,
    )  # fmt: skip


def _unfit(pair: Pair, fault: str) -> NotCheckable:
    return NotCheckable(f"pair {pair.name}".rstrip() + f": {fault}")


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


def _patterns_fault(pair: Pair) -> str:
    """Which of the pair's tuples of patterns is a single text; empty where none is."""
    for name, what in (("frozen", "names or patterns"), ("float32_inside", "patterns")):
        if isinstance(given := getattr(pair, name), str):
            return f"{name} is {given!r}: expected a tuple of {what}"
    return ""


def _lacking(pair: Pair) -> str:
    """Which part a side lacks for a stage that the pair declares; empty where both have all."""
    for framework in FRAMEWORKS:
        side = pair.side(framework)
        if pair.float32_inside and side.loops:
            return f"float32_inside: the {framework} side's loops would be judged in float64: leave them out"
        needed = {"data": ("batches",), "loss": ("loss",), "score": ("scored",), "update": ("optimizer", "update")}
        if side.arrays is not None:
            needed |= {"init": ("parameters",), "forward": ("predict",)}
        elif "loss" not in pair.stages:
            needed |= {"forward": ("predict",)}
        if framework == "jax" and pair.torch.optimizer is not None:
            # Torch's is translated where the JAX side names none.
            del needed["update"]
        for stage, names in needed.items():
            if stage in pair.stages and all(getattr(side, name) is None for name in names):
                parts = " or ".join(f"`{name}`" for name in names)
                return f"the {framework} side needs {parts} for the stage {stage}, {_instead(stage)}"
    return ""


def _instead(stage: str) -> str:
    if stage == "data":
        return "such as batches=random_batches(images=(8, 3, 32, 32), steps=20) in the pair"
    without = "such as scored=lambda seed: {'held out': a_batch} in the pair, " if stage == "score" else ""
    return "such as parameters=checkpoint(FILE)" if stage in ALWAYS else f"{without}or declare stages without it"
