"""Files of questions: both forms, and what is wrong with one is said with its place."""

from __future__ import annotations

from pathlib import Path

import pytest

from tasks.errors import UsageError
from tasks.evaluate.questions import Question, read_questions


def written(folder: Path, *lines: str) -> Path:
    path = folder / "set.jsonl"
    path.write_text("\n".join(lines), encoding="utf-8")
    return path


def test_the_plain_form(tmp_path: Path) -> None:
    path = written(
        tmp_path,
        '{"question": " What? ", "doc": "a.pdf", "pages": [3, 4, 3], "groups": "Table", "answer": 12}',
        "",
        '{"question": "Where?", "docs": ["a.pdf", "b/c.docx"]}',
        '{"question": "Nobody knows?", "id": "n", "later": {}}',
    )
    assert read_questions([path]) == [
        Question("set-1", "What?", ("a.pdf",), (3, 4), ("Table",), "12"),
        Question("set-3", "Where?", ("a.pdf", "b/c.docx")),
        Question("n", "Nobody knows?"),
    ]


def test_the_names_of_public_sets(tmp_path: Path) -> None:
    path = written(
        tmp_path, '{"id": "x", "question": "q", "doc": "a.pdf", "evidence_pages": [1], "evidence_sources": ["Chart"]}'
    )
    assert read_questions([path]) == [Question("x", "q", ("a.pdf",), (1,), ("Chart",))]


@pytest.mark.parametrize(
    ("line", "what"),
    [
        ("{", "no JSON"),
        ("[1]", "no JSON object"),
        ('{"doc": "a.pdf"}', "no question"),
        ('{"question": "q", "doc": 3}', "doc is neither"),
        ('{"question": "q", "doc": "a.pdf", "pages": [0]}', "0 is no page number"),
        ('{"question": "q", "doc": "a.pdf", "pages": ["one"]}', "'one' is no page number"),
        ('{"question": "q", "docs": ["a.pdf", "b.pdf"], "pages": [1]}', "exactly one document"),
    ],
)
def test_what_is_wrong_is_said_with_its_line(tmp_path: Path, line: str, what: str) -> None:
    path = written(tmp_path, '{"question": "good", "doc": "a.pdf"}', line)
    with pytest.raises(UsageError, match=rf"set\.jsonl, line 2: .*{what}"):
        read_questions([path])


def test_files_that_cannot_serve(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="cannot be read"):
        read_questions([tmp_path / "none.jsonl"])
    with pytest.raises(UsageError, match="no question names the document"):
        read_questions([written(tmp_path, '{"question": "q"}')])
    same = '{"id": "x", "question": "q", "doc": "a.pdf"}'
    with pytest.raises(UsageError, match="two questions have the id 'x'"):
        read_questions([written(tmp_path, same, same)])
