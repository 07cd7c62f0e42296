"""`parity map`: the weight map of a pair, printed and saved."""

from __future__ import annotations

from contextlib import nullcontext
from pathlib import Path

from rich.text import Text

from parity.command.pairs import importable
from parity.command.session import AGREES, Session, chosen_of
from parity.errors import NotCheckable


def map_pair(session: Session, file: Path | None) -> int:
    """Print the weight map of the pair that the session's request names, and save it into `file`; the exit status.

    Raises:
        NotCheckable: bad usage, a missing framework, the map cannot be found, or the JAX side needs none.
    """
    from parity.sides.live import live_side
    from parity.weight_map.file import saving

    (one,) = chosen_of(session.request)
    try:
        with nullcontext() if file is None else saving(file) as write:
            with importable(one.pair_file, one.base), session.progress(one) as tell:
                tell("the weight map")
                weights = live_side(one.pair.jax, "jax", "float32", "cpu").weight_map
            if weights is None:
                raise NotCheckable("the jax side names the part `arrays`, which takes the place of a weight map")
            if write is not None:
                write(weights)
    except NotCheckable as error:
        raise NotCheckable(f"{one.pair.name}: {error}") from error.__cause__
    session.out.print(Text(str(weights)), soft_wrap=True)
    if file is not None:
        saved = f"{one.pair.name}: the weight map is saved in {file} ({len(weights.entries)} entries)"
        session.out.print(Text(saved), soft_wrap=True)
    return AGREES
