"""A side that was recorded, asked what a check wants to know of it: `CheckedSide`, from a golden."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from parity.errors import NotCheckable
from parity.golden.entries import (
    CURVE,
    FLIPPED,
    FREE,
    LOCKSTEP,
    LOCKSTEP64,
    ON_CPU,
    coarse_name,
    driven_name,
    loop_step_name,
)
from parity.golden.file import AGAIN, Content, Figures
from parity.golden.heading import Heading
from parity.judging.distance.difference import Scales, scaled
from parity.judging.distance.measured import Measured
from parity.judging.distance.noise import Noise, RecordedNoise
from parity.recording import Batch, Dtype, Key, Recording
from parity.sides.checked import Curve


class Recorded:
    """What a golden holds of its side. Nothing of it can be run again: what is not in the file is an error.

    `batches` are those of the side that runs, for what the golden does not store twice; `file` is named by errors.
    """

    def __init__(self, content: Content, heading: Heading, batches: Sequence[Batch], file: Path) -> None:
        self.loops = tuple(heading.loops)
        self._content, self._heading, self._batches, self._file = content, heading, batches, file

    @property
    def unmatched(self) -> frozenset[str]:
        return frozenset(self._heading.unmatched)

    @property
    def apart(self) -> frozenset[str]:
        return frozenset(self._heading.apart)

    @property
    def remarks(self) -> Sequence[str]:
        return self._heading.remarks

    @property
    def drew(self) -> bool:
        return self._heading.drew

    @property
    def idle(self) -> frozenset[str]:
        return frozenset(self._heading.idle)

    def missing(self, loop: str) -> str:
        return self._heading.loops[loop]

    def free(self) -> Recording:
        return self._heading.kept.with_given(self._recording(FREE), self._batches)

    def sizes(self) -> dict[Key, float]:
        return {key: float(row[0]) for key, row in self._figures(FREE).items()}

    def free_noise(self, scales: Scales, until: int | None) -> Noise:
        return self._noise(FREE, scales)

    def on_cpu(self) -> Recording:
        return self._heading.kept.with_given(self._recording(ON_CPU), self._batches)

    def driven(self, loop: str) -> Recording:
        return self._recording(driven_name(loop))

    def coarse(self, dtype: Dtype, judge: Recording, scales: Scales) -> dict[Key, float]:
        rows = self._content.figures.get(coarse_name(dtype), {})
        return {key: scaled(float(row[0]), scales.of[key]) for key, row in rows.items()}

    def lockstep64_noise(self, base: Recording, judge: Recording, scales: Scales) -> Noise:
        return self._noise(LOCKSTEP64, scales)

    def lockstep(self, judge: Recording) -> Recording:
        return self._measured(LOCKSTEP)

    def lockstep_noise(self, base: Recording, judge: Recording, scales: Scales) -> Noise:
        return self._noise(LOCKSTEP, scales)

    def loop_step(self, loop: str, start: int, judge: Recording) -> Recording:
        return self._measured(loop_step_name(loop, start))

    def loop_step_noise(self, base: Recording, loop: str, start: int, judge: Recording, scales: Scales) -> Noise:
        return self._noise(loop_step_name(loop, start), scales)

    def curve(self) -> Curve:
        rows = self._figures(CURVE).values()
        return Curve([float(loss) for loss, _ in rows], [float(band) for _, band in rows])

    def flipped(self) -> dict[Key, Sequence[float]]:
        return {key: [float(value) for value in row] for key, row in self._content.figures.get(FLIPPED, {}).items()}

    def _recording(self, name: str) -> Recording:
        if name not in self._content.recordings:
            raise NotCheckable(f"{self._file}: expected a recording {name}, found none: {AGAIN}")
        return self._content.recordings[name]

    def _figures(self, name: str) -> Figures:
        if name not in self._content.figures:
            raise NotCheckable(f"{self._file}: expected the figures {name}, found none: {AGAIN}")
        return self._content.figures[name]

    def _measured(self, name: str) -> Measured:
        recording = self._recording(name)
        distances = {key: float(row[0]) for key, row in self._figures(name).items()}
        return Measured(recording.provenance, recording.groups, distances)

    def _noise(self, name: str, scales: Scales) -> Noise:
        rows = self._figures(name)
        draws = range(1, len(next(iter(rows.values()))))
        return RecordedNoise([{key: float(row[draw]) for key, row in rows.items()} for draw in draws], scales)
