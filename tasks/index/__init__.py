"""The index: LanceDB tables under `<lake>/index`, published as releases and read at a release's versions.

In: the rows that the plan wants. Out: a release. Light to import: LanceDB is loaded when a table is opened.
"""

from tasks.index.publish import Wanted, publish
from tasks.index.read import Candidate, IndexedChunk, Reader, open_reader

__all__ = ["Candidate", "IndexedChunk", "Reader", "Wanted", "open_reader", "publish"]
