"""Whether a compiled function draws random numbers, by a stream of Flax's or `jax.random`, or repeats a dropout."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any

import jax
from jax.extend.core import ClosedJaxpr, Jaxpr

from parity.errors import NotCheckable
from parity.jax_side.dropout import Mask

PRIMITIVES = frozenset({"random_bits", "rng_bit_generator", "rng_uniform"})
"""What JAX draws with. Keys are made, divided and handed on without them."""
LOOPS = frozenset({"scan", "while"})


def compiled(
    function: Callable[..., Any], drew: Callable[[], None], static: tuple[str, ...] = ()
) -> Callable[..., Any]:
    """`function`, compiled; `drew` is called after every compilation in which it draws.

    Raises:
        NotCheckable: when it is called and has a dropout inside a loop, of which every turn gets the same mask.
    """
    traced = False

    @wraps(function)
    def tracing(*given: Any, **named: Any) -> Any:
        nonlocal traced
        traced = True
        return function(*given, **named)

    fast = jax.jit(tracing, static_argnames=static)

    def call(*given: Any, **named: Any) -> Any:
        nonlocal traced
        found = fast(*given, **named)
        if traced:
            # What was traced for the call is kept, and not traced again.
            program = fast.trace(*given, **named).jaxpr
            if draws(program):
                drew()
            traced = False
            if repeats(program):
                raise NotCheckable(
                    "the jax side calls a dropout inside a loop, such as a scan over layers, where each turn is handed "
                    "the same mask: check with a rate of 0 on both sides, or without the loop"
                )
        return found

    return call


def draws(program: ClosedJaxpr | Jaxpr) -> bool:
    """Whether a traced program draws random numbers, in its loops and branches too."""
    return any(
        equation.primitive.name in PRIMITIVES or any(map(draws, programs_in(equation))) for equation in program.eqns
    )


def repeats(program: ClosedJaxpr | Jaxpr, *, inside: bool = False) -> bool:
    """Whether a traced program has the mask of a dropout in a loop, or `inside` of one."""
    return any(
        ((mask := _mask_of(equation)) is not None and (inside or mask.in_turn))
        or any(repeats(found, inside=inside or equation.primitive.name in LOOPS) for found in programs_in(equation))
        for equation in program.eqns
    )


def _mask_of(equation: Any) -> Mask | None:
    found = getattr(equation.params.get("callback"), "callback_func", None)
    return found if isinstance(found, Mask) else None


def programs_in(equation: Any) -> list[ClosedJaxpr | Jaxpr]:
    """The programs of a loop or of branches."""
    found = jax.tree.leaves(list(equation.params.values()), is_leaf=_is_program)
    return [one for one in found if _is_program(one)]


def _is_program(value: object) -> bool:
    """Whether a parameter of an equation is the program of its loop or branch."""
    return isinstance(value, ClosedJaxpr | Jaxpr)
