"""Which optimizers the JAX side may have instead of torch's: one option, or one part of it, otherwise."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from parity.judging.hints.optimizer.clipped import NOTHING_ADDED
from parity.judging.hints.optimizer.ran import Guess
from parity.pair.optimizers import ADDED, CYCLED, FACTORS, OPTIONS, STEP_COUNTS, Clip, Options, Schedule

USUAL: dict[str, tuple[float, ...]] = {
    "betas": (0.0, 0.5, 0.8, 0.9, 0.95, 0.98, 0.99, 0.999, 0.9999),
    "eps": (0.0, 1e-15, 1e-10, 1e-8, 1e-7, 1e-6, 1e-5, 1e-4, 1e-3),
    "weight_decay": (0.0, 1e-4, 1e-3, 1e-2, 0.1),
    "momentum": (0.0, 0.5, 0.9, 0.99),
    "dampening": (0.0, 0.1, 0.9),
    "alpha": (0.9, 0.95, 0.99, 0.999),
    "rho": (0.9, 0.95, 0.99),
    "lr_decay": (0.0, 1e-3, 0.1),
    "initial_accumulator_value": (0.0, 1e-10, 1e-8, 1e-6, 1e-3, 0.1, 1.0),
    "momentum_decay": (0.0, 4e-3, 0.01),
    "etas": (0.5, 1.2),
    "step_sizes": (1e-6, 50.0),
}
"""Values that people give an option, tried before any is solved for."""
IN_WORDS = {"anneal": ("cos", "linear"), "mode": ("triangular", "triangular2")}
"""What a schedule may be told in words; CyclicLR's other mode, `exp_range`, needs a number beside it."""
NEARBY = 10
"""A whole number of a schedule is tried so far to both sides."""
BESIDE: dict[str, dict[str, Any]] = {
    "SGD": {"momentum": 0.0, "dampening": 0.0, "weight_decay": 0.0, "nesterov": False},
    "Adam": {"betas": (0.9, 0.999), "eps": 1e-8, "weight_decay": 0.0, "amsgrad": False,
             "decoupled_weight_decay": False},
    "RMSprop": {"alpha": 0.99, "eps": 1e-8, "weight_decay": 0.0, "momentum": 0.0, "centered": False},
    "Adagrad": {"lr_decay": 0.0, "eps": 1e-10, "weight_decay": 0.0, "initial_accumulator_value": 0.0},
    "Adamax": {"betas": (0.9, 0.999), "eps": 1e-8, "weight_decay": 0.0},
    "NAdam": {"betas": (0.9, 0.999), "eps": 1e-8, "weight_decay": 0.0, "momentum_decay": 4e-3,
              "decoupled_weight_decay": False},
    "RAdam": {"betas": (0.9, 0.999), "eps": 1e-8, "weight_decay": 0.0, "decoupled_weight_decay": False},
    "Adadelta": {"rho": 0.9, "eps": 1e-6, "weight_decay": 0.0},
    "Rprop": {"etas": (0.5, 1.2), "step_sizes": (1e-6, 50.0)},
}  # fmt: skip
"""Torch's defaults of the kinds that one may be taken for."""


@dataclass(frozen=True)
class Otherwise:
    """An optimizer with one unknown, or none.

    Attributes:
        what: whose value it is, as `AdamW: weight_decay`.
        made: the optimizer with a value.
        usual: values from which the right one is looked for; with `solved` false no other ones are.
        was: torch's value.
        solved: whether the value is any number.
        said: all that is to be told of it; empty where both values are.
    """

    what: str
    made: Callable[[Any], Guess]
    usual: tuple[Any, ...]
    was: Any
    solved: bool = True
    said: str = ""

    @property
    def starts(self) -> tuple[Any, ...]:
        """The usual values that are not torch's own, each once."""
        return tuple(dict.fromkeys(value for value in self.usual if value != self.was))


def otherwise(right: Guess, groups: list[int], largest: float, norm: float) -> Iterator[Otherwise]:
    """All optimizers that are torch's but for one thing, the most usual first.

    Args:
        right: torch's.
        groups: whose steps differ.
        largest: of the gradients of the step.
        norm: of them all.
    """
    read = right.optimizer
    options = read.groups[groups[0]].options
    where = f", group {groups[0]}" if len(groups) == 1 and len(read.groups) > 1 else ""
    names = [name for name in dict.fromkeys(("maximize", *OPTIONS[read.kind], *CYCLED)) if name in options]
    for name in names:
        if name == "initial_lr":
            continue
        value = options[name]
        for index in range(len(value)) if isinstance(value, tuple) else (None,):
            was = value if index is None else value[index]
            place = f"{name}[{index}]" if index is not None else name
            made = partial(_with_option, right, groups, name, index)
            starts = (not was,) if isinstance(was, bool) else _starts(name, was)
            yield Otherwise(f"{read.kind}{where}: {place}", made, starts, was, not isinstance(was, bool))
    yield from _clips(right, largest, norm)
    yield from _schedules(right)
    yield from _kinds(right)


def _starts(name: str, was: float) -> tuple[float, ...]:
    return (*USUAL.get(name, ()), *((1.01 * was, 0.99 * was, 2 * was, was / 2, -was) if was else (1e-6, 1e-2)))


def _with_option(right: Guess, groups: list[int], name: str, index: int | None, value: Any) -> Guess:
    def changed(options: Options) -> Options:
        given = value
        if index is not None:
            given = tuple(value if place == index else old for place, old in enumerate(options[name]))
        return {**options, name: given}

    read = right.optimizer
    altered = [g._replace(options=changed(g.options)) if i in groups else g for i, g in enumerate(read.groups)]
    return right._replace(optimizer=replace(read, groups=tuple(altered)))


