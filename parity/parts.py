"""The parts of a side, imported when first used; whatever they raise names the side and the part."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cached_property, wraps
from typing import Any

from parity.errors import NotCheckable
from parity.pair import Side, resolve
from parity.recording import Framework


@contextmanager
def blame(framework: Framework, part: str) -> Iterator[None]:
    """Turn what a side's own code raises into one line that names the side and the part."""
    try:
        yield
    except NotCheckable:
        raise
    except Exception as error:
        message = str(error).strip().splitlines() or [""]
        raise NotCheckable(f"the {framework} side's {part} failed: {type(error).__name__}: {message[0]}") from error


class Parts:
    """The imported parts of one side, each a function that `blame` watches over."""

    def __init__(self, side: Side, framework: Framework) -> None:
        self.side = side
        self.framework = framework

    def _part(self, name: str) -> Callable[..., Any]:
        path = getattr(self.side, name)
        if path is None:
            raise NotCheckable(f"the {self.framework} side names no {name}")
        function = resolve(path, self.framework)
        label = f"{name} ({path})" if isinstance(path, str) else name

        @wraps(function)
        def watched(*arguments: Any, **named: Any) -> Any:
            with blame(self.framework, label):
                return function(*arguments, **named)

        return watched

    parameters = cached_property(lambda self: self._part("parameters"))
    model = cached_property(lambda self: self._part("model"))
    arrays = cached_property(lambda self: self._part("arrays"))
    batches = cached_property(lambda self: self._part("batches"))
    predict = cached_property(lambda self: self._part("predict"))
    loss = cached_property(lambda self: self._part("loss"))
    scored = cached_property(lambda self: self._part("scored"))
    optimizer = cached_property(lambda self: self._part("optimizer"))
    update = cached_property(lambda self: self._part("update"))
    train = cached_property(lambda self: self._part("train"))
    missing = cached_property(lambda self: self._part("missing"))
    scores = cached_property(lambda self: self._part("scores"))
