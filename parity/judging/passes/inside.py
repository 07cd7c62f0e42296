"""Layers that a pair declares to compute in float32 in a float64 run, and what is judged by float32's rule for it."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase

import numpy as np

from parity.errors import NotCheckable, listing
from parity.judging.distance.difference import BIT_EXACT
from parity.recording import PLACE, Key, Recording

INTO = ".input"
"""What a pattern ends in that names what is done on the way into a layer, such as a softmax between two."""


@dataclass(frozen=True)
class Inside:
    """What of a float64 run is judged by float32's rule.

    Each step starts from the judge's state and is fed the judge's gradient. So the optimizer's part of a step stays
    within float64's limit, and only what a pass gives is judged otherwise.

    Attributes:
        layers: that are declared, in the order of the pass.
        places: what is recorded in them, but for what goes in.
        tensors: of the forward stage, from the first of these on.
        buffers: which the pass itself changes.
    """

    layers: tuple[str, ...] = ()
    places: frozenset[str] = frozenset()
    tensors: frozenset[str] = frozenset()
    buffers: frozenset[str] = frozenset()

    def holds(self, key: Key) -> bool:
        """Whether a tensor is judged by float32's rule."""
        if not self.layers or key.stage in BIT_EXACT:
            return False
        if key.stage == "forward":
            return key.tensor in self.tensors
        of_a_pass = key.tensor == "loss" or key.is_gradient or key.tensor in self.buffers
        return of_a_pass or not key.after_update

    def coarse(self, float64: Mapping[Key, float], float32: Mapping[Key, float]) -> dict[Key, float]:
        """The coarse distances of the float64 run: what is judged by float32's rule is held against its lower one."""
        tight = {key: distance for key, distance in float64.items() if not self.holds(key)}
        return tight | {key: distance for key, distance in float32.items() if self.holds(key)}

    def remaining(self, limits: Mapping[Key, float]) -> dict[Key, float]:
        """The limits that tell a stage's power: where some are float32's, those alone, for they are the widest."""
        stages = {key.stage for key in limits if self.holds(key)}
        return {key: limit for key, limit in limits.items() if self.holds(key) or key.stage not in stages}

    def by_layer(self, names: Iterable[str]) -> list[tuple[str, list[str]]]:
        """Each declared layer with those of the recorded places that are in it."""
        places = [name for name in names if name in self.places]
        return [(layer, [name for name in places if _within(name, layer)]) for layer in self.layers]

    @property
    def listed(self) -> list[str]:
        """One line that says what was judged so, if anything was."""
        said = (
            f"float64: judged by float32's rule, since the pair declares it: {listing(self.layers)}, and what follows"
        )
        return [said] if self.layers else []


def inside(patterns: Sequence[str], run: Recording, unshown: Collection[str]) -> Inside:
    """What the patterns of a pair's `float32_inside` mean in a run of torch's side, which has names for all layers.

    What is `unshown` the other side does not show.

    Raises:
        NotCheckable: one of them names no layer.
    """
    if not patterns:
        return Inside()
    forwards = [group for (stage, _), group in run.groups.items() if stage == "forward"]
    known = dict.fromkeys(layer for group in forwards for name in group for layer in _modules(name))
    declared = [layer for layer in known if any(_named(layer, pattern) for pattern in patterns)]
    for pattern in patterns:
        if not any(_named(layer, pattern) for layer in known):
            layers = [layer for layer in known if not layer.endswith(INTO)]
            there_are = f"the layers are {listing(layers, 8)}" if layers else "no layers were seen"
            raise NotCheckable(f"float32_inside: no layer is called {pattern!r}: {there_are}")
    places = {name for group in forwards for name in group if any(_within(name, layer) for layer in declared)}
    places |= {*_shown_behind(forwards, places, unshown)}
    buffers = frozenset(_changed(run)) - run.of("backward", 0).keys()
    return Inside(tuple(declared), frozenset(places), frozenset(_following(forwards, places)), buffers)


def _shown_behind(
    forwards: Sequence[Collection[str]], places: Collection[str], unshown: Collection[str]
) -> Iterator[str]:
    """The first shown places behind declared ones that one side does not show, as in a scan: there it arrives."""
    for names in forwards:
        hidden = False
        for name in names:
            if name in unshown:
                hidden = hidden or name in places
            elif hidden:
                yield name
                hidden = False


def _changed(run: Recording) -> Iterator[str]:
    """What is not as it was at the start. A frozen parameter or a table would have no power to show anything."""
    afterwards = [group for (stage, _), group in run.groups.items() if stage in ("update", "trajectory")]
    for name, start in run.of("init", 0).items():
        if any(name in group and not np.array_equal(group[name], start) for group in afterwards):
            yield name


def _following(forwards: Sequence[Collection[str]], places: Collection[str]) -> Iterator[str]:
    """Every name of a pass from the first of the places on."""
    for names in forwards:
        reached = False
        for name in names:
            reached = reached or name in places
            if reached:
                yield name


def _modules(name: str) -> list[str]:
    """The layer that a recorded place belongs to, every module around it first; then what goes in."""
    place = PLACE.match(name)
    if place is None:
        return []
    parts = place["layer"].split(".")
    modules = [".".join(parts[: index + 1]) for index in range(len(parts))]
    return [*modules, f"{place['layer']}{INTO}"] if place["what"] == "input" else modules


def _named(layer: str, pattern: str) -> bool:
    return layer.endswith(INTO) == pattern.endswith(INTO) and fnmatchcase(layer, pattern)


def _within(name: str, layer: str) -> bool:
    """Whether what is recorded at a place rests on what the layer has done. What goes into it does not."""
    place = PLACE.match(name)
    if place is None:
        return False
    into = place["what"] == "input"
    return place["layer"].startswith(f"{layer}.") or f"{place['layer']}{INTO if into else ''}" == layer
