"""Whether a compiled function draws random numbers, be it from a stream of Flax's or by `jax.random` itself."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any

import jax
from jax.extend.core import ClosedJaxpr, Jaxpr

PRIMITIVES = frozenset({"random_bits", "rng_bit_generator", "rng_uniform"})
"""What JAX draws with. Keys are made, divided and handed on without them."""


def compiled(
    function: Callable[..., Any], drew: Callable[[], None], static: tuple[str, ...] = ()
) -> Callable[..., Any]:
    """`function`, compiled; `drew` is called after every compilation in which it draws."""
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
            if draws(fast.trace(*given, **named).jaxpr):
                drew()
            traced = False
        return found

    return call


def draws(program: ClosedJaxpr | Jaxpr) -> bool:
    """Whether a traced program draws random numbers, in its loops and branches too."""
    for equation in program.eqns:
        inner = jax.tree.leaves(list(equation.params.values()), is_leaf=is_program)
        if equation.primitive.name in PRIMITIVES or any(draws(found) for found in inner if is_program(found)):
            return True
    return False


def is_program(value: object) -> bool:
    """Whether a parameter of an equation is the program of its loop or branch."""
    return isinstance(value, ClosedJaxpr | Jaxpr)
