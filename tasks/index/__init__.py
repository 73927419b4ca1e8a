"""The index: LanceDB tables under `<lake>/index`, published as releases and read at a release's versions.

In: the rows that the plan wants. Out: a release. Light to import: LanceDB is loaded when a table is opened.
"""

from tasks.index.content import MissingOutputs
from tasks.index.publish import Wanted, publish, unavailable
from tasks.index.read import Candidate, IndexedChunk, Reader, open_reader
from tasks.index.tables import MissingTables

__all__ = [
    "Candidate",
    "IndexedChunk",
    "MissingOutputs",
    "MissingTables",
    "Reader",
    "Wanted",
    "open_reader",
    "publish",
    "unavailable",
]
