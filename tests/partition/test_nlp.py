"""The offline guard: unstructured classifies text without its model, and nothing opens a socket."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tasks.errors import DocumentError
from tasks.partition import nlp
from tasks.sentences import sentences
from tests.files import make_docx

OFFLINE = """
import socket, sys
def no_socket(*_, **__):
    print("a socket was opened", flush=True)
    raise OSError("no network in this test")
socket.socket.connect = socket.getaddrinfo = socket.create_connection = no_socket
from tasks.partition.nlp import install
install()
from unstructured.partition.docx import partition_docx
from unstructured.partition.text import partition_text
from unstructured.partition.html import partition_html
print([e.category for e in partition_docx(filename=sys.argv[1], languages=[""])])
text = "The cat sat on the mat and was happy.\\n\\nAnnual Report"
print([e.category for e in partition_text(text=text, languages=[""])])
print([e.category for e in partition_html(text="<h1>Title</h1><p>Some words are here.</p>", languages=[""])])
print("spacy" in sys.modules)
"""


def test_partitioners_run_without_a_socket(tmp_path: Path) -> None:
    if nlp.has_model():
        pytest.skip("the spaCy model is installed: unstructured uses it")
    path = make_docx(tmp_path / "a.docx")
    done = subprocess.run([sys.executable, "-c", OFFLINE, str(path)], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines() == [
        "['Title', 'NarrativeText', 'ListItem', 'Table']",
        "['NarrativeText', 'Title']",
        "['Title', 'NarrativeText']",
        "False",
    ]


def test_the_downloader_is_replaced() -> None:
    nlp.install()
    nlp.install()
    from unstructured.nlp import tokenize

    with pytest.raises(DocumentError):
        tokenize._install_spacy_model()
    with pytest.raises(DocumentError):
        tokenize._download_with_timeout("https://example.org", "wheel")


def test_words_and_verbs() -> None:
    assert nlp.word_tokenize("It's 3.5 km, 中文!") == ["It's", "3", ".", "5", "km", ",", "中", "文", "!"]
    assert [word for word, tag in nlp.pos_tag("The ship was loaded in Rotterdam") if tag == "VB"] == ["was", "loaded"]
    assert all(tag == "NN" for _, tag in nlp.pos_tag("Annual Report 2024"))
    assert ("京", "VB") in nlp.pos_tag("他住在北京。")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("One. Two! Three? Four", ["One.", "Two!", "Three?", "Four"]),
        (
            "Dr. Smith met J. Brown at 3.5 p.m. on Monday. He left.",
            ["Dr. Smith met J. Brown at 3.5 p.m. on Monday.", "He left."],
        ),
        ("“Go!” She went. (So did he.) Then", ["“Go!”", "She went.", "(So did he.)", "Then"]),
        ("今天下雨。我们在家！好吗？好", ["今天下雨。", "我们在家！", "好吗？", "好"]),
        ("see fig. 3 for e.g. this", ["see fig. 3 for e.g. this"]),
        ("A heading\n\nA paragraph", ["A heading", "A paragraph"]),
        ("  ", []),
    ],
)
def test_sentences(text: str, expected: list[str]) -> None:
    assert sentences(text) == expected
