"""Where a traced pass in float64 has numbers in fewer bits: computed so, or constants such as a table of angles."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import jax.numpy as jnp
from jax.extend.core import ClosedJaxpr, Literal

from parity.jax_side.dropout.repeated import programs_in


def lowered_before(program: ClosedJaxpr, names: Sequence[str]) -> list[str]:
    """The results of a program, by name and in their order, before each of which something is in fewer bits.

    Each such number counts for the first result that rests on it.
    """
    rests_on: dict[Any, int] = {}
    for index, constant in enumerate(program.jaxpr.constvars):
        rests_on[constant] = _low(constant.aval) << index
    shift = len(program.jaxpr.constvars)
    for index, equation in enumerate(program.jaxpr.eqns):
        own = int(any(map(_low, _avals(equation)))) << (shift + index)
        before = [rests_on.get(variable, 0) for variable in equation.invars if not isinstance(variable, Literal)]
        together = own
        for bits in before:
            together |= bits
        rests_on.update(dict.fromkeys(equation.outvars, together))
    found, counted = [], 0
    for name, variable in zip(names, program.jaxpr.outvars, strict=True):
        bits = 0 if isinstance(variable, Literal) else rests_on.get(variable, 0)
        if bits & ~counted:
            found.append(name)
        counted |= bits
    return found


def _avals(equation: Any) -> Iterator[Any]:
    """What an equation takes and gives, and so do those in its loops and branches."""
    yield from (variable.aval for variable in (*equation.invars, *equation.outvars))
    for program in programs_in(equation):
        for one in program.eqns:
            yield from _avals(one)


def _low(aval: Any) -> bool:
    dtype = getattr(aval, "dtype", None)
    return dtype is not None and jnp.issubdtype(dtype, jnp.floating) and dtype.itemsize < jnp.dtype("float64").itemsize
