"""A benchmark under way: processes are started, warmed up, timed in shuffled rounds, described and checked."""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import os
import shutil
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.business import beside
from benchmarks.caches import environment, remember, user_folder
from benchmarks.case import STEPS
from benchmarks.ceilings import best, least_s, place
from benchmarks.noise import is_swept
from benchmarks.plan import CROWD, WARM_UPS, Entry, Group
from benchmarks.process import Process, VariantFailed
from benchmarks.progress import Teller
from benchmarks.store import Store
from benchmarks.variants import PAIRS

OTHERS = "others"
"""What the share of the cores' time is called in the store that other work took."""
JUDGE_S, RUN_S = 8.0, {"line_fit": 0.05, "mlp": 0.05, "mnist": 0.4}
COLD_S, START_S, AFTER_S = {False: 2.0, True: 12.0}, {False: 2.0, True: 4.0}, {False: 2.0, True: 8.0}
"""About how many seconds each part takes on two cores, for the estimate of the time left. A run has 100 steps of one
seed. Starting, and what comes after the rounds, takes longer where torch.compile is at work: True."""
SEED_S, DRIVES = 0.01, 6
"""And where several seeds go together, of each: to draw and place it, once to start and so many times to be checked."""


def run_name(index: int) -> str:
    """What the run of a round is called in the store."""
    return f"run-{index:03d}"


