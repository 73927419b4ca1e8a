"""Classify: files in, for each file the probability of every label out; without training, or from a few examples.

    labels in words ──► their vectors ─┐
                                       ├──► softmax over cosine / temperature           (zero-shot)
    files ──► their vectors ───────────┤
                                       ├──► logistic regression on the vectors          (few-shot)
    examples of each label ──► vectors ┘

Zero-shot is Radford et al., "Learning Transferable Visual Models From Natural Language Supervision" (ICML 2021),
few-shot the linear probe with which ImageBind's paper reports it. The temperature of 0.01 is the one that CLIP's text
tower, and with it ImageBind's, was trained to and clipped at: cosines count a hundredfold.
"""

from __future__ import annotations

import collections
import dataclasses
import os
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from tasks import progress
from tasks.embed.imagebind import probe
from tasks.embed.media import Medium
from tasks.embed.spaces import MediaSpace
from tasks.errors import DocumentError, UsageError
from tasks.query import modality_of_file
from tasks.rows import Modality

TEMPERATURE, PROMPT = probe.TEMPERATURE, "{}"
_TOGETHER, _MOST_TOGETHER, _SECONDS = 8, 256, 1.0  # files whose rows come at once: about a second's
_LEAVE_ONE_OUT = 20  # examples up to which each is left out once to see whether the others get it right

Predict = Callable[[np.ndarray], np.ndarray]  # (n, dimension) vectors -> (n, labels) probabilities


@dataclasses.dataclass(frozen=True, slots=True)
class Classified:
    """A file and the probability of each label in their order, or the `error` why there are none."""

    file: str
    modality: Modality | None
    probabilities: tuple[float, ...] = ()
    error: DocumentError | None = None

    def to_json(self, labels: Sequence[str]) -> dict[str, Any]:
        best = int(np.argmax(self.probabilities)) if self.probabilities else None
        error = self.error and {"code": self.error.code, "message": self.error.message, "hint": self.error.hint}
        return {
            "file": self.file,
            "modality": self.modality,
            "label": None if best is None else labels[best],
            "probabilities": dict(zip(labels, self.probabilities, strict=True)) if self.probabilities else None,
            "error": error,
        }


@dataclasses.dataclass(frozen=True, slots=True)
class Classifier:
    """What tells the labels apart. `method` is `zero-shot` or `few-shot`; `notes` say what they were learnt from.

    `learnt_from` are the modalities of the examples.
    """

    method: str
    labels: tuple[str, ...]
    predict: Predict
    notes: tuple[str, ...] = ()
    learnt_from: frozenset[Modality] = frozenset()

    def to_json(self, files: Sequence[Classified]) -> dict[str, Any]:
        return {
            "method": self.method,
            "labels": list(self.labels),
            "files": [file.to_json(self.labels) for file in files],
            "notes": [*self.notes, *self.doubts(files)],
        }

    def doubts(self, files: Iterable[Classified]) -> list[str]:
        """What to say of files that are of another modality than every example: however sure, it is a guess."""
        strange: dict[Modality, list[str]] = {}
        for file in files:
            if self.learnt_from and file.probabilities and file.modality and file.modality not in self.learnt_from:
                strange.setdefault(file.modality, []).append(file.file)
        examples = ", ".join(sorted(self.learnt_from))
        return [
            f"{paths[0]}{f' and {len(paths) - 1} more' if paths[1:] else ''}: {modality}, while all examples are "
            f"{examples}; do not rely on these probabilities"
            for modality, paths in strange.items()
        ]


def zero_shot(
    space: MediaSpace, labels: Sequence[str], prompt: str = PROMPT, temperature: float = TEMPERATURE
) -> Classifier:
    """By which label, put into the prompt in the place of {}, a file is nearest to.

    Raises UsageError for labels that leave no choice.
    """
    _check_labels(labels)
    if "{}" not in prompt:
        raise UsageError(f"the prompt {prompt!r} has no place for the label", "write {} there, as in 'a photo of a {}'")
    if not 0 < temperature < float("inf"):
        raise UsageError(f"the temperature is {temperature:g}", "give a number above 0; 0.01 is what the model learnt")
    texts = space.embed_texts([prompt.replace("{}", label) for label in labels])
    return Classifier("zero-shot", tuple(labels), lambda vectors: probe.classify(vectors, texts, temperature))


def few_shot(space: MediaSpace, examples: Mapping[str, Sequence[str]], modality: Modality | None = None) -> Classifier:
    """By which label's examples a file is most like. An example that cannot be read is left out, and noted.

    Raises UsageError where a label has no example that can be read.
    """
    labels = tuple(examples)
    _check_labels(labels, "examples are FOLDER/LABEL/FILE, of two labels at least")
    given = [(label, path) for label in labels for path in examples[label]]
    notes: list[str] = []
    vectors: list[np.ndarray] = []
    targets: list[str] = []
    embedded = _embed(space, [path for _, path in given], modality, "examples")
    learnt_from: set[Modality] = set()
    for (label, path), (of, found) in zip(given, embedded, strict=True):
        if isinstance(found, DocumentError):
            notes.append(f"left out: {path}: {found.message}")
        else:
            vectors.append(found)
            targets.append(label)
            learnt_from |= {of} if of else set()
    for label in labels:
        if label not in targets:
            raise UsageError(f"label {label!r} has no example that can be read", "; ".join(notes) or "add some")
    matrix = np.stack(vectors)
    learnt = probe.linear_probe(matrix, targets)
    order = [learnt.labels.index(label) for label in labels]
    notes.append(f"trained on {len(targets)} examples of {len(labels)} labels{_leave_one_out(matrix, targets)}")
    return Classifier(
        "few-shot",
        labels,
        lambda unknown: learnt.probabilities(unknown)[:, order],
        tuple(notes),
        frozenset(learnt_from),
    )


