"""Which sources a user's pattern means: `*.xlsx`, `reports/*`, `reports/`, `budget.xlsx` or a whole uri."""

from __future__ import annotations

import fnmatch
import functools
import re
from collections.abc import Iterable


def matches(uri: str, patterns: Iterable[str]) -> bool:
    """Whether a glob fits the uri or the end of it after any "/"; a pattern is also taken as it is written.

    `*` crosses folders, so that `reports/*` means all that is below; a pattern that ends in "/" means the same. What
    fits a container fits its members.
    """
    parts = uri.split("!/")
    uris = ["!/".join(parts[:depth]) for depth in range(len(parts), 0, -1)]
    return any(_matches(each, pattern.removeprefix("./")) for pattern in patterns for each in uris)


def _matches(uri: str, pattern: str) -> bool:
    if not pattern:
        return False
    if uri == pattern or uri.endswith(f"/{pattern}"):
        return True
    return _compiled(pattern).match(uri) is not None


@functools.lru_cache(maxsize=256)
def _compiled(pattern: str) -> re.Pattern[str]:
    glob = fnmatch.translate(f"{pattern}*" if pattern.endswith("/") else pattern)
    return re.compile(rf"(?s:(?:.*/)?)(?:{glob})")
