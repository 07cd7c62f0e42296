"""Parameters that a pair declares frozen: no step of training may move them."""

from __future__ import annotations

from collections.abc import Sequence
from fnmatch import fnmatchcase

from parity.errors import NotCheckable, listing
from parity.weight_map.outline import Outline


def frozen_of(patterns: Sequence[str], outline: Outline) -> frozenset[str]:
    """The parameters of torch's model that the patterns mean; a tied one by its first name, whichever matches.

    Raises:
        NotCheckable: a pattern means none, or together they mean all.
    """
    names = [module.full(own) for module in outline.modules for own in module.parameters]
    found: set[str] = set()
    for pattern in patterns:
        meant = {outline.tied.get(name, name) for name in names if fnmatchcase(name, pattern)}
        if not meant:
            raise NotCheckable(
                f"frozen: {pattern!r} is no parameter of the torch side's model: it has {listing(names, 3)}; "
                "* stands for any part of a name"
            )
        found |= meant
    if found == {outline.tied.get(name, name) for name in names}:
        raise NotCheckable("frozen: every parameter is, so that nothing would be trained: leave out the stages of that")
    return frozenset(found)
