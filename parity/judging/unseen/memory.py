"""What a run of one step does not show: what an optimizer makes of what it remembers of the step before."""

from __future__ import annotations

from parity.errors import listing
from parity.recording import Recording


def never_used(judge: Recording, steps: int) -> list[str]:
    """A line where an optimizer was left with a memory, such as a momentum, and took no step that rests on one."""
    if steps > 1 or "trajectory" not in judge.stages:
        return []
    entries = sorted({name.partition(".")[0] for name in judge.state_before(1).optimizer if "." in name})
    if not entries:
        return []
    return [f"what the jax side makes of {listing(entries)} in a later step: two steps or more show it"]
