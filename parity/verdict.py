"""The outcome of a check: `agree`, `differ` or `inconclusive`, and the figures that it rests on."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Literal, NamedTuple

from parity.recording import OTHER, STAGES, USUAL_DTYPES, Dtype, Framework, Key, Provenance, Recording
from parity.weight_map.weight_map import WeightMap

Outcome = Literal["agree", "differ", "inconclusive"]
EPS: dict[str, float] = {"float64": 2.0**-52, "float32": 2.0**-23, "bfloat16": 2.0**-7}
"""From 1 to the next number of each dtype, twice what rounding may do to it. Source: IEEE 754-2019; bfloat16 has 7 bits
behind the point."""

Cause = Literal[
    "", "missing", "dtype", "NaN", "infinity", "shape", "bytes", "null gradient", "no power", "flip", "own activations"
]
"""What a note is about, for code to go by; empty where none does."""
REMARKS: tuple[Cause, ...] = ("null gradient", "no power")
"""Those that say by which rule a tensor was judged, and not why it differs."""


class Reason(NamedTuple):
    """Why a tensor is not within its limit, or what is special about it: in words for people, and by its cause."""

    note: str = ""
    cause: Cause = ""


def worst(outcomes: Iterable[Outcome]) -> Outcome:
    """`differ` before `inconclusive` before `agree`; nothing at all is inconclusive."""
    found = set(outcomes)
    return "differ" if "differ" in found else "inconclusive" if "inconclusive" in found or not found else "agree"


@dataclass(frozen=True)
class Comparison:
    """One tensor at one step, compared within a limit.

    Attributes:
        key: stage, step and tensor.
        dtype: in which dtype the compared run was made.
        side: the side whose distance from the judge this is; None in float64, where the sides are compared directly.
        loop: the loop that was driven, None for the engine's own steps.
        difference: max abs(a - b) / scale; infinite where the two cannot be compared at all. 0 or more.
        limit: the largest difference that still counts as agreement; 0 where the comparison is bit-exact.
        power: the smallest, over the kinds of wrong answers that apply, of the difference that such an answer would
            show divided by the limit; None for bit-exact comparisons.
        outcome: of this tensor alone.
        note: why it is not within its limit, or what is special about it; empty where there is nothing to say.
        cause: what the note is about.
    """

    key: Key
    dtype: Dtype
    side: Framework | None
    loop: str | None
    difference: float
    limit: float
    power: float | None
    outcome: Outcome
    note: str = ""
    cause: Cause = ""

    @property
    def eps(self) -> float:
        """The difference in units of the last place of its dtype."""
        return self.difference / EPS[self.dtype]


@dataclass(frozen=True)
class StageVerdict:
    """One row of the table: what a stage showed in one pass over all dtypes.

    Attributes:
        stage: its name.
        outcome: of the stage.
        float64: the comparison that came nearest to its limit, or exceeded it most; None if nothing was compared.
        float32: the same for each side.
        power: for each dtype, the smallest over the kinds of wrong answers; None for bit-exact stages.
        kinds: for each dtype and kind of wrong answer, the largest difference / limit over tensors and steps.
        compared: how many tensors were compared, over all dtypes, sides and loops.
        reason: why the stage is not `agree`, one line; empty otherwise.
        bfloat16: as `float32`, where the pair declares it.
    """

    stage: str
    outcome: Outcome
    float64: Comparison | None
    float32: dict[Framework, Comparison]
    power: dict[Dtype, float | None]
    kinds: dict[Dtype, dict[str, float]]
    compared: int
    reason: str = ""
    bfloat16: dict[Framework, Comparison] = field(default_factory=dict)


@dataclass(frozen=True)
class FirstDifference:
    """Where the two sides part first in the order of the flow, and what that looks like."""

    comparison: Comparison
    looks_like: str
    names: dict[Framework, str] = field(default_factory=dict)
    """What the sides are called, where not by their framework."""

    def __str__(self) -> str:
        at = self.comparison
        where = f"{at.key.stage}, step {at.key.step}, tensor {at.key.tensor}, {at.dtype}"
        if at.side:
            where += f", {self.names.get(at.side, at.side)} side"
        if at.loop:
            where += f", loop {at.loop}"
        found = f"difference {at.difference:.2g}, limit {at.limit:.2g}"
        if at.note:
            found = f"{found} ({at.note})" if at.cause in REMARKS else at.note
        return f"{where}: {found}" + (f"; {self.looks_like}" if self.looks_like else "")


@dataclass(frozen=True)
class Start:
    """A place where a difference starts, rather than arrives: it shows where all that comes before is the judge's.

    Attributes:
        key: the tensor that differs there.
        difference: max abs(a - b) / scale, by this place alone.
        where: the layer, or the segment between two of them, in words.
    """

    key: Key
    difference: float
    where: str

    def __str__(self) -> str:
        return f"{self.where} ({self.difference:.2g})"


@dataclass(frozen=True)
class Excerpt:
    """What the runs in which the first difference shows recorded up to there.

    Attributes:
        recordings: by a name that says whose they are, such as `torch float64`.
        left_out: how many tensors did not fit.
        weight_map: between the two models; None where the JAX side builds and reads its own, or was recorded.
    """

    recordings: dict[str, Recording]
    left_out: int
    weight_map: WeightMap | None = None


@dataclass(frozen=True)
class Score:
    """How many examples of a scored batch a side got right after the last step, in each dtype."""

    name: str
    total: int
    right: dict[tuple[Framework, Dtype], int]


@dataclass(frozen=True)
class Curves:
    """Free-running float32 losses, which are chaotic and so are shown, not judged.

    Attributes:
        losses: of each side, one for each step.
        band: the largest relative distance of a side's losses from themselves, up to each step, when its initial
            parameters move by one unit in the last place.
    """

    losses: dict[Framework, list[float]]
    band: dict[Framework, list[float]]


@dataclass(frozen=True)
class Against:
    """That one of the sides was recorded, and not run.

    Attributes:
        file: where it was recorded.
        recorded: its framework, in whose place it stands. Its float64 run is the judge.
        running: the framework of the side that ran, which stands in the place of the other one in either case.
        versions: of the recorded side.
        steps: those that are judged in lockstep.
        left_out: layers' inputs of which the recording has no gradient, since they are the batch.
    """

    file: str
    recorded: Framework
    running: Framework
    versions: dict[str, str]
    steps: tuple[int, ...]
    left_out: tuple[str, ...]

    @property
    def names(self) -> dict[Framework, str]:
        """What the sides are called where both are of one framework, which does not tell them apart; else nothing."""
        return {self.recorded: "recorded", OTHER[self.recorded]: "running"} if self.recorded == self.running else {}


@dataclass(frozen=True)
class Verdict:
    """Everything that `check` found out about a pair. Only `agree` is green.

    Attributes:
        pair: its name.
        outcome: of the whole check.
        stages: one for each stage that the pair declares, in the order of the flow.
        first_difference: None where nothing differs.
        starts: where differences start, in the order of the flow, if the first one shows in the forward stage.
        unseen: what no step of the run tried, a line each, so that the other side may have it wrong and agree.
        listed: what passed under a special rule, one line each: flips, null gradients,
            tensors without power in float32 or bfloat16.
        scores: of each scored batch with labels.
        curves: free-running float32 losses; empty where anything differs.
        comparisons: every tensor compared.
        provenances: of every recording, float64 first.
        loops: the loops that were driven on each side, and why others were not.
        excerpt: of the recordings, up to the first difference; None where nothing differs.
        seed, steps, device, dtypes, seconds: the settings, and how long the check took (seconds).
        against: the recording that stood for one of the sides; None where both ran.
    """

    pair: str
    outcome: Outcome
    stages: list[StageVerdict]
    first_difference: FirstDifference | None
    unseen: list[str]
    listed: list[str]
    scores: list[Score]
    curves: Curves
    comparisons: list[Comparison] = field(repr=False)
    provenances: list[Provenance] = field(repr=False)
    loops: dict[Framework, dict[str, str]]
    excerpt: Excerpt | None = field(repr=False)
    seed: int
    steps: int
    device: str
    dtypes: tuple[Dtype, ...]
    seconds: float
    against: Against | None
    starts: list[Start]

    @property
    def not_asked(self) -> list[str]:
        """What the verdict does not speak of: stages that the pair does not declare, and usual dtypes left out."""
        stages = [stage for stage in STAGES if all(found.stage != stage for found in self.stages)]
        return [*stages, *(dtype for dtype in USUAL_DTYPES if dtype not in self.dtypes)]