def _clips(right: Guess, largest: float, norm: float) -> Iterator[Otherwise]:
    clip = right.optimizer.clip

    def clipped(other: Clip | None, added: float = ADDED) -> Guess:
        return Guess(replace(right.optimizer, clip=other), added)

    starts = {"norm": (norm / 2, 0.9 * norm), "value": (largest / 2, 0.9 * largest)}
    if clip is None:
        yield Otherwise("clip_grad_norm_:", lambda bound: clipped(Clip("norm", bound)), starts["norm"], None)
        yield Otherwise("clip_grad_value_:", lambda bound: clipped(Clip("value", bound)), starts["value"], None)
        return
    name = f"clip_grad_{clip.by}_"
    if clip.by == "norm":
        yield Otherwise(
            f"{name}: 1e-6 added to the norm", lambda _: clipped(clip, 0.0),
            (False,), True, solved=False, said=NOTHING_ADDED,
        )  # fmt: skip
    # Before what clips so little that it would look the same.
    yield Otherwise(f"{name}:", lambda _: clipped(None), ("none",), f"at {clip.bound:g}", solved=False)
    if clip.by == "norm":
        orders = (1.0, 2.0, float("inf"), clip.order + 0.01)
        yield Otherwise(
            f"{name}: norm_type", lambda order: clipped(clip._replace(order=order)),
            orders, clip.order,
        )  # fmt: skip
    yield Otherwise(
        f"{name}: bound", lambda bound: clipped(clip._replace(bound=bound)),
        (2 * clip.bound, clip.bound / 2, *starts[clip.by]), clip.bound,
    )  # fmt: skip
    other = Clip("value" if clip.by == "norm" else "norm", clip.bound)
    yield Otherwise("clipping:", lambda _: clipped(other), (f"by {other.by}",), f"by {clip.by}", solved=False)


def _schedules(right: Guess) -> Iterator[Otherwise]:
    schedule = right.optimizer.schedule
    if schedule is None:
        return

    def scheduled(other: Schedule | None) -> Guess:
        return right._replace(optimizer=replace(right.optimizer, schedule=other))

    yield Otherwise(f"{schedule.kind}:", lambda _: scheduled(None), ("none",), "there", solved=False)
    if any(FACTORS in group.options for group in right.optimizer.groups):
        yield Otherwise(f"{schedule.kind}: begun at", partial(_begun_at, right), (1, -1), 0, solved=False)
    yield from _of_schedule(schedule, scheduled, schedule.kind)


def _begun_at(right: Guess, count: int) -> Guess:
    """As many steps further on in its table, or a step behind, where the first factor is taken twice."""
    groups = []
    for group in right.optimizer.groups:
        factors = group.options[FACTORS]
        moved = (*factors[1:], factors[-1]) if count > 0 else (factors[0], *factors[:-1])
        groups.append(group._replace(options={**group.options, FACTORS: moved}))
    return right._replace(optimizer=replace(right.optimizer, groups=tuple(groups)))


def _of_schedule(schedule: Schedule, scheduled: Callable[[Schedule], Guess], called: str) -> Iterator[Otherwise]:
    """A schedule with one option otherwise, or one of those that it is made of."""
    for place, inner in enumerate(schedule.options.get("schedules", ())):
        beside = partial(_with_inner, scheduled, schedule, place)
        yield from _of_schedule(inner, beside, f"{called}: {inner.kind}")
    for name, was in schedule.options.items():
        for index in range(len(was)) if name == "milestones" else (None,):
            value = was if index is None else was[index]
            made = partial(_option_of_schedule, scheduled, schedule, name, index)
            what = f"{called}: {name}" + ("" if index is None else f"[{index}]")
            if isinstance(value, bool):
                yield Otherwise(what, made, (not value,), value, solved=False)
            elif isinstance(value, str):
                yield Otherwise(what, made, IN_WORDS[name], value, solved=False)
            elif isinstance(value, int) or (isinstance(value, float) and name in STEP_COUNTS):
                near = [value + far for step in range(1, NEARBY + 1) for far in (-step, step) if value + far > 0]
                yield Otherwise(what, made, (*near, 2 * value, value // 2 or 1), value, solved=False)
            elif isinstance(value, float):
                yield Otherwise(what, made, _starts("", value), value)


def _with_inner(scheduled: Callable[[Schedule], Guess], schedule: Schedule, place: int, inner: Schedule) -> Guess:
    inners = tuple(inner if index == place else old for index, old in enumerate(schedule.options["schedules"]))
    return scheduled(schedule._replace(options={**schedule.options, "schedules": inners}))


def _option_of_schedule(
    scheduled: Callable[[Schedule], Guess], schedule: Schedule, name: str, index: int | None, value: Any
) -> Guess:
    if index is not None:
        value = tuple(sorted(value if place == index else old for place, old in enumerate(schedule.options[name])))
    return scheduled(schedule._replace(options={**schedule.options, name: value}))


def _kinds(right: Guess) -> Iterator[Otherwise]:
    """Another kind, its options torch's defaults but for those that both have."""
    read = right.optimizer

    def of_kind(kind: str) -> Guess:
        groups = []
        for group in read.groups:
            shared: Options = {name: group.options[name] for name in ("lr", "maximize", "weight_decay", "betas")
                      if name in group.options and name in OPTIONS[kind]}  # fmt: skip
            groups.append(group._replace(options={**BESIDE[kind], **shared}))
        return right._replace(optimizer=replace(read, kind=kind, groups=tuple(groups)))

    kinds = [kind for kind in BESIDE if kind != read.kind and not (read.kind == "AdamW" and kind == "Adam")]
    for kind in kinds if read.schedule is None else ():
        yield Otherwise("optimizer:", of_kind, (kind,), read.kind, solved=False)
