"""Writing a golden of one side of a pair, and checking a side that runs against one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from parity.errors import NotCheckable
from parity.golden.entries import FREE
from parity.golden.file import Content, packed, unpacked
from parity.golden.heading import Heading
from parity.golden.make import golden_of
from parity.golden.names import renamed
from parity.golden.recorded import Recorded
from parity.judging.check import silent, verdict_on
from parity.judging.findings import Findings
from parity.pair.pair import Pair
from parity.recording import FRAMEWORKS, OTHER, USUAL_LOOPS, Device, Framework
from parity.replacing import replacing
from parity.sides.checked import CheckedSide
from parity.sides.running import Running
from parity.sides.runs import Progress
from parity.verdict import Against, Verdict


def write_golden(
    pair: Pair, framework: Framework, file: Path, *, seed: int = 0, device: Device = "cpu",
    loops: Sequence[str] | None = USUAL_LOOPS, progress: Progress | None = None,
) -> None:  # fmt: skip
    """Record everything that a check of the pair asks of one side, into `file`: whole, or as it was before.

    Raises:
        NotCheckable: a framework, a part or the device is missing, the side's own code raised, the file cannot be
            written, or the pair declares bfloat16.
    """
    _hold_dtypes(pair)
    with replacing(file, f"-o {file}:") as write:
        write(packed(golden_of(pair, framework, seed=seed, device=device, loops=loops, progress=progress or silent)))


def check_against(
    pair: Pair, file: Path, *, side: Framework | None = None, seed: int = 0, device: Device = "cpu",
    loops: Sequence[str] | None = USUAL_LOOPS, progress: Progress | None = None,
) -> Verdict:  # fmt: skip
    """Compare a side that runs with the one that was recorded in `file`, whose float64 run is the judge.

    `side` is the framework of the one that runs: the other than was recorded, unless it is given. Where it is the same,
    such as for another version of it, the verdict has the side that runs in the place of the other framework, and says
    so.

    Raises:
        NotCheckable: the file is truncated, altered, foreign, or a recording of another pair, seed, device or number of
            steps; or as `parity.check` does.
    """
    _hold_dtypes(pair)
    tell = progress or silent
    content = unpacked(file)
    heading = Heading.read(content.heading, file)
    heading.fits(file, pair, seed, device)
    place = OTHER[heading.framework]
    framework = side or place
    # Only a JAX side asks torch for what a recording has as well.
    pair = _told(pair, content, heading) if framework == "jax" else pair
    running = Running(pair, framework, seed, device, tell, heading.kept)
    recorded = Recorded(content, heading, running.float64.batches(seed, pair.steps), file)
    both: dict[Framework, CheckedSide] = {heading.framework: recorded, place: running}
    against = Against(
        str(file),
        heading.framework,
        running.framework,
        recorded.free().provenance.versions,
        heading.kept.steps,
        tuple(heading.kept.given),
    )
    sides = {framework: both[framework] for framework in FRAMEWORKS}
    findings = Findings(pair, seed, device, sides, against, pair.dtypes)
    # Another version of the recorded side is expected to have other code.
    findings.listed += [] if against.names else heading.outdated
    return renamed(verdict_on(findings, loops, tell))


def _hold_dtypes(pair: Pair) -> None:
    if "bfloat16" in pair.dtypes:
        raise NotCheckable(
            f"pair {pair.name} declares bfloat16, of which a recording holds nothing: check both sides together, or "
            "declare dtypes=('float64', 'float32')"
        )


def _told(pair: Pair, content: Content, heading: Heading) -> Pair:
    """The pair, its JAX side told by the recording what only torch could tell.

    That is what the optimizer is and remembers, which masks are drawn, and where torch's is a module the initial
    parameters and the outline.
    """
    free = content.recordings.get(FREE)
    tie = replace(
        pair.jax.tie, entries=None if free is None else free.state_before(1).entries, optimizer=heading.optimizer,
        dropouts=heading.dropouts,
    )  # fmt: skip
    if heading.outline is None:
        return replace(pair, jax=replace(pair.jax, tie=tie))
    drawn = {} if free is None else free.of("init", 0)
    tie = replace(tie, outline=heading.outline)
    return replace(pair, jax=replace(pair.jax, parameters=lambda seed: drawn, tie=tie))
