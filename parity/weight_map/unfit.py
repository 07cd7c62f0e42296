"""Why two arrays or layers are not paired, while the map is being found."""

from __future__ import annotations

from parity.errors import NotCheckable


class Unfit(Exception):  # noqa: N818 -- named for what it says of the two
    """These two do not belong together, whatever is done to one of them."""


class Undecided(Exception):  # noqa: N818
    """They may belong together in more than one way: what to write, in one line.

    `words`: the ways, each as an override has it; none where it is about more than these two.
    """

    def __init__(self, message: str, words: tuple[str, ...] = ()) -> None:
        super().__init__(message)
        self.words = words


class NotFound(NotCheckable):
    """No map was found; `left`: how many numbers of both models were without a counterpart."""

    def __init__(self, message: str, left: int) -> None:
        super().__init__(message)
        self.left = left
