"""What a `torch.optim` optimizer is, told without torch: kind, groups, schedule, clipping and state.

`parity.torch_side.described` reads a torch optimizer into an `Optimizer` and writes its state back into one;
`parity.jax_side.optimizer.translated` makes the Optax transformation that takes the same steps, and reads its state
back.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Any, Literal, NamedTuple

from parity.errors import NotCheckable
from parity.recording import Arrays

Options = Mapping[str, Any]
STEP = "step"
"""The entry of a state that counts the steps that were taken."""
PRODUCT = "mu_product"
"""The product of NAdam's momenta so far, a float32 number of each parameter; a state has it in every element of one."""

OPTIONS: dict[str, tuple[str, ...]] = {
    "SGD": ("lr", "momentum", "dampening", "weight_decay", "nesterov", "maximize"),
    "Adam": ("lr", "betas", "eps", "weight_decay", "amsgrad", "maximize", "decoupled_weight_decay"),
    "AdamW": ("lr", "betas", "eps", "weight_decay", "amsgrad", "maximize", "decoupled_weight_decay"),
    "RMSprop": ("lr", "alpha", "eps", "weight_decay", "momentum", "centered", "maximize"),
    "Adagrad": ("lr", "lr_decay", "eps", "weight_decay", "initial_accumulator_value", "maximize"),
    "Adamax": ("lr", "betas", "eps", "weight_decay", "maximize"),
    "NAdam": ("lr", "betas", "eps", "weight_decay", "momentum_decay", "decoupled_weight_decay", "maximize"),
    "RAdam": ("lr", "betas", "eps", "weight_decay", "decoupled_weight_decay", "maximize"),
    "Adadelta": ("lr", "rho", "eps", "weight_decay", "maximize"),
    "Rprop": ("lr", "etas", "step_sizes", "maximize"),
}
"""The optimizers that are translated, with the options that say which steps they take."""

ENTRIES = {
    "Adagrad": ("sum",),
    "Adamax": ("exp_avg", "exp_inf"),
    "NAdam": ("exp_avg", "exp_avg_sq", PRODUCT),
    "RAdam": ("exp_avg", "exp_avg_sq"),
    "Adadelta": ("square_avg", "acc_delta"),
    "Rprop": ("prev", "step_size"),
}
"""What those remember of each parameter whose options do not change that."""

CYCLED = ("initial_lr", "max_lr", "min_lr", "max_momentum", "base_momentum")
"""What OneCycleLR and CyclicLR keep of each group."""

FACTORS = "factors"
"""The option of a group by whose entry for the count of steps a function of Python multiplies the rate."""

ADDED = 1e-6
"""What `clip_grad_norm_` adds to the norm that it divides by, and `optax.clip_by_global_norm` does not."""

STEP_COUNTS = ("step_size", "step_size_up", "step_size_down", "total_iters", "T_max", "total_steps")
"""Options of schedules that count steps."""


class Group(NamedTuple):
    """Parameters of one group, by name, and their options; `lr` is the rate before any schedule."""

    parameters: tuple[str, ...]
    options: Options


class Schedule(NamedTuple):
    """A learning rate that is a function of the number of steps taken so far: a class of `torch.optim.lr_scheduler`."""

    kind: str
    options: Options


class Clip(NamedTuple):
    """What is done to the gradients before a step.

    `norm`: scaled so that their norm of order `order`, all together, is at most `bound`
    (`torch.nn.utils.clip_grad_norm_`). `value`: each number cut to at most `bound` in size (`clip_grad_value_`).
    """

    by: Literal["norm", "value"]
    bound: float
    order: float = 2.0


