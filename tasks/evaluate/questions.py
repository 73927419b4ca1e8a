"""Question files: JSON lines in, `Question`s out.

One object per line:

    {"question": "What were net sales in 2023?", "doc": "acme_10k.pdf", "pages": [41]}

`question` is required. `doc` (or `docs`, a list) names the documents that hold the answer by file name, or by the end
of their path; it is left out of a question that the corpus does not answer. `pages` are 1-based and belong to `doc`;
without them only documents are judged. `id`, `answer` and `groups` (such as "Table": results are also given for each)
are optional. The names that public sets use, `evidence_pages` and `evidence_sources`, work as well; other fields are
ignored.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import orjson

from tasks.errors import UsageError


@dataclasses.dataclass(frozen=True, slots=True)
class Question:
    """`pages` are those of the one document in `docs`; empty where only the document is known."""

    id: str
    question: str
    docs: tuple[str, ...] = ()
    pages: tuple[int, ...] = ()
    groups: tuple[str, ...] = ()
    answer: str | None = None

    @property
    def answerable(self) -> bool:
        return bool(self.docs)


def read_questions(paths: Sequence[str | Path]) -> list[Question]:
    """The questions of some files, in order. Raises UsageError naming the file and the line that is wrong."""
    found: list[Question] = []
    for path in map(Path, paths):
        try:
            lines = path.read_bytes().splitlines()
        except OSError as error:
            raise UsageError(
                f"{path} cannot be read: {error.strerror}", "give a file of questions, one JSON a line"
            ) from error
        for number, line in enumerate(lines, start=1):
            if line.strip():
                found.append(_question(line, f"{path}, line {number}", f"{path.stem}-{number}"))
    names = [question.id for question in found]
    twice = sorted({name for name in names if names.count(name) > 1}) if len(set(names)) < len(names) else []
    if twice:
        raise UsageError(f"two questions have the id {twice[0]!r}", "give each its own, or leave `id` out")
    if not any(question.answerable for question in found):
        raise UsageError("no question names the document that answers it", 'add "doc": "FILE" and "pages": [1]')
    return found


def _question(line: bytes, where: str, name: str) -> Question:
    try:
        value = orjson.loads(line)
    except orjson.JSONDecodeError as error:
        raise UsageError(f"{where}: it is no JSON: {error}", "write one JSON object per line") from error
    if not isinstance(value, dict):
        raise UsageError(
            f"{where}: it is no JSON object", 'such as {"question": "...", "doc": "file.pdf", "pages": [1]}'
        )
    question = value.get("question")
    if not isinstance(question, str) or not question.strip():
        raise UsageError(f"{where}: it has no question", 'add "question": "..."')
    docs = tuple(_strings(value, ("docs", "doc"), where))
    pages = tuple(dict.fromkeys(_pages(value, where)))
    if pages and len(docs) != 1:
        raise UsageError(f"{where}: pages need exactly one document", 'name it: "doc": "file.pdf"')
    groups = tuple(dict.fromkeys(_strings(value, ("groups", "evidence_sources"), where)))
    answer = value.get("answer")
    return Question(
        str(value.get("id", name)), question.strip(), docs, pages, groups, None if answer is None else str(answer)
    )


def _strings(value: Mapping[str, Any], names: Sequence[str], where: str) -> Iterator[str]:
    """The first of these fields that is there: a string, or a list of them."""
    for name in names:
        found = value.get(name)
        if found is None:
            continue
        items = found if isinstance(found, list) else [found]
        if not all(isinstance(item, str) for item in items):
            raise UsageError(f"{where}: {name} is neither a text nor a list of texts")
        yield from (item for item in items if item)
        return


def _pages(value: Mapping[str, Any], where: str) -> Iterator[int]:
    found = value.get("pages", value.get("evidence_pages")) or []
    for page in found if isinstance(found, list) else [found]:
        if not isinstance(page, int) or isinstance(page, bool) or page < 1:
            raise UsageError(f"{where}: {page!r} is no page number", "pages are counted from 1")
        yield page
