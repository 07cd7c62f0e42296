"""Counters and flags that an optimizer keeps on one side alone, which are no part of what the other remembers."""

from __future__ import annotations

from collections.abc import Mapping

from parity.judging.unseen.layers import Unshown
from parity.pair.optimizers import STEP
from parity.recording import FRAMEWORKS, GRADIENT, OTHER, WHOLE, Framework, Recording, named_after


def counters(recording: Recording) -> frozenset[str]:
    """Whole numbers and truths, one of a name, that an optimizer remembers: how many steps it has taken, and the like.

    A count of each parameter is none: which of them were moved is what the sides may differ in.
    """
    own, after = recording.of("init", 0), recording.of("trajectory", 0)
    single = (name for name, array in after.items() if array.dtype.kind in f"{WHOLE}b" and array.ndim == 0)
    return frozenset(name for name in single if name not in own and "." not in name)


def shaped_otherwise(recording: Recording) -> frozenset[str]:
    """What an optimizer remembers of a parameter in a shape of its own, such as Adafactor's rows and columns.

    No weight map says how that is laid out on the other side.
    """
    own, after = recording.of("init", 0), recording.of("trajectory", 0)
    whose = {name: named_after(name, own) for name in after if name not in own and not name.startswith(GRADIENT)}
    return frozenset(n for n, p in whose.items() if p and after[n].ndim and after[n].shape != own[p].shape)


def without_counters(unshown: Unshown, sides: Mapping[Framework, Recording], *, scheduled: bool) -> Unshown:
    """What is not compared, the counters that only one side keeps added.

    Where torch's rates are `scheduled` the steps are no mere count of torch's: without one of its own the JAX side's
    rates cannot change, and that is a difference also where torch's do not change within the run.
    """
    torch, jax = (counters(sides[framework]) for framework in FRAMEWORKS)
    alone = {"torch": torch - jax - ({STEP} if scheduled else set()), "jax": jax - torch}
    shaped = _shaped_otherwise(sides)
    lines = [
        f"counted on the {framework} side only, and not compared: {', '.join(sorted(names))}"
        for framework, names in alone.items()
        if names
    ]
    lines += [
        f"remembered on the {framework} side only, in other shapes than the parameters', and not compared: "
        f"{', '.join(sorted({name.partition('.')[0] for name in names}))}"
        for framework, names in shaped.items()
        if names
    ]
    apart = unshown.tensors.union(*alone.values(), *shaped.values())
    return unshown._replace(tensors=apart, listed=(*unshown.listed, *lines))


def _shaped_otherwise(sides: Mapping[Framework, Recording]) -> dict[Framework, frozenset[str]]:
    found = {framework: shaped_otherwise(sides[framework]) for framework in FRAMEWORKS}
    return {own: found[own] - sides[OTHER[own]].of("trajectory", 0).keys() for own in FRAMEWORKS}
