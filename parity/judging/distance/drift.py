"""A run that is measured against another one as it goes on, so that two need not be held whole."""

from __future__ import annotations

from parity.judging.distance.difference import apart, exact
from parity.recording import Arrays, Key, Recording


class Drift(Recording):
    """A recording that holds how far each tensor is from that of its name in `base`, and not the tensors.

    Of these it holds the initial ones and the newest step of the trajectory, which the next step begins from. A whole
    run of three steps of Adam is 13 times as large as its model, without the layers.
    """

    def __init__(self, base: Recording) -> None:
        super().__init__(base.provenance)
        self._base = base
        self._apart: dict[Key, float] = {}

    @property
    def apart(self) -> dict[Key, float]:
        """How far apart, in absolute values and in the order of the flow; none of what is compared bit by bit."""
        return {key: self._apart[key] for key in sorted(self._apart, key=Key.flow)}

    def add(self, stage: str, step: int, arrays: Arrays, prefix: str = "") -> None:
        """Measure the arrays, and let go of what no step begins from any more."""
        for name, array in arrays.items():
            key = Key(stage, step, prefix + name)
            before = self._base.get(key)
            if before is not None and not exact(key, array):
                self._apart[key] = apart(array, before, key)
        if stage == "trajectory":
            for place in [place for place in self.groups if place[0] == stage and place[1] < step]:
                del self.groups[place]
        if stage in ("init", "trajectory"):
            super().add(stage, step, arrays, prefix)
