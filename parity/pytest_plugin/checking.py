"""What the fixture `parity_check` does: it finds a pair and its conditions, checks it, and fails the test or not."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, TypedDict, Unpack

import pytest

from parity.command.pairs import Chosen, chosen_pairs, importable
from parity.command.session import hold_loops
from parity.command.settings import conditions, settings
from parity.errors import NotCheckable
from parity.judging.check import check
from parity.pair.pair import Pair
from parity.pytest_plugin.annotation import PROPERTY
from parity.pytest_plugin.asked import Asked
from parity.pytest_plugin.bundle import bundle
from parity.pytest_plugin.failure import headline, table
from parity.pytest_plugin.unseen import PROPERTY as UNSEEN
from parity.recording import Device, Dtype
from parity.verdict import Verdict

MARKED = ("device", "dtypes")
CHECKED = pytest.StashKey[list[Path]]()
"""The pair files that this pytest has checked: the modules beside them must not be taken for another's."""


class Conditions(TypedDict, total=False):
    """What may be said for one check, as `parity.check` takes it."""

    seed: int
    device: Device
    loops: Sequence[str] | None
    dtypes: Sequence[Dtype]


class ParityCheck:
    """The fixture `parity_check` of one test."""

    def __init__(self, item: pytest.Item) -> None:
        self.item = item

    def __call__(self, pair: str | Path | Pair, **overrides: Unpack[Conditions]) -> Verdict:
        """The verdict on a pair, where its two sides agree. Where they do not, the test fails.

        Args:
            pair: a pair file (relative to the folder of pyproject.toml), an import path such as `package.module:pair`,
                the name of a pair that `[tool.parity]` lists, or the pair itself.
            overrides: what goes before the marker `parity`, which goes before `[tool.parity]`.
        """
        named = pair.name if isinstance(pair, Pair) else str(pair)
        try:
            asked = self._asked(pair, overrides)
            with importable(asked.pair_file, asked.chosen.base, self._checked):
                self._checked.extend(filter(None, [asked.pair_file]))
                verdict = check(asked.chosen.pair, **asked.conditions)
        except NotCheckable as error:
            raise self._failure(f"{named}: {error}") from None
        if verdict.outcome != "agree":
            raise self._failure(f"{verdict.pair}: {headline(verdict)}", self._text(asked, verdict))
        self.item.user_properties += [(UNSEEN, line) for line in verdict.unseen]
        return verdict

    def _asked(self, pair: str | Path | Pair, overrides: Conditions) -> Asked:
        rootdir, started_in = self.item.config.rootpath, self.item.config.invocation_params.dir
        configured = settings(rootdir)
        base = configured.file.parent if configured.file else rootdir
        asked: dict[str, Any] = {name: getattr(configured, name) for name in ("seed", "device", "loops")}
        asked |= self._marked() | conditions(overrides, "parity_check:")
        as_object = isinstance(pair, Pair)
        if isinstance(pair, Pair):
            chosen = Chosen(self.item.path, pair, base)
        else:
            (chosen,) = chosen_pairs([str(pair)], base, self._checked)
        asked = {"dtypes": chosen.pair.dtypes} | asked
        if overrides.get("loops"):
            hold_loops(asked["loops"] or (), [chosen.pair], "parity_check: loops")
        return Asked(self.item.nodeid, chosen, as_object, asked, configured, rootdir, started_in)

    def _marked(self) -> dict[str, Any]:
        """What the markers of the test say, each condition as the nearest marker has it."""
        said: dict[str, Any] = {}
        for marker in self.item.iter_markers("parity"):
            if marker.args or set(marker.kwargs) - set(MARKED):
                raise NotCheckable("the marker parity takes device= and dtypes=, as in parity(dtypes=('float64',))")
            said = conditions(marker.kwargs, "the marker parity:") | said
        return said

    @property
    def _checked(self) -> list[Path]:
        return self.item.config.stash.setdefault(CHECKED, [])

    def _text(self, asked: Asked, verdict: Verdict) -> str:
        again = f"run it again: {asked}"
        kept = bundle(asked, verdict, self.item.config.getoption("--parity-bundles"))
        return "\n".join([headline(verdict), "", table(asked.chosen.pair, verdict), again, kept])

    def _failure(self, told: str, text: str = "") -> BaseException:
        """What fails the test with this text, or where there is none with the line that is told elsewhere, too."""
        self.item.user_properties.append((PROPERTY, told))
        return pytest.fail.Exception(text or told, pytrace=False)
