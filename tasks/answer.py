"""The typed answer to a question: what `query` returns to other jobs, and what `bindery ask` prints."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict

from tasks.rows import Kind

NOT_FOUND = "Not found in the corpus."


class _Model(BaseModel):
    model_config = ConfigDict(frozen=True)


class CitedBox(_Model):
    """A rectangle on a page: 1-based page, coordinates 0–1 from the top left."""

    page: int
    x0: float
    y0: float
    x1: float
    y1: float


class Citation(_Model):
    """Where a statement comes from. `quote` is verbatim from the chunk, with white space normalised.

    `html` is the cited table, `image` the lake path of the cited picture. `time_range` is in seconds.
    """

    sources: list[str]
    pages: list[int]
    time_range: tuple[float, float] | None
    kind: Kind
    quote: str
    boxes: list[CitedBox]
    chunk_id: str
    html: str | None = None
    image: str | None = None

    def to_json(self) -> dict[str, Any]:
        """The fields that `bindery ask --json` promises."""
        return self.model_dump(mode="json", exclude={"html", "image"})


class Answer(_Model):
    """An answer whose statements carry marks, [1] being the first of `citations`.

    Where `found` is False the corpus does not hold the answer, `citations` is empty and `nearest` lists the passages
    that came closest.
    """

    answer: str
    found: bool
    method: Literal["extractive"] = "extractive"
    citations: list[Citation]
    question: str
    release: int
    seconds: float
    nearest: list[Citation] = []

    def to_json(self) -> dict[str, Any]:
        """The fields that `bindery ask --json` promises."""
        return {
            "answer": self.answer,
            "found": self.found,
            "method": self.method,
            "citations": [citation.to_json() for citation in self.citations],
            "release": self.release,
            "seconds": self.seconds,
        }
