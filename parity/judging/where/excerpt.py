"""What a verdict keeps of the recordings where something differs: what was recorded up to there, as far as it fits."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING

from parity.recording import Key, Recording, keys_of
from parity.verdict import Comparison, Excerpt

if TYPE_CHECKING:
    from parity.judging.findings import Findings

ROOM = 40_000_000
"""Bytes of arrays, over all recordings: a verdict that outlives its check must not hold a whole training run."""


def kept(findings: Findings, first: Comparison) -> Excerpt:
    """The excerpt of the runs in which the first difference shows: both sides', and what they are judged against."""
    found = {f"{side} {first.dtype}": recording for side, recording in findings.recordings[first.dtype].items()}
    if first.loop in findings.runs:
        found[f"{first.loop} float64"] = findings.runs[first.loop]
    if first.dtype == "float64" and (run := findings.lockstep.run_of(first.key)) is not None:
        found[f"{findings.other} float64 lockstep"] = run
    judge = {f"{findings.judging} float64": findings.judge}
    jax = findings.running.get("jax")
    return replace(excerpt(found | judge, first.key), weight_map=jax.float64.weight_map if jax else None)


def excerpt(recordings: Mapping[str, Recording], first: Key) -> Excerpt:
    """The tensors of the recordings up to the stage and step of the first difference, within `ROOM` bytes.

    Taken first are the tensor that differs, then the initial parameters, then what lies nearest before the difference.
    """
    kept = {name: Recording(recording.provenance) for name, recording in recordings.items()}
    left_out, room = 0, ROOM
    for key in _by_importance(recordings, first):
        arrays = {name: array for name, recording in recordings.items() if (array := recording.get(key)) is not None}
        size = sum(array.nbytes for array in arrays.values())
        if size > room:
            left_out += len(arrays)
            continue
        room -= size
        for name, array in arrays.items():
            kept[name].add(key.stage, key.step, {key.tensor: array})
    return Excerpt(kept, left_out)


def _by_importance(recordings: Mapping[str, Recording], first: Key) -> list[Key]:
    nearest_first = [key for key in keys_of(*recordings.values())[::-1] if key.flow() <= first.flow()]
    return sorted(nearest_first, key=lambda key: (key != first, key.stage != "init"))
