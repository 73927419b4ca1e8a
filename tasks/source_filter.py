"""Which sources an asker means: filters in, whether a source satisfies each of them out."""

from __future__ import annotations

import dataclasses
import datetime
from collections.abc import Sequence

from tasks.errors import UsageError
from tasks.rows import SourceRow
from tasks.select import matches


@dataclasses.dataclass(frozen=True, slots=True)
class SourceFilter:
    """Which sources the asker means: those that satisfy each of the filters that are given."""

    globs: Sequence[str]
    tags: frozenset[str]
    groups: frozenset[str]
    since: datetime.date | None
    until: datetime.date | None

    @classmethod
    def of(
        cls, globs: Sequence[str], tags: Sequence[str], groups: Sequence[str], since: str | None, until: str | None
    ) -> SourceFilter | None:
        """None where there is nothing to filter by."""
        days = _day("since", since), _day("until", until)
        given = globs or tags or groups or any(days)
        return cls(globs, frozenset(tags), frozenset(groups), *days) if given else None

    def fits(self, row: SourceRow) -> bool:
        return (
            not row.skipped
            and (not self.globs or matches(row.uri, self.globs))
            and (not self.tags or not self.tags.isdisjoint(row.tags))
            and (not self.groups or not self.groups.isdisjoint(row.groups))
            and self._dated(row.date)
        )

    def _dated(self, date: str | None) -> bool:
        if self.since is None and self.until is None:
            return True
        if date is None:
            return False
        day = datetime.date.fromisoformat(date)
        return (self.since or day) <= day <= (self.until or day)


def _day(name: str, value: str | None) -> datetime.date | None:
    try:
        return None if value is None else datetime.date.fromisoformat(value)
    except ValueError:
        raise UsageError(f"{name} is {value!r}, which is not a date", "write a date as 2025-03-31") from None