def classify(
    space: MediaSpace, files: Sequence[str], classifier: Classifier, modality: Modality | None = None
) -> Iterator[Classified]:
    """The files in their order, as they come. `modality` is that of all of them; by default their names say it."""
    for path, (of, vector) in zip(files, _embed(space, files, modality, "classify"), strict=True):
        if isinstance(vector, DocumentError):
            yield Classified(path, of, error=vector)
        else:
            yield Classified(path, of, tuple(float(share) for share in classifier.predict(vector[None])[0]))


def read_examples(folder: str, labels: Sequence[str] = ()) -> dict[str, list[str]]:
    """The files of FOLDER/<label>/, by label; of these labels, or of every subfolder. Names that begin with . are not.

    Raises UsageError where the folder or the subfolder of a label is not there, or has no files.
    """
    root = Path(folder)
    if not root.is_dir():
        raise UsageError(f"there is no folder {folder}", "give a folder with one subfolder of files for each label")
    chosen = list(labels) or sorted(path.name for path in root.iterdir() if path.is_dir() and path.name[0] != ".")
    found: dict[str, list[str]] = {}
    for label in chosen:
        place = root / label
        paths = sorted(place.iterdir()) if label and place.parent == root and place.is_dir() else []
        found[label] = [str(path) for path in paths if path.is_file() and path.name[0] != "."]
        if not found[label]:
            raise UsageError(f"label {label!r} has no examples in {folder}", f"put files of it into {place}")
    return found


def _check_labels(labels: Sequence[str], hint: str = "--labels dog,car,bird") -> None:
    if len(labels) < 2:
        raise UsageError("there are fewer than two labels to choose from", hint)
    if len(set(labels)) < len(labels) or not all(label.strip() for label in labels):
        raise UsageError(f"labels are empty or the same: {', '.join(labels)}", "give each label once")


def _embed(
    space: MediaSpace, paths: Sequence[str], modality: Modality | None, stage: str
) -> Iterator[tuple[Modality | None, np.ndarray | DocumentError]]:
    """The modality of each file, and its unit vector as `MediaSpace.embed_file` has it, or why there is none.

    Some files at a time, more where they are fast, and reported as progress of the stage.
    """
    progress.report("planned", stage, len(paths))
    start, size = 0, _TOGETHER
    while start < len(paths):
        began = time.monotonic()
        found = _embed_together(space, paths[start : start + size], modality)
        progress.report("done", stage, len(found))
        yield from found
        start += size
        if time.monotonic() - began < _SECONDS:
            size = min(2 * size, _MOST_TOGETHER)


def _embed_together(
    space: MediaSpace, paths: Sequence[str], modality: Modality | None
) -> list[tuple[Modality | None, np.ndarray | DocumentError]]:
    looked = [_look(space, path, modality) for path in paths]
    media = [Medium(of, path) for path, of in zip(paths, looked, strict=True) if not isinstance(of, DocumentError)]
    planned = space.media_items(media, 0) if media else []
    items = [item for plan in planned if not isinstance(plan, DocumentError) for item in plan]
    vectors = iter(space.embed_media(items) if items else [])
    made = iter([plan if isinstance(plan, DocumentError) else _mean([next(vectors) for _ in plan]) for plan in planned])
    return [(None, of) if isinstance(of, DocumentError) else (of, next(made)) for of in looked]


def _look(space: MediaSpace, path: str, modality: Modality | None) -> Modality | DocumentError:
    if os.path.isdir(path):
        return DocumentError("no_file", "it is a folder, not a file", "give the files in it")
    if not os.path.isfile(path):
        return DocumentError("no_file", "there is no such file", "check the path")
    try:
        found = modality or modality_of_file(path)
    except UsageError as error:
        return DocumentError("unsupported_type", error.message, f"{error.hint} with --modality")
    if found not in space.modalities or found == "text":
        return DocumentError("unsupported_type", f"space {space.name} classifies no {found}")
    return found


def _mean(parts: Sequence[np.ndarray | DocumentError]) -> np.ndarray | DocumentError:
    """The mean direction of the views of one picture; a recording has one."""
    vectors = []
    for part in parts:
        if isinstance(part, DocumentError):
            return part
        vectors.append(part)
    total = np.sum(vectors, axis=0, dtype=np.float64)
    return np.asarray(total / max(float(np.linalg.norm(total)), 1e-12), np.float32)


def _leave_one_out(vectors: np.ndarray, labels: Sequence[str]) -> str:
    """How many examples the others get right, where there are few enough of them to see."""
    if len(labels) > _LEAVE_ONE_OUT or min(collections.Counter(labels).values()) < 2:
        return ""
    right = 0
    for index, label in enumerate(labels):
        others = probe.linear_probe(np.delete(vectors, index, axis=0), [*labels[:index], *labels[index + 1 :]])
        right += others.predict(vectors[index : index + 1]) == [label]
    return f"; leaving each out once, the others get {right} of {len(labels)} right"
