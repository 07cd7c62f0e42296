"""Whether a side's steps rest on something that lockstep sets back and that nothing compares, such as a counter.

A free run takes along whatever a side keeps. A run in lockstep begins every step with the judge's state, so that what
only one side keeps is as it was at the start: where noise leaves nothing but lockstep to be judged in, a side that
drifts with every call would pass.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from parity.judging.distance.difference import difference
from parity.judging.distance.factors import FLOAT64_CEILING
from parity.recording import GRADIENT, Key, Recording

if TYPE_CHECKING:
    from parity.judging.findings import Findings


def hidden(findings: Findings) -> str:
    """Why agreement in lockstep proves nothing, one line; empty where it does, or where the free run was judged.

    Asked is the side that is not the judge: what the judge keeps shows in its states, which the other side starts from.
    """
    other = findings.other
    side = findings.running[other]
    if findings.lockstep.run is None or side.drew:
        return ""
    run = findings.recordings["float64"][other]
    for step in _steps(run, findings.pair.steps):
        batch = side.float64.batches(findings.seed, findings.pair.steps)[step]
        found = side.float64.gradients(run.state_before(step).parameters, batch)
        arrays = {"loss": found.loss} | {f"{GRADIENT}{name}": array for name, array in found.parameters.items()}
        for tensor, array in arrays.items():
            key = Key("trajectory", step, tensor)
            seen = run.get(key)
            if seen is not None and not difference(array, seen, findings.scales.of[key]) <= FLOAT64_CEILING:
                return (
                    f"not comparable: from the state before step {step} the {other} side gives another {tensor} than "
                    "in its run: it keeps what no other side has, and noise leaves only lockstep to judge in, which "
                    "sets that back"
                )
    return ""


def _steps(run: Recording, steps: int) -> list[int]:
    """Of those that are recorded with the state before them, the second of all steps and the last."""
    names = run.of("init", 0).keys()
    whole = [step for step in range(1, steps) if all(names <= run.of("trajectory", s).keys() for s in (step - 1, step))]
    return sorted({*whole[:1], *whole[-1:]})
