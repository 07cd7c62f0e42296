"""One variant in one process: started, warmed up, timed by one clock, described and checked."""

from __future__ import annotations

import dataclasses
import gc
import os
import resource
import sys
import time
import traceback
from collections.abc import Mapping, Sequence
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks import judge, timed
from benchmarks.case import Case, layers_of
from benchmarks.checking import check
from benchmarks.machine import driver_bytes
from benchmarks.noise import is_swept
from benchmarks.prepared import Outcome, Prepared
from benchmarks.probe import MANTISSA_BITS
from benchmarks.variants import Variant
from parity.recording import Arrays, Dtype, State


@dataclasses.dataclass
class Worker:
    """A variant of a case, the run that it has taken last, what the last timed one came to, and what is loaded."""

    case: Case
    variant: Variant
    prepared: Prepared | None = None
    last: Any = None
    outcomes: Sequence[Outcome] = ()
    loaded: tuple[Any, dict[str, float]] | None = None

    @property
    def seeds(self) -> Sequence[int]:
        """The seeds that are trained together."""
        return range(self.case.seed, self.case.seed + self.case.seeds)

    def load(self) -> None:
        """Import the framework and bring the data to the device: what is the same whatever the variant."""
        begun = time.perf_counter()
        import_module(f"benchmarks.{self.variant.framework}_side.variants")
        imported = time.perf_counter()
        with self._computing():
            setup = self._problems.setup(self.case, "float32", seeds=self.seeds)
        self.loaded = setup, {"import_s": imported - begun, "data_s": time.perf_counter() - imported}

    def start(self) -> dict[str, float]:
        """Load, unless that is done, prepare, take the first run. Seconds of each: all is compiled here."""
        if self.loaded is None:
            self.load()
        assert self.loaded is not None
        (setup, seconds), self.loaded = self.loaded, None
        loaded = time.perf_counter()
        with self._computing():
            self.prepared = self._prepare(setup)
        self.run()
        return {**seconds, "first_run_s": time.perf_counter() - loaded}

    def run(self) -> dict[str, Any]:
        """One run, from submission to its end, in seconds; and whether all was done when the clock stopped."""
        prepared, device = self._started(), self.case.device
        with self._computing():
            # A run that hands out what an earlier one has found has taken no step.
            self._machine.spoil(self.last)
            placed = prepared.place()
            self._machine.wait(placed, device)
            gc.collect()
            gc.disable()
            try:
                begun = time.perf_counter()
                self.last = prepared.run(placed)
                self._machine.wait(self.last, device)
                seconds = time.perf_counter() - begun
                settled = self._machine.settled(self.last, device)
            finally:
                gc.enable()
        return {"seconds": seconds, "settled": settled}

    def describe(self) -> dict[str, Any]:
        """What else there is to tell of the run: precision, memory, kernels, accuracy, and what it ran on."""
        prepared, device = self._started(), self.case.device
        with self._computing():
            # Before a profiler lets it run once more: a CUDA graph has its results in the same place every time.
            self.outcomes = outcomes = prepared.read(self.last)
            started = self._kernels(prepared)
            return {
                "fault": self._fault(outcomes),
                "mantissa_bits": self._machine.probe(
                    self.case.batch_size, 784, self.case.width, device, self.case.precision
                ),
                "peak_bytes": self._machine.peak_memory(device),
                "driver_bytes": driver_bytes(os.getpid()),
                "resident_bytes": _peak_resident_bytes(),
                "kernels_per_step": None if started is None else started / self.case.steps,
                "accuracy": self._accuracy(outcomes[0].state.parameters),
                "provenance": self._machine.provenance(device),
            }

    def _started(self) -> Prepared:
        """What `start` has prepared, until `check` drives the variant anew."""
        if self.prepared is None:
            raise RuntimeError(f"{self.variant.full_name} is not started: ask for start before run or describe")
        return self.prepared

    def _kernels(self, prepared: Prepared) -> int | None:
        """How many kernels a run starts, where that can be counted: many containers do not let a profiler do so."""
        placed = prepared.place()
        try:
            found: int | None = self._machine.kernels(lambda: prepared.run(placed), self.case.device)
        except Exception:
            # Whatever the profilers raise: a run is none the worse for it. The log has it.
            traceback.print_exc(file=sys.stderr)
            return None
        return found or None

    def make_judge(self, file: Path) -> None:
        """Write the case's judge to a file."""
        judge.make(self.case).save(file)

    def check(self, file: Path) -> dict[str, Any]:
        """The variant against the judge in a file, driven anew; and the run that was timed last, once described."""
        case, judged = self.case, judge.load(file)
        # What was timed and what is driven now need not fit together.
        self.prepared = self.last = None
        gc.collect()
        found = check(judged, self.variant.framework, case.precision, case.learning_rate, self._drive)
        if self.outcomes and found.outcome == "right":
            why = self._fault(self.outcomes) or timed.fault(judged, case.precision, self.outcomes)
            found = dataclasses.replace(found, outcome="wrong", reason=why) if why else found
        return dataclasses.asdict(found)

    def ceilings(self) -> Mapping[str, Any]:
        """What this framework can make the machine do."""
        with self._computing():
            found: Mapping[str, Any] = import_module(f"benchmarks.{self.variant.framework}_side.ceilings").measure(
                self.case.device, self.case.precision
            )
        return found

    def _fault(self, outcomes: Sequence[Outcome]) -> str:
        """What is wrong with the run that was timed last, as far as a free run in float32 shows it."""
        if len(outcomes) != self.case.seeds:
            return f"{len(outcomes)} runs came back, expected {self.case.seeds}"
        for outcome in outcomes:
            if outcome.losses.shape != (self.case.steps,):
                return f"the timed run has losses of shape {outcome.losses.shape}, expected ({self.case.steps},)"
            if not np.isfinite(outcome.losses).all():
                return "the timed run has a loss that is not finite"
            if int(outcome.state.optimizer.get("step", self.case.steps)) != self.case.steps:
                return f"the timed run took {outcome.state.optimizer['step']} steps, expected {self.case.steps}"
        return ""

    def _accuracy(self, parameters: Arrays) -> dict[str, float] | None:
        if self.case.problem != "mnist":
            return None
        scored = import_module(f"{judge.WINGS[self.variant.framework]}.mnist").scored(self.case.seed)
        return {name: _share_right(parameters, batch["images"], batch["labels"]) for name, batch in scored.items()}

    def _drive(self, dtype: Dtype, start: int, count: int, state: State | None) -> Outcome:
        """A run of the judge's seed. Where seeds go together and begin apart, others stand before and behind it."""
        case, seed = self.case, self.case.seed
        if dtype == "float64":
            case = dataclasses.replace(case, precision="float32")
        seeds = [seed]
        if case.seeds > 1:
            seeds = [seed + 1, seed, seed + 2] if state is None else [seed] * case.seeds
        with self._machine.computing(case.device, dtype, case.setting):
            prepared = self._prepare(
                self._problems.setup(case, dtype, seeds=seeds, start=start, count=count, state=state)
            )
            done = prepared.run(prepared.place())
            self._machine.wait(done, case.device)
            return prepared.read(done)[seeds.index(seed)]

    def _computing(self) -> Any:
        return self._machine.computing(self.case.device, "float32", self.case.setting)

    @property
    def _machine(self) -> Any:
        return import_module(f"benchmarks.{self.variant.framework}_side.machine")

    @property
    def _problems(self) -> Any:
        return import_module(f"benchmarks.{self.variant.framework}_side.problems")

    def _prepare(self, setup: Any) -> Prepared:
        found: Prepared = import_module(f"benchmarks.{self.variant.framework}_side.variants").prepare(
            self.variant.name, setup
        )
        return found


def wrong_precision(case: Case, bits: int) -> str:
    """Why a probe product shows another precision than was asked for; empty where it shows the right one.

    TF32 is allowed to a library, not asked of it. At the notebook's size it has to use it, or the setting is not in
    force; in a sweep, it may find sizes for which float32's own products are faster.
    """
    asked = MANTISSA_BITS[case.precision]
    if bits == asked or (case.precision == "tf32" and bits > asked and is_swept(case.document())):
        return ""
    return f"{case.precision} was asked for on the {case.device}, and products keep {bits} mantissa bits"


def _share_right(parameters: Arrays, images: Any, labels: Any) -> float:
    """The share of images whose largest logit is the label's, computed in float64 by NumPy."""
    layers = layers_of(parameters)
    x = images
    for layer in layers:
        x = x @ parameters[f"{layer}.weight"].T.astype(float) + parameters[f"{layer}.bias"]
        x = np.maximum(x, 0) if layer != layers[-1] else x
    return float(np.mean(x.argmax(1) == labels))


def _peak_resident_bytes() -> int:
    """The most memory that the process ever held. Linux tells it in KiB, macOS in bytes."""
    found = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return found if sys.platform == "darwin" else found * 1024
