"""Counts of pictures and figures that add up: whatever is found is either kept, or dropped for a reason.

`<what>_found` is always `<what>_kept` and all `<what>_dropped_<reason>` together, so that nothing is lost in silence.
"""

from __future__ import annotations

import collections
from typing import Literal

What = Literal["pictures", "figures"]
Reason = Literal[
    "small", "blank", "background", "decoration", "duplicate", "repeated", "many", "large", "unreadable",
]  # fmt: skip


def keep(counts: collections.Counter[str], what: What) -> None:
    counts[f"{what}_found"] += 1
    counts[f"{what}_kept"] += 1


def drop(counts: collections.Counter[str], what: What, reason: Reason, number: int = 1) -> None:
    if number:
        counts[f"{what}_found"] += number
        counts[f"{what}_dropped_{reason}"] += number


def drop_kept(counts: collections.Counter[str], what: What, reason: Reason) -> None:
    """Of what was kept before, for a reason that only the whole document shows."""
    counts[f"{what}_kept"] -= 1
    counts[f"{what}_dropped_{reason}"] += 1
