"""The variants of a case in a result: what each is called, and which of them have a time of their own."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def full_name(found: Mapping[str, Any]) -> str:
    """Framework and name, as in the table of variants."""
    return f"{found['framework']} {found['name']}"


def timed_once(entry: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """The variants of a case that have a time, without those that are there once more to show the noise."""
    return [found for found in entry["variants"] if found["step_us"] and not found["twin"]]