@dataclasses.dataclass
class Session:
    """What times the groups of a plan, one after the other, and keeps every finding in the store.

    Attributes:
        store: where findings are kept.
        rounds: how many.
        quick: whether processes start side by side, from caches that are there, so that starting is not timed.
        teller: tells of progress.
        number: how many others there were in this store before: rounds of different sessions are no pairs.
        failures: by case and entry, why it could not be timed.
        running: the processes of the group under way, some of which may have ended.
        stopped: whether somebody interrupts, so that none is to go on.
    """

    store: Store
    rounds: int
    quick: bool
    teller: Teller
    number: int = 0
    failures: dict[tuple[str, str], str] = dataclasses.field(default_factory=dict)
    running: list[Process] = dataclasses.field(default_factory=list)
    stopped: bool = False
    _gpu: threading.Lock = dataclasses.field(default_factory=threading.Lock)

    def weight(self, group: Group) -> float:
        """About how many seconds a group takes."""
        runs = len(group.entries) * (WARM_UPS + self.rounds) * _run_s(group)
        cold = sum(_start_s(group, entry, COLD_S) for entry in group.entries) if self._starts_cold(group) else 0.0
        return JUDGE_S + runs + cold + sum(_start_s(group, entry) + _after_s(group, entry) for entry in group.entries)

    def time(self, group: Group) -> None:
        """All of a group that is not finished yet.

        Raises:
            VariantFailed: there is no judge.
        """
        pending = self.pending(group)
        left = self.weight(dataclasses.replace(group, entries=tuple(pending))) if pending else 0.0
        self.teller.skip(self.weight(group) - left)
        if not pending:
            return
        processes: dict[Entry, Process] = {}
        try:
            self._ceilings(group, pending)
            for entry in pending if self._starts_cold(group) else []:
                self._cold(group, entry)
            self._start(group, [entry for entry in pending if self._alive(group, entry)], processes)
            self._warm_up(group, processes)
            self._rounds(group, processes)
            self._after(group, processes)
            self._ceilings_anew(group, pending)
        except BaseException:
            self._kill()
            raise
        finally:
            for process in self.running:
                process.close()
            self.running.clear()

    def pending(self, group: Group) -> list[Entry]:
        """The entries of a group that are not finished yet."""
        parts = ["start", "describe", "check", *map(run_name, range(self.rounds))]
        return [
            entry for entry in group.entries
            if any(self.store.get(group.case.name, entry.name, part) is None for part in parts)
        ]  # fmt: skip

    def _starts_cold(self, group: Group) -> bool:
        """Whether starting is timed: not side by side, and not in a sweep, where nobody is told of it."""
        return not self.quick and not is_swept(group.case.document())

    def _ceilings(self, group: Group, entries: Sequence[Entry], again: bool = False) -> None:
        """What each framework can make the machine do, in a process of its own: it takes memory, and may fail."""
        case = group.case
        for framework in dict.fromkeys(entry.variant.framework for entry in entries):
            before = self.store.get(*place(case, framework))
            if before is not None and not again:
                continue
            self.teller.tell(f"{case.name}: what {framework} can make the machine do")
            entry = next(entry for entry in entries if entry.variant.framework == framework)
            process = self._process(group, entry, f"ceilings-{framework}")
            try:
                self.store.put(best(process.ask("ceilings"), before), *place(case, framework))
            except VariantFailed as failure:
                self.teller.warn(f"{case.name}: what {framework} can make the machine do is not known: {failure}")
            # Not where somebody interrupts: what is at work would be waited for, and `time` ends it.
            process.close()

    def _ceilings_anew(self, group: Group, entries: Sequence[Entry]) -> None:
        """The same once more where a run was faster than that allows: other work may have slowed the measurement."""
        least = least_s(group.case, self.store)
        found = [
            self.store.get(group.case.name, entry.name, run_name(index))
            for entry in entries for index in range(self.rounds)
        ]  # fmt: skip
        if any(run is not None and run["seconds"] < least for run in found):
            self._ceilings(group, entries, again=True)

    def _judge_file(self, group: Group) -> Path:
        """The judge's. It is the same one in every precision, for one seed and for many."""
        case = dataclasses.replace(group.case, precision="float32", device="cpu", seeds=1)
        return self.store.file(case.name, "judge", suffix=".safetensors")

    def _judge(self, group: Group) -> None:
        file = self._judge_file(group)
        if not self.store.has_tensors(file):
            self.teller.tell(f"{group.case.name}: the judge, in float64")
            process = self._process(group, group.entries[0], "judge")
            try:
                process.ask("make_judge", file)
            finally:
                process.close()
        self.teller.done(JUDGE_S)

    def _cold(self, group: Group, entry: Entry) -> None:
        """The first run of a process whose caches of compiled programs are empty; the next one finds them full."""
        if not entry.twin and self.store.get(group.case.name, entry.name, "cold") is None:
            self.teller.tell(f"{group.case.name}: {entry.name}: starting with empty caches")
            shutil.rmtree(self._caches(group, entry), ignore_errors=True)
            self._started(group, entry, "cold").close()
        self.teller.done(_start_s(group, entry, COLD_S))

    def _started(self, group: Group, entry: Entry, part: str) -> Process:
        """A process that has taken its first run, and how long that took, where starting is timed."""
        begun = time.monotonic()
        process = self._process(group, entry, entry.name)

        def start() -> None:
            process.ask("load")
            with self._trying(group):
                found = process.ask("start")
            known = found | {"process_s": time.monotonic() - begun} if self._starts_cold(group) else {}
            self.store.put(known, group.case.name, entry.name, part)

        self._try(group, entry, process, start)
        return process

    def _trying(self, group: Group) -> contextlib.AbstractContextManager[Any]:
        """Inside, a program is compiled; on a GPU one at a time: compilers try kernels out there, and keep the best."""
        return self._gpu if group.case.device == "gpu" else contextlib.nullcontext()

    def _start(self, group: Group, entries: Sequence[Entry], processes: dict[Entry, Process]) -> None:
        def start(entry: Entry) -> None:
            self.teller.tell(f"{group.case.name}: {entry.name}: starting")
            processes[entry] = self._started(group, entry, "start")
            if self.quick and self._alive(group, entry):
                remember(user_folder(), group.case, entry.variant)
            self.teller.done(_start_s(group, entry))

        judge = functools.partial(self._judge, group)
        self._all([judge, *(functools.partial(start, entry) for entry in entries)], side_by_side=self.quick)

    def _warm_up(self, group: Group, processes: dict[Entry, Process]) -> None:
        for entry, process in processes.items():
            if self._alive(group, entry):
                self.teller.tell(f"{group.case.name}: {entry.name}: warming up")
                self._try(group, entry, process, functools.partial(_run_often, process, WARM_UPS - 1))
                self.teller.done(WARM_UPS * _run_s(group))

    def _rounds(self, group: Group, processes: dict[Entry, Process]) -> None:
        """All rounds, and how much of the cores' time other work took meanwhile: the most of all sessions is kept."""
        with beside() as found:
            for index in range(self.rounds):
                self._round(group, processes, index)
        known = [share for share in (found.others, self.store.get(group.case.name, OTHERS)) if share is not None]
        if known:
            self.store.put(max(known), group.case.name, OTHERS)

    def _round(self, group: Group, processes: dict[Entry, Process], index: int) -> None:
        """One run of every entry, in an order drawn for this round, in which pairs stand together."""
        alive = [entry for entry in processes if self._alive(group, entry)]
        for entry in in_order(alive, index):
            if self.store.get(group.case.name, entry.name, run_name(index)) is None:
                self.teller.tell(f"{group.case.name}: round {index + 1} of {self.rounds}")

                def run(entry: Entry = entry) -> None:
                    found = processes[entry].ask("run") | {"session": self.number}
                    self.store.put(found, group.case.name, entry.name, run_name(index))

                self._try(group, entry, processes[entry], run)
            self.teller.done(_run_s(group))

    def _after(self, group: Group, processes: dict[Entry, Process]) -> None:
        """What needs no clock: descriptions and the check, of several processes side by side."""
        case, judge = group.case, self._judge_file(group)

        def after(entry: Entry, process: Process) -> None:
            self.teller.tell(f"{case.name}: {entry.name}: right or not counted")

            def keep() -> None:
                # What an earlier session found wrong stays so: its runs are counted, too.
                for part, asked, wrong in (("describe", (), "fault"), ("check", (judge,), "reason")):
                    found, before = process.ask(part, *asked), self.store.get(case.name, entry.name, part)
                    if before is None or not before[wrong]:
                        self.store.put(found, case.name, entry.name, part)

            self._try(group, entry, process, keep)
            process.close()
            self.teller.done(_after_s(group, entry))

        alive = [functools.partial(after, *item) for item in processes.items() if self._alive(group, item[0])]
        # A crowd of seeds is checked in as many: the next check needs the memory of the one before.
        self._all(alive, side_by_side=case.seeds < CROWD)

    def _all(self, tasks: Sequence[Callable[[], None]], side_by_side: bool) -> None:
        """Do all of the tasks, one a core or one after the other. Whoever interrupts need not wait for them."""
        with ThreadPoolExecutor((os.cpu_count() or 1) if side_by_side else 1) as threads:
            try:
                for done in [threads.submit(task) for task in tasks]:
                    done.result()
            except BaseException:
                threads.shutdown(wait=False, cancel_futures=True)
                self._kill()
                raise

    def _kill(self) -> None:
        """End all processes, and every one that somebody is about to begin."""
        self.stopped = True
        for process in self.running:
            process.kill()

    def _alive(self, group: Group, entry: Entry) -> bool:
        return (group.case.name, entry.name) not in self.failures

    def _try(self, group: Group, entry: Entry, process: Process, task: Callable[[], Any]) -> None:
        """Do it; a variant that fails is left out from then on, its memory with it, and the others go on."""
        try:
            task()
        except VariantFailed as failure:
            self.failures[group.case.name, entry.name] = str(failure)
            process.close()

    def _process(self, group: Group, entry: Entry, log: str) -> Process:
        variables = environment(user_folder() if self.quick else self._caches(group, entry))
        for name, value in entry.variant.environment:
            variables[name] = f"{os.environ.get(name, '')} {value}".strip()
        file = self.store.folder / "logs" / group.case.name / f"{log}.log"
        process = Process(group.case, entry.variant.full_name, variables, file)
        self.running.append(process)
        if self.stopped:
            process.kill()
        return process

    def _caches(self, group: Group, entry: Entry) -> Path:
        # A twin shares its variant's.
        return self.store.folder / "caches" / group.case.name / Entry(entry.variant).name


