"""The loss ledger: what a document holds, what of it became elements and chunks, and what was left out and why.

In: what the partition and chunk stages counted. Out: `Losses`, as entries of the documents table, of the run's report
and of `bindery status --document`. Characters are counted without white space and without the bars between cells, as
multisets: what stands twice on a page and once in its elements counts as lost.

| entry | meaning |
|---|---|
| pages, pages_out, pages_blank, pages_ocr | gone through; with elements; without ink; read by OCR |
| pages_pictured | pages that show something of which nothing was recognised: kept as pictures |
| characters_layer, characters_kept | in the PDF's text layer, where it is used; of these in elements |
| characters_elements, characters_chunks | in elements but running headers and footers, and said; of these in chunks |
| tables, images | elements of these kinds |
| pictures_found, pictures_kept, pictures_dropped_REASON | raster pictures of a PDF |
| figures_found, figures_kept, figures_dropped_REASON | drawings of a PDF that may be figures |
| seconds, peak_mb | of partitioning: the sum over its parts, and the largest worker by then; not in the table |
"""

from __future__ import annotations

import collections
import dataclasses
from collections.abc import Iterable, Mapping
from typing import Any, Self

from tasks.rows import Entry
from tasks.stage import Cost, StageRef

LEAST_COVERAGE = 0.98  # below it, the run's report warns
_ELEMENTS = {"Table": "tables", "Image": "images"}
_MEASURED = ("seconds", "peak_mb")
_PREFIXES = ("pages_", "characters_", "pictures_", "figures_")


@dataclasses.dataclass(frozen=True, slots=True)
class Losses:
    """Of one document; an entry that its format has not is not there."""

    entries: Mapping[str, float]

    @classmethod
    def of(cls, partition: StageRef, chunks: StageRef) -> Self:
        found: dict[str, float] = {"pages": partition.info.pages} if partition.info.pages else {}
        for ref in (partition, chunks):
            found |= {name: count for name, count in ref.info.counts.items() if name.startswith(_PREFIXES)}
        found |= {name: partition.info.counts.get(category, 0) for category, name in _ELEMENTS.items()}
        return cls(found).costing(partition.cost)

    @classmethod
    def read(cls, entries: Iterable[Entry]) -> Self:
        return cls({entry.name: entry.value for entry in entries})

    def costing(self, cost: Cost) -> Self:
        """With what partitioning took, where that is known."""
        return type(self)({**self.entries, **dataclasses.asdict(cost)} if cost.peak_mb else self.entries)

    def written(self) -> tuple[Entry, ...]:
        """What is the same whenever and wherever the document is worked on."""
        return tuple(Entry(name, float(value)) for name, value in self.entries.items() if name not in _MEASURED)

    @property
    def coverage(self) -> float:
        """The share of the text that is in chunks, of what was there to be read."""
        return self._share("characters_kept", "characters_layer") * self._share(
            "characters_chunks", "characters_elements"
        )

    @property
    def warning(self) -> str:
        """What is to be said of it in the run's report, empty where nothing is."""
        if self.coverage >= LEAST_COVERAGE:
            return ""
        return f"only {self.coverage:.1%} of its text is in chunks; see: bindery status --document"

    def to_json(self) -> dict[str, Any]:
        entries = {name: value if name == "seconds" else int(value) for name, value in self.entries.items()}
        return {**entries, "coverage": round(self.coverage, 4)}

    def _share(self, kept: str, found: str) -> float:
        return self.entries.get(kept, 0.0) / self.entries[found] if self.entries.get(found) else 1.0


def characters(texts: Iterable[str]) -> collections.Counter[str]:
    """How often each character occurs that is no white space and no bar, which is how cells are told apart in text."""
    found: collections.Counter[str] = collections.Counter()
    for text in texts:
        found.update(text)
    for blank in [character for character in found if character.isspace() or character == "|"]:
        del found[blank]
    return found


def kept(found: collections.Counter[str], texts: Iterable[str]) -> int:
    """How many of these characters are in the texts, each at most as often as in them."""
    return (found & characters(texts)).total()