@dataclass(frozen=True)
class Optimizer:
    """A `torch.optim` optimizer with what stands around it.

    Attributes:
        kind: the name of its class.
        groups: its parameter groups, in order.
        shapes: of every parameter that is trained, by name; one that is in no group does not move.
        schedule: of the learning rate; None where it stays.
        clip: of the gradients; None where they stay.
        state: what it remembers, `<entry>.<parameter>` and `step` as `parity.recording.State` has it; {} where fresh.
    """

    kind: str
    groups: tuple[Group, ...]
    shapes: Mapping[str, tuple[int, ...]]
    schedule: Schedule | None = None
    clip: Clip | None = None
    state: Arrays = field(default_factory=dict)

    @property
    def group_of(self) -> dict[str, int]:
        """The number of the group of each parameter that is in one."""
        return {name: number for number, group in enumerate(self.groups) for name in group.parameters}

    @property
    def entries(self) -> tuple[str, ...]:
        """What is remembered of any parameter."""
        return tuple(dict.fromkeys(entry for group in self.groups for entry in entries(self.kind, group.options)))

    def document(self) -> dict[str, Any]:
        """The optimizer as plain JSON values, without its state: what a fresh one has follows from its options."""
        return asdict(replace(self, state={}))

    @classmethod
    def from_document(cls, document: Mapping[str, Any]) -> Optimizer:
        """The way back.

        Raises:
            KeyError, TypeError, ValueError: anything in the document is not what `document` writes.
        """
        schedule, clip = document["schedule"], document["clip"]
        return cls(
            str(document["kind"]),
            tuple(Group(tuple(names), _tuples(options)) for names, options in document["groups"]),
            _tuples(document["shapes"]),
            None if schedule is None else _schedule(schedule),
            None if clip is None else Clip(*clip),
        )

    def remembered(self, arrays: Arrays) -> Arrays:
        """Of arrays called `<entry>.<parameter>` those that torch has, too."""
        wanted = {
            f"{entry}.{name}" for group in self.groups for entry in entries(self.kind, group.options)
            for name in group.parameters
        }  # fmt: skip
        return {name: array for name, array in arrays.items() if name in wanted}

    @property
    def counts(self) -> bool:
        """Whether torch counts its steps."""
        return self.kind != "SGD" or self.schedule is not None

    @property
    def starts_apart(self) -> bool:
        """Whether it does not count, and has to know all the same whether a step is its first."""
        return not self.counts and any(starts_apart(group.options) for group in self.groups)


def _tuples(value: Any) -> Any:
    """A value of a JSON document, with tuples for its lists."""
    if isinstance(value, Mapping):
        return {name: _tuples(entry) for name, entry in value.items()}
    return tuple(_tuples(entry) for entry in value) if isinstance(value, list | tuple) else value


def _schedule(document: Any) -> Schedule:
    """A schedule of a document, in which a sequence or a chain has others."""
    kind, options = document
    inner = {"schedules": tuple(_schedule(one) for one in options["schedules"])} if "schedules" in options else {}
    return Schedule(kind, _tuples(options) | inner)


def starts_apart(options: Options) -> bool:
    """Whether the first step of SGD is of another form: the gradient itself begins the buffer, without dampening."""
    return bool(options["momentum"] and options["dampening"])


def entries(kind: str, options: Options) -> tuple[str, ...]:
    """What an optimizer with these options remembers of each parameter, under torch's names."""
    if kind == "SGD":
        return ("momentum_buffer",) if options["momentum"] else ()
    if kind in ("Adam", "AdamW"):
        return ("exp_avg", "exp_avg_sq", *(("max_exp_avg_sq",) if options["amsgrad"] else ()))
    if kind == "RMSprop":
        buffer = ("momentum_buffer",) if options["momentum"] > 0 else ()
        return ("square_avg", *buffer, *(("grad_avg",) if options["centered"] else ()))
    return ENTRIES[kind]


def fresh(entry: str, options: Options) -> float:
    """What an entry holds before the first step."""
    if entry == "step_size":
        return float(options["lr"])
    if entry == PRODUCT:
        return 1.0
    return float(options["initial_accumulator_value"]) if entry == "sum" else 0.0


def checked_state(optimizer: Optimizer) -> None:
    """Nothing, where all parameters stand at one step.

    Raises:
        NotCheckable: one has taken fewer steps than another: Optax has one count for all.
    """
    apart = sorted(name.removeprefix("step.") for name in optimizer.state if name.startswith("step."))
    if optimizer.state and not apart:
        needed = [(name, entry) for g in optimizer.groups for entry in entries(optimizer.kind, g.options)
                  for name in g.parameters]  # fmt: skip
        apart = [name for name, entry in needed if f"{entry}.{name}" not in optimizer.state]
    if apart:
        raise NotCheckable(
            f"{optimizer.kind}: {apart[0]} has not taken as many steps as other parameters, having had no gradient in "
            "some: a gradient of JAX is never absent, and one count stands for all; give it gradients from the start"
        )


def differing(one: Optimizer, other: Optimizer) -> str:
    """The first option in which two optimizers differ, with both values; empty where they take the same steps."""
    if one.kind != other.kind:
        return f"{one.kind} and {other.kind}"
    if [{*group.parameters} for group in one.groups] != [{*group.parameters} for group in other.groups]:
        return f"{one.kind}: other parameters, or in other groups"
    for number, (group, second) in enumerate(zip(one.groups, other.groups, strict=True)):
        for name, value in group.options.items():
            if value != second.options.get(name):
                where = f" in group {number}" if len(one.groups) > 1 else ""
                if name == FACTORS:
                    return f"{one.kind}: other factors of the rate{where}"
                return f"{one.kind}: {name} {value} and {second.options.get(name)}{where}"
    for name in ("schedule", "clip"):
        if getattr(one, name) != getattr(other, name):
            return f"{one.kind}: {name} {getattr(one, name)} and {getattr(other, name)}"
    return ""