def _run_s(group: Group) -> float:
    """About how many seconds a run takes."""
    case = group.case
    # A GPU takes many seeds in hardly more than the time of one.
    return RUN_S[case.problem] * (case.seeds if case.device == "cpu" else 1) * case.steps / STEPS


def _start_s(group: Group, entry: Entry, of_one: Mapping[bool, float] = START_S) -> float:
    """About how many seconds a process takes to start."""
    return of_one[entry.variant.compiles] + SEED_S * group.case.seeds


def _after_s(group: Group, entry: Entry) -> float:
    """About how many seconds a process takes to be described and checked."""
    return AFTER_S[entry.variant.compiles] + DRIVES * SEED_S * group.case.seeds


def _run_often(process: Process, times: int) -> None:
    for _ in range(times):
        process.ask("run")


def in_order(entries: Sequence[Entry], index: int) -> list[Entry]:
    """The entries of a round as they are drawn for it: partners and twins beside each other, all else by chance."""
    numbers = np.random.default_rng([index, len(entries)])
    shuffled = [entries[place] for place in numbers.permutation(len(entries))]
    found: list[Entry] = []
    for entry in shuffled:
        if entry not in found:
            near = [other for other in shuffled if other not in found and other != entry and _belong(entry, other)]
            found += [entry, *near]
    return found


def _belong(entry: Entry, other: Entry) -> bool:
    first, second = ((e.variant.framework, e.variant.name) for e in (entry, other))
    return first == second or (first, second) in PAIRS or (second, first) in PAIRS
