"""The runs that a check is made of: free-running, in lockstep with the judge, and by a side's own loops."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Collection, Iterable, Iterator

import numpy as np

from parity.arrays.bits import same_bits
from parity.arrays.rounding import cast, rounded_all
from parity.arrays.stirred import stirred
from parity.errors import NotCheckable
from parity.recording import GRADIENT, OBSERVED_STEPS, PLACE, STAGES, WHOLE, Array, Arrays, Batch, Recording, State
from parity.sides.live import LiveSide, Step
from parity.sides.room import require_room

Progress = Callable[[str], None]


SCORED = "scored."
"""What the names of scored batches begin with in the data stage."""


def digest(array: Array) -> Array:
    """SHA-256 of an array's dtype, shape and bytes, as 32 bytes (uint8, shape (32,)).

    Whole numbers count by their values, in however many bits they are held: JAX has 64 only where they are switched on.
    """
    if array.dtype.kind in WHOLE and np.array_equal(wide := array.astype(np.int64), array):
        array = wide
    content = hashlib.sha256(f"{array.dtype.str} {array.shape}".encode())
    content.update(np.ascontiguousarray(array).data)
    return np.frombuffer(content.digest(), np.uint8)


def free_run(
    live: LiveSide, seed: int, steps: int, initial: Arrays | None = None, *,
    stages: Collection[str] = STAGES, data: bool = True, into: Recording | None = None,
) -> Recording:  # fmt: skip
    """A side's own training from the seed's parameters, or from `initial`, through the `stages`.

    The first `OBSERVED_STEPS` steps are recorded with all their layers; where nothing is trained, all steps are.
    `data=False` leaves out the bytes of batches. What there is goes `into` a recording, where one is given, which need
    not hold it.
    """
    recording = Recording(live.provenance()) if into is None else into
    initial = live.initial(seed) if initial is None else initial
    begin(live, recording, initial, stirs="trajectory" not in stages)
    batches = live.batches(seed, steps)

    def recorded_batches() -> Iterator[Batch]:
        for step in range(steps):
            batch = batches[step]
            if data:
                recording.add("data", step, {name: digest(array) for name, array in live.seen(batch).items()})
            yield batch

    if "trajectory" in stages:
        for step, taken in enumerate(live.run(initial, recorded_batches())):
            if step < OBSERVED_STEPS:
                observe(live, recording, step, batches[step], recording.state_before(step).parameters, stages)
            keep(recording, step, taken)
            if step == 0 and into is None:
                require_room(recording, steps)
    else:
        for step, batch in enumerate(recorded_batches()):
            observe(live, recording, step, batch, recording.state_before(step).parameters, stages)
    if "score" in stages:
        add_scores(live, recording, seed, recording.state_before(steps).parameters, data=data)
    return recording


def lockstep(
    live: LiveSide, judge: Recording, seed: int, steps: int, *,
    move: Callable[[Arrays], Arrays] | None = None, data: bool = False, only: Collection[int] | None = None,
    into: Recording | None = None,
) -> Recording:  # fmt: skip
    """Every step from the judge's state: the gradient at its parameters, the update from its gradient and state.

    Goes through the stages that the judge went through, at all steps or those of `only`.
    `move` moves the parameters at which each step is taken. What there is goes `into` a recording, as in `free_run`.
    """
    recording = Recording(live.provenance()) if into is None else into

    def given(arrays: Arrays) -> Arrays:
        return cast(arrays, live.dtype)

    def placed(arrays: Arrays) -> Arrays:
        return given(arrays) if move is None else move(given(arrays))

    trains = "trajectory" in judge.stages
    begin(live, recording, live.initial(seed), stirs=not trains)
    batches = live.batches(seed, steps)
    for step in (step for step in range(steps) if only is None or step in only):
        batch = batches[step]
        if data:
            recording.add("data", step, {name: digest(array) for name, array in live.seen(batch).items()})
        state = judge.state_before(step)
        parameters = placed(state.parameters)
        if step < OBSERVED_STEPS or not trains:
            observe(live, recording, step, batch, parameters, judge.stages)
        if not trains:
            continue
        gradients = live.gradients(parameters, batch)
        after = live.update(State(parameters, given(state.optimizer)), given(gradients_of(judge, step)))
        keep(recording, step, Step(gradients, after._replace(parameters=after.parameters | gradients.buffers)))
    if "score" in judge.stages:
        add_scores(live, recording, seed, placed(judge.state_before(steps).parameters), data=data)
    return recording


def coarse_run(live: LiveSide, judge: Recording, seed: int, steps: int, bits: int, into: Recording) -> None:
    """Record the passes of the observed steps, each at the judge's parameters, in so many mantissa bits.

    Parameters, floating batch entries and every recorded activation are rounded to them.
    """
    observed = min(steps, OBSERVED_STEPS)
    batches = live.batches(seed, observed)
    for step in range(observed):
        parameters, batch = (
            rounded_all(cast(arrays, live.dtype), bits)
            for arrays in (judge.state_before(step).parameters, batches[step])
        )
        observe(live, into, step, batch, parameters, judge.stages, bits)


def begin(live: LiveSide, recording: Recording, initial: Arrays, *, stirs: bool) -> None:
    """Record the initial parameters, and, where nothing trains, as step 1 those that are stirred."""
    recording.add("init", 0, initial)
    if stirs:
        moved = stirred(initial, live.outline.buffers if live.outline else ())
        recording.add("init", 1, cast(moved, live.dtype))


def idle_operations(live: LiveSide, run: Recording, seed: int, steps: int) -> frozenset[str]:
    """Operations that changed nothing in any step of a free run; one more pass a step, as long as there are any."""
    changed: dict[str, bool] = {}
    batches = live.batches(seed, steps)
    for step in range(steps):
        found = live.operations(run.state_before(step).parameters, batches[step])
        changed |= {place: changed.get(place, False) or did for place, did in found.items()}
        if all(changed.values()):
            break
    return frozenset(place for place, did in changed.items() if not did)


def gradients_of(recording: Recording, step: int) -> Arrays:
    """The gradient of every parameter at a step."""
    found = recording.of("trajectory", step)
    return {name: found[f"{GRADIENT}{name}"] for name in recording.of("init", 0) if f"{GRADIENT}{name}" in found}


def observe(
    live: LiveSide, recording: Recording, step: int, batch: Batch, parameters: Arrays, stages: Collection[str],
    bits: int | None = None,
) -> None:  # fmt: skip
    """Record forward, loss and backward of one step with all layers, as far as they are among the `stages`.

    Raises:
        NotCheckable: a parameter has the name of what comes to a layer or a tap.
    """
    if "forward" not in stages:
        return
    if "loss" not in stages:
        recording.add("forward", step, live.forward(parameters, batch, bits))
        return
    seen = live.observe(parameters, batch, bits)
    if alike := sorted(seen.cotangents.keys() & parameters.keys()):
        raise NotCheckable(
            f"{alike[0]} is a parameter, and what comes to a layer or a tap has the same name: call it otherwise"
        )
    recording.add("forward", step, seen.forward)
    recording.add("loss", step, {"loss": seen.gradients.loss})
    if "backward" in stages:
        moved = {name: array for name, array in seen.gradients.parameters.items() if name not in live.frozen}
        recording.add("backward", step, from_the_loss(moved, seen.cotangents, seen.forward))


def from_the_loss(parameters: Arrays, cotangents: Arrays, forward: Iterable[str]) -> Arrays:
    """Both kinds of gradients in the order in which a pass backward comes by them: the layer next to the loss first.

    A layer's parameters come before its input, since they rest on no more than that does, and where the layer was
    called first: only there are their gradients whole. Parameters of a layer that is never called itself belong to the
    one around it, and those of none come last. `forward` has the names of the pass forward in the order of the calls.
    """
    order = {name: index for index, name in enumerate(forward)}
    first: dict[str, int] = {}
    for name, index in order.items():
        if match := PLACE.match(name):
            first.setdefault(match["layer"], index)

    def place(name: str) -> float:
        if name in cotangents:
            return order[name]
        layer = name
        while layer := layer.rpartition(".")[0]:
            if layer in first:
                return first[layer] + 0.5
        return -1

    gradients = parameters | cotangents
    return {name: gradients[name] for name in sorted(gradients, key=place, reverse=True)}


def keep(recording: Recording, step: int, taken: Step) -> None:
    """Record one training step in the trajectory and, for the first steps, as update.

    A gradient of the same bits as that of the pass with all layers is that array: it is not held twice.
    """
    loss, gradients, _ = taken.gradients
    seen = recording.of("backward", step)
    recording.add("trajectory", step, {"loss": loss})
    held = {n: seen[n] if n in seen and same_bits(seen[n], array) else array for n, array in gradients.items()}
    recording.add("trajectory", step, held, prefix=GRADIENT)
    for stage in ("update", "trajectory") if step < OBSERVED_STEPS else ("trajectory",):
        recording.add(stage, step, taken.state.parameters)
        recording.add(stage, step, taken.state.optimizer)


def add_scores(live: LiveSide, recording: Recording, seed: int, parameters: Arrays, *, data: bool) -> None:
    """Record the model's output on every scored batch and, as step 0 of the data, the bytes of these batches."""
    for name, batch in live.scored(seed).items():
        if data:
            held = live.seen(batch)
            recording.add("data", 0, {f"{SCORED}{name}.{entry}": digest(array) for entry, array in held.items()})
        recording.add("score", 0, live.predict(parameters, batch), prefix=f"{name}.")


def loop_run(
    live: LiveSide, loop: str, seed: int, start: int, count: int, state: State | None, into: Recording | None = None
) -> Recording:
    """Losses of every step and the state at the end, as one of the side's own loops gives them back."""
    recording = Recording(live.provenance()) if into is None else into
    losses, end = live.train(loop, seed, state, start, count)
    for index, loss in enumerate(losses):
        recording.add("trajectory", start + index, {"loss": np.asarray(loss)})
    recording.add("trajectory", start + count - 1, end.parameters)
    recording.add("trajectory", start + count - 1, end.optimizer)
    return recording


def engine_step(live: LiveSide, seed: int, start: int, state: State, into: Recording | None = None) -> Recording:
    """What a loop of one step would give back, made of the side's gradient and its optimizer."""
    recording = Recording(live.provenance()) if into is None else into
    passed = live.gradients(state.parameters, live.batches(seed, start + 1)[start])
    after = live.update(state, passed.parameters)
    recording.add("trajectory", start, {"loss": passed.loss} | after.parameters | passed.buffers | after.optimizer)
    return recording
