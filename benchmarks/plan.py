"""What a call of the benchmark times: cases, the variants of each, and how many rounds."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from benchmarks.case import NETS, PRECISIONS, PROBLEMS, Case
from benchmarks.noise import is_swept
from benchmarks.variants import BASELINE, QUICK, TWINS, VARIANTS, Variant, by_full_name, named
from parity.errors import NotCheckable

WARM_UPS = 5
"""Runs of a process before the first that counts; the first of them is the one that compiles."""
ROUNDS, QUICK_ROUNDS = 10, 3
SEEDS = {"cpu": (4,), "gpu": (2, 4, 16, 64, 256, 1024)}
WIDTHS, BATCH_SIZES = (25, 50, 200, 400, 800), (10, 30, 100, 300, 3000)
"""The sweeps, around the notebook's own size."""
SWEPT = (
    "torch stepped", "torch compiled", "torch compiled_onednn", "torch whole_run_compiled",
    "jax stepped", "jax whole_run", "jax whole_run_turned",
)  # fmt: skip
SWEEP_STEPS = 20
CROWD = 256
"""Seeds from which on only the fastest kinds of each side are timed: all processes of a case are alive at once, and
with 1024 seeds a batch alone has 3.2 GB."""
FOR_FEWER = ("torch many_seeds", "torch many_seeds_compiled")


@dataclass(frozen=True)
class Request:
    """What a command line asks for. Where a tuple is empty, the usual is meant."""

    quick: bool = False
    device: str = "cpu"
    problems: tuple[str, ...] = ()
    variants: tuple[str, ...] = ()
    precisions: tuple[str, ...] = ()
    seeds: tuple[int, ...] = ()
    rounds: int | None = None
    steps: int | None = None

    def document(self) -> dict[str, Any]:
        """The request as plain JSON values."""
        return {name: list(value) if isinstance(value, tuple) else value for name, value in asdict(self).items()}


@dataclass(frozen=True)
class Entry:
    """A variant to be timed in a process of its own. A twin is the same variant once more."""

    variant: Variant
    twin: bool = False

    @property
    def name(self) -> str:
        """What the entry is called in files."""
        return self.variant.full_name.replace(" ", "-") + ("-twin" if self.twin else "")


@dataclass(frozen=True)
class Group:
    """The entries of one case, timed in the same rounds; and why its other variants are not."""

    case: Case
    entries: tuple[Entry, ...]
    left_out: tuple[tuple[Variant, str], ...]


def rounds_of(request: Request) -> int:
    """How many rounds are asked for."""
    return request.rounds or (QUICK_ROUNDS if request.quick else ROUNDS)


def groups(request: Request) -> list[Group]:
    """All that is asked for.

    Raises:
        NotCheckable: there is no variant, problem or precision of a name, or nothing is left to be timed.
    """
    asked = [variant for name in request.variants for variant in named(name)]
    if not asked:
        asked = [by_full_name(name) for name in QUICK] if request.quick else list(VARIANTS)
    usual = not request.variants
    found = [_group(case, asked, usual) for case in _cases(request)]
    found = [group for group in found if group.entries]
    if not found:
        raise NotCheckable(f"nothing that was asked for runs on this machine: {_nearest(_cases(request), asked)}")
    return found


def _nearest(cases: Sequence[Case], asked: Sequence[Variant]) -> str:
    """Why a variant is not timed, of a problem that it is written for where there is one."""
    both = [(variant, case) for case in cases for variant in asked]
    both.sort(key=lambda one: one[1].problem not in one[0].problems)
    return next((reason for variant, case in both if (reason := variant.why_not(case))), "")


def _group(case: Case, asked: Sequence[Variant], usual: bool) -> Group:
    swept = is_swept(case.document())
    chosen = [variant for variant in asked if not swept or variant.full_name in SWEPT]
    why = {variant: variant.why_not(case) or (usual and _crowded(case, variant)) or "" for variant in chosen}
    entries = [Entry(variant) for variant in chosen if not why[variant]]
    entries += [Entry(entry.variant, twin=True) for entry in entries if entry.variant.full_name in TWINS and not swept]
    left_out = [(variant, why[variant]) for variant in chosen if variant.seeds == (case.seeds > 1) and why[variant]]
    return Group(case, tuple(entries), tuple(left_out))


def _crowded(case: Case, variant: Variant) -> str:
    if case.seeds < CROWD or variant.full_name not in FOR_FEWER:
        return ""
    return f"{variant.name} is timed with fewer than {CROWD} seeds unless it is asked for: memory is for faster ones"


def _cases(request: Request) -> list[Case]:
    problems = request.problems or (("mnist",) if request.quick else PROBLEMS)
    precisions = request.precisions or (PRECISIONS if request.device == "gpu" and not request.quick else ("float32",))
    steps = {} if request.steps is None else {"steps": request.steps}
    cases = [
        Case(problem, precision, request.device, **steps)
        for problem in problems for precision in precisions
        # What has no products is left out of the usual precisions, and refused where another is asked for.
        if precision == "float32" or problem in NETS or (request.problems and request.precisions)
    ]  # fmt: skip
    usual = () if request.quick else SEEDS[request.device]
    several = [seeds for seeds in request.seeds or usual if seeds > 1]
    # Not bfloat16 unless it is asked for: a GPU's full run is long enough.
    in_all_sizes = [precision for precision in precisions if precision != "bfloat16" or request.precisions]
    found = cases if not request.seeds or 1 in request.seeds else []
    found = [*found, *(
        Case(case.problem, case.precision, case.device, seeds=seeds, **steps)
        for case in cases for seeds in several
        if case.precision in in_all_sizes and (case.problem == "mnist" or request.seeds)
    )]  # fmt: skip
    if not (request.quick or request.variants or request.seeds) and "mnist" in problems:
        found += [
            Case("mnist", precision, request.device, width=width, steps=request.steps or SWEEP_STEPS)
            for precision in in_all_sizes for width in WIDTHS
        ] + [
            Case("mnist", precision, request.device, batch_size=size, steps=request.steps or SWEEP_STEPS)
            for precision in in_all_sizes for size in BATCH_SIZES
        ]  # fmt: skip
    return found


def baseline() -> Variant:
    """What every variant is compared with."""
    return by_full_name(BASELINE)
