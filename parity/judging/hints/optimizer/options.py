"""Which option of the optimizer is otherwise, where updates differ and the JAX side has an optimizer of its own."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING

from parity.errors import NotCheckable
from parity.judging.hints.optimizer.ran import Ran
from parity.judging.hints.optimizer.search import of_optimizer
from parity.pair.optimizers import STEP, Optimizer
from parity.recording import FRAMEWORKS, Framework, Key, Recording
from parity.sides.parts import Parts
from parity.verdict import Comparison

if TYPE_CHECKING:
    from parity.judging.findings import Findings

UNCOUNTED = "torch's scheduler goes by it: without a count of steps the rates of the jax side never change"


def option_in_words(findings: Findings, first: Comparison) -> str:
    """The option with both values, and how well that explains the steps; empty where none does or none is known.

    Only a float64 difference in what an optimizer does is asked for: everything else agrees before it.
    """
    key, sides = first.key, findings.recordings.get("float64", {})
    asked = first.dtype == "float64" and first.loop is None and findings.pair.jax.optimizer is not None
    if not asked or not key.after_update or key.is_gradient or key.tensor == "loss":
        return ""
    if {name: side.provenance.framework for name, side in sides.items()} != {"torch": "torch", "jax": "jax"}:
        return ""
    read = _read(findings)
    if read is not None and (found := _option(findings, read, key)):
        return found
    if key.tensor == STEP and sides["jax"].get(key) is None:
        return UNCOUNTED
    # Where torch's own is not translated, what it remembers has names that say nothing.
    return "" if read is None else _memories(sides, {STEP, *findings.unshown.tensors})


def _option(findings: Findings, read: Optimizer, key: Key) -> str:
    torch, jax = (findings.recordings["float64"][side] for side in FRAMEWORKS)
    begins = jax
    if (run := findings.lockstep.run_of(key)) is not None:
        # The side that is not the judge took each step from the judge's state.
        begins = findings.judge
        jax = findings.judge if findings.judging == "jax" else run
    try:
        from parity.jax_side.optimizer import steps
    except ModuleNotFoundError:
        return ""
    hint = of_optimizer(Ran(read, jax, torch, begins, key.step, steps), findings.pair.steps)
    return "" if hint is None else str(hint)


def _memories(sides: Mapping[Framework, Recording], counters: Collection[str]) -> str:
    """What each optimizer remembers after its first step beside its counters; empty where that is the same.

    The judge is given the counters of the other side.
    """
    torch, jax = (", ".join(sorted(sides[s].state_before(1).entries - set(counters))) or "nothing" for s in FRAMEWORKS)
    return "" if torch == jax else f"another optimizer: it remembers {jax} on the jax side, {torch} on the torch side"


def _read(findings: Findings) -> Optimizer | None:
    """Torch's optimizer over what is not frozen; None where it is not translated."""
    try:
        read = Parts(findings.pair.side("torch"), "torch").torch_optimizer
    except NotCheckable:
        return None
    if read is None:
        return None
    moving = {name: shape for name, shape in read.shapes.items() if name not in findings.frozen}
    groups = (group._replace(parameters=tuple(n for n in group.parameters if n in moving)) for group in read.groups)
    return replace(read, shapes=moving, groups=tuple(groups))
