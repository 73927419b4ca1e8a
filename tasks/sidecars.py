"""Tags, dates and access groups that a user keeps beside the documents; they join at publish and enter no stage.

`NAME.meta.json` beside NAME: `{"tags": [...], "groups": [...], "date": "2025-03-31"}`; or one table for a folder and
everything below it, `bindery.meta.csv`, with the columns path, tags, groups, date (lists separated by `;`).
A sidecar that cannot be read keeps its documents out of the index: their access groups are unknown.
"""

from __future__ import annotations

import csv
import dataclasses
import datetime
import difflib
import io
import os
import stat
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import orjson

from tasks.errors import DocumentError

SUFFIX = ".meta.json"
TABLE = "bindery.meta.csv"
_MAX_JSON_BYTES = 1 << 20
_MAX_TABLE_BYTES = 64 << 20
_FIELDS = ("tags", "groups", "date")
_HINT = 'expected {"tags": ["..."], "groups": ["..."], "date": "YYYY-MM-DD"}'


@dataclasses.dataclass(frozen=True, slots=True)
class Metadata:
    """What a sidecar says of a document. `groups` empty means: no restriction stated."""

    tags: tuple[str, ...] = ()
    groups: tuple[str, ...] = ()
    date: str | None = None


NO_METADATA = Metadata()


def is_sidecar(name: str) -> bool:
    return name == TABLE or name.endswith(SUFFIX)


def printable(path: str) -> str:
    """A path as valid Unicode: undecodable bytes of a name as `\\xNN`."""
    return path.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")


@dataclasses.dataclass(frozen=True)
class Sidecars:
    """The sidecars that apply in one folder: its own files, and the tables of this folder and those above."""

    folder: Path
    names: frozenset[str] = frozenset()
    tables: Mapping[str, Metadata] = dataclasses.field(default_factory=dict)
    problem: DocumentError | None = None

    @classmethod
    def of_folder(cls, folder: Path, entries: Sequence[str] = ()) -> Sidecars:
        """The sidecars of a folder listed on its own."""
        names = [name for name in (*entries, TABLE) if os.path.lexists(folder / name)]
        return cls(folder).below(folder, names)

    def below(self, folder: Path, names: Sequence[str]) -> Sidecars:
        """The sidecars of `folder` (with the given entry names), which inherits the tables above it."""
        tables, problem = dict(self.tables), self.problem
        if TABLE in names:
            try:
                tables |= _read_table(folder / TABLE)
            except (OSError, ValueError, csv.Error) as error:
                message = f"{printable(str(folder / TABLE))}: {error}"
                problem = DocumentError("bad_sidecar", message, "columns: path, tags, groups, date")
        return Sidecars(folder, frozenset(names), tables, problem)

    def used(self, name: str) -> bool:
        """Whether a sidecar has the file that it describes."""
        return name == TABLE or name.removesuffix(SUFFIX) in self.names

    def metadata(self, name: str) -> Metadata:
        """What is said of a file of this folder. Raises DocumentError where its sidecar cannot be read."""
        if self.problem is not None:
            raise self.problem
        if name + SUFFIX in self.names:
            return _read_json(self.folder / (name + SUFFIX))
        return self.tables.get(str(self.folder / name), NO_METADATA)


def _read_json(path: Path) -> Metadata:
    try:
        found = orjson.loads(_read(path, _MAX_JSON_BYTES))
        if not isinstance(found, dict):
            raise ValueError("not a JSON object")
        return _metadata(found)
    except (OSError, ValueError) as error:
        raise DocumentError("bad_sidecar", f"sidecar {path.name}: {error}", _HINT) from error


def _read_table(path: Path) -> dict[str, Metadata]:
    text = _read(path, _MAX_TABLE_BYTES).decode("utf-8-sig")
    reader = csv.DictReader(io.StringIO(text, newline=""))
    if "path" not in (reader.fieldnames or ()):
        raise ValueError("no column named path")
    return {str(path.parent / row["path"]): _metadata(_split(row)) for row in reader if row["path"]}


def _read(path: Path, limit: int) -> bytes:
    """The bytes of a regular file; a pipe would never end, so that it is opened without waiting for its writer."""
    with open(path, "rb", opener=lambda name, flags: os.open(name, flags | os.O_NONBLOCK)) as file:
        if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
            raise ValueError("not a regular file")
        data = file.read(limit + 1)
    if len(data) > limit:
        raise ValueError(f"larger than {limit >> 20} MB")
    return data


def _split(row: Mapping[str, str | None]) -> dict[str, Any]:
    lists = {
        key: [item.strip() for item in (row.get(key) or "").split(";") if item.strip()] for key in ("tags", "groups")
    }
    return {**lists, "date": (row.get("date") or "").strip() or None}


def _metadata(found: Mapping[str, Any]) -> Metadata:
    """Raises ValueError naming the field that is not as expected; unknown fields are ignored."""
    for key in ("tags", "groups"):
        value = found.get(key, [])
        if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
            raise ValueError(f"{key} is not a list of strings")
    for key in found:  # other fields are somebody else's, but a misspelt one would lose what it restricts
        if key not in _FIELDS and (near := difflib.get_close_matches(key.lower(), _FIELDS, cutoff=0.75)):
            raise ValueError(f"{key!r} is not a field; {near[0]!r} is")
    date = found.get("date")
    if date is not None:
        datetime.date.fromisoformat(str(date))
    return Metadata(
        tuple(sorted(set(found.get("tags", [])))), tuple(sorted(set(found.get("groups", [])))), date and str(date)
    )
