"""`parity record`: one side of a pair into a file."""

from __future__ import annotations

from pathlib import Path

from rich.text import Text

from parity.command.pairs import importable
from parity.command.session import AGREES, Session, chosen_of
from parity.errors import NotCheckable


def record_into(session: Session, file: Path) -> int:
    """Record the side that the session's request names, into `file`; the exit status.

    Raises:
        NotCheckable: bad usage, a missing framework, or the side's own code raised.
    """
    from parity.golden.check import write_golden

    request = session.request
    (one,) = chosen_of(request)
    pair, side = one.pair, request.side
    assert side is not None
    try:
        with importable(one.pair_file, one.base), session.progress(one) as tell:
            write_golden(
                pair,
                side,
                file,
                seed=session.seed,
                device=session.device,
                loops=session.configured.loops,
                progress=tell,
            )
    except NotCheckable as error:
        raise NotCheckable(f"{pair.name}: {error}") from error.__cause__
    settings = f"{pair.steps} steps, seed {session.seed}, {session.device}, {file.stat().st_size / 1e6:.1f} MB"
    session.out.print(Text(f"{pair.name}: the {side} side is recorded in {file} ({settings})"), soft_wrap=True)
    return AGREES
