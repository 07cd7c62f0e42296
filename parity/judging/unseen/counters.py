"""Counters and flags that an optimizer keeps on one side alone, which are no part of what the other remembers."""

from __future__ import annotations

from collections.abc import Mapping

from parity.judging.unseen.layers import Unshown
from parity.optimizers import STEP
from parity.recording import FRAMEWORKS, WHOLE, Framework, Recording


def counters(recording: Recording) -> frozenset[str]:
    """Whole numbers and truths, one of a name, that an optimizer remembers: how many steps it has taken, and the like.

    A count of each parameter is none: which of them were moved is what the sides may differ in.
    """
    own, after = recording.of("init", 0), recording.of("trajectory", 0)
    single = (name for name, array in after.items() if array.dtype.kind in f"{WHOLE}b" and array.ndim == 0)
    return frozenset(name for name in single if name not in own and "." not in name)


def without_counters(unshown: Unshown, sides: Mapping[Framework, Recording], *, scheduled: bool) -> Unshown:
    """What is not compared, the counters that only one side keeps added.

    Where torch's rates are `scheduled` the steps are no mere count of torch's: without one of its own the JAX side's
    rates cannot change, and that is a difference also where torch's do not change within the run.
    """
    torch, jax = (counters(sides[framework]) for framework in FRAMEWORKS)
    alone = {"torch": torch - jax - ({STEP} if scheduled else set()), "jax": jax - torch}
    lines = [
        f"counted on the {framework} side only, and not compared: {', '.join(sorted(names))}"
        for framework, names in alone.items()
        if names
    ]
    return unshown._replace(tensors=unshown.tensors.union(*alone.values()), listed=(*unshown.listed, *lines))
