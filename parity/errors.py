"""Why a pair could not be checked: each error is one line that says what to do."""

from __future__ import annotations

from collections.abc import Sequence


class NotCheckable(Exception):  # noqa: N818 -- named for what it says of the pair
    """The check could not be made (exit status 2): bad usage, a missing framework, missing data, a broken pair file."""


REAL_ONLY = "models are compared in real numbers: hold the real and the imaginary part as floating numbers"
"""What to do about a complex parameter or buffer."""


class MissingFramework(NotCheckable):
    """A side's framework is not installed where that side was asked for."""

    @classmethod
    def of(cls, framework: str, package: str | None) -> MissingFramework:
        """The error where a package of that framework is missing."""
        install = f"pip install 'one-network-twice[{framework}]'"
        return cls(f"the {framework} side needs {package}, which is not installed: {install}")


def listing(names: Sequence[str], shown: int = 4) -> str:
    """The first few names, and how many more there are."""
    more = len(names) - shown
    return ", ".join(names[:shown]) + (f" and {more} more" if more > 0 else "")
