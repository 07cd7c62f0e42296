"""Whether a traced program has a dropout of which several turns of a loop get one mask."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import jax
from jax.extend.core import ClosedJaxpr, Jaxpr, Literal

from parity.errors import NotCheckable
from parity.jax_side.dropout.mask import Mask

Loops = frozenset[int]
"""Some of the loops around an equation, the outermost is 0."""
NONE: Loops = frozenset()


class _Drawn(NamedTuple):
    """A mask in a program: the loops around it in which its number stays the same, and those in which its key does."""

    number: Loops
    key: Loops


def check_masks(program: ClosedJaxpr) -> None:
    """Nothing, where a dropout has a mask of its own in every turn.

    Raises:
        NotCheckable: the turns of a loop are not counted, or the port hands a dropout one key for all of them; or it is
            not known that one branch alone is run.
    """
    masks: list[_Drawn] = []
    _outputs(program.jaxpr, [NONE] * len(program.jaxpr.invars), NONE, masks)
    if any(mask.number for mask in masks):
        raise NotCheckable(
            "the jax side calls a dropout inside a loop whose turns cannot be counted, such as jax.lax.while_loop, so "
            "that each is handed the same mask: write it as jax.lax.scan, or check with a rate of 0 on both sides"
        )
    if any(mask.key for mask in masks):
        raise NotCheckable(
            "the jax side calls a dropout inside a loop with the same key in every turn, so that each leaves out the "
            "same: split it, as by split_rngs={'dropout': True}, or jax.random.split and a scan over the keys"
        )
    if _in_branches(program.jaxpr, 0):
        raise NotCheckable(
            "the jax side calls a dropout in a branch, and the function that takes the branch was out of sight, so "
            "that each is handed masks of its own: call it where it is used, as jax.lax.cond or jax.lax.switch"
        )


def _in_branches(program: Jaxpr, around: int) -> bool:
    """Whether a mask is in more branches than it knows of."""
    for equation in program.eqns:
        if (mask := _mask_of(equation)) is not None and sum(index < 0 for index in mask.path) < around:
            return True
        inside = around + (equation.primitive.name == "cond")
        if any(_in_branches(_inner(one), inside) for one in programs_in(equation)):
            return True
    return False


def _outputs(program: Jaxpr, inputs: Sequence[Loops], around: Loops, masks: list[_Drawn]) -> list[Loops]:
    """For all that comes out of a program, the loops in whose turns it may be another, told by what goes in."""
    known = dict(zip(program.invars, inputs, strict=True))

    def of(atom: Any) -> Loops:
        return NONE if isinstance(atom, Literal) else known.get(atom, NONE)

    for equation in program.eqns:
        found = _given_by(equation, [of(atom) for atom in equation.invars], around, masks)
        known.update(zip(equation.outvars, found, strict=True))
    return [of(atom) for atom in program.outvars]


def _given_by(equation: Any, inputs: list[Loops], around: Loops, masks: list[_Drawn]) -> list[Loops]:
    """The same of an equation."""
    of_any = NONE.union(*inputs)
    if _mask_of(equation) is not None:
        masks.append(_Drawn(around - inputs[1], around - inputs[2]))
    if loop := _loop_of(equation):
        return _given_by_loop(loop, inputs[loop.before :], around, masks)
    found = [of_any] * len(equation.outvars)
    programs = programs_in(equation)
    for program in programs:
        inner = _inner(program)
        # Which branch is taken stands before what all branches are given.
        given = inputs[len(inputs) - len(inner.invars) :]
        given = given if len(given) == len(inner.invars) else [of_any] * len(inner.invars)
        outputs = _outputs(inner, given, around, masks)
        if len(programs) == 1 and len(outputs) == len(found):
            found = outputs
    return found


class _Loop(NamedTuple):
    """A loop, the body of which is given what stays the same, then what is carried, then what each turn has.

    Attributes:
        body: the program of a turn.
        before: how much of what the loop is given is not for that.
        same: how much stays the same.
        carried: how much is carried.
        turns: how many, where that is known.
    """

    body: Jaxpr
    before: int
    same: int
    carried: int
    turns: int | None


def _loop_of(equation: Any) -> _Loop | None:
    params = equation.params
    if equation.primitive.name == "scan":
        body = params["jaxpr"].jaxpr
        # By shapes, what each turn has being of one axis less there: JAX 0.11 has other parameters for it than 0.10.
        inputs = zip(equation.invars, body.invars, strict=True)
        whole = sum(outer.aval.shape == inner.aval.shape for outer, inner in inputs)
        outputs = zip(equation.outvars, body.outvars, strict=True)
        carried = sum(outer.aval.shape == inner.aval.shape for outer, inner in outputs)
        return _Loop(body, 0, whole - carried, carried, params["length"])
    if equation.primitive.name == "while":
        before, carried = params["cond_nconsts"], len(equation.outvars)
        return _Loop(params["body_jaxpr"].jaxpr, before, params["body_nconsts"], carried, None)
    return None


def _given_by_loop(loop: _Loop, inputs: list[Loops], around: Loops, masks: list[_Drawn]) -> list[Loops]:
    own: Loops = NONE if loop.turns == 1 else frozenset({len(around)})
    carried = slice(loop.same, loop.same + loop.carried)
    given = [*inputs[: carried.stop], *(into | own for into in inputs[carried.stop :])]
    # What is handed on as it came is the same in every turn.
    pairs = zip(loop.body.invars[carried], loop.body.outvars, strict=False)
    changed = [NONE if out is into else own for into, out in pairs]
    while True:
        outputs = _outputs(loop.body, given, around | own, [])
        handed_on = [a | b | c for a, b, c in zip(given[carried], outputs, changed, strict=False)]
        if handed_on == given[carried]:
            break
        given[carried] = handed_on
    return [out - own for out in _outputs(loop.body, given, around | own, masks)]


def _mask_of(equation: Any) -> Mask | None:
    found = getattr(equation.params.get("callback"), "callback_func", None)
    return found if isinstance(found, Mask) else None


def programs_in(equation: Any) -> list[ClosedJaxpr | Jaxpr]:
    """The programs of a loop or of branches."""
    found = jax.tree.leaves(list(equation.params.values()), is_leaf=_is_program)
    return [one for one in found if _is_program(one)]


def _inner(program: ClosedJaxpr | Jaxpr) -> Jaxpr:
    return program.jaxpr if isinstance(program, ClosedJaxpr) else program


def _is_program(value: object) -> bool:
    """Whether a parameter of an equation is the program of its loop or branch."""
    return isinstance(value, ClosedJaxpr | Jaxpr)
