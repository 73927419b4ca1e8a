"""Query: words, files and weights in, a sum of terms out; and the vector of that sum in a space that embeds media.

    tide gauge + image:buoy.jpg - 0.5*radar ──► normalised sum of weight x unit vector of each term

A space of text alone, and full text, are asked with the words that are searched for: `Query.words`.
"""

from __future__ import annotations

import dataclasses
import math
import os
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Protocol, get_args

import numpy as np

from tasks import media_names
from tasks.errors import DocumentError, UsageError
from tasks.rows import Modality

MODALITIES: tuple[Modality, ...] = get_args(Modality)
# What is a number and no weight (nan) is refused, not searched for as a word.
_NUMBER = r"[+-]?(?:(?:\d+(?:\.\d*)?|\.\d+)(?:e[+-]?\d+)?|inf(?:inity)?|nan)"
_TERM = re.compile(rf"(?:(?P<weight>{_NUMBER})\*)?(?P<file>@)?(?P<rest>.*)", re.S | re.I)
_NAMES = "NAME.depth.png, NAME.thermal.tif, NAME.imu.csv (or .npy), or by a usual extension of pictures and recordings"
_NOUNS: dict[Modality, str] = {"image": "a picture", "audio": "a recording", "video": "a video"}
# Opposite terms leave rounding behind: up to 1e-3 of the sum in bfloat16.
_CANCELLED = 5e-3


class MediaQuerySpace(Protocol):
    """What a sum of terms needs of a space; tasks.embed.spaces.MediaSpace is one."""

    @property
    def name(self) -> str: ...

    @property
    def modalities(self) -> frozenset[Modality]: ...

    def embed_texts(self, texts: Sequence[str]) -> np.ndarray: ...

    def embed_file(self, modality: Modality, path: str) -> np.ndarray: ...


@dataclasses.dataclass(frozen=True, slots=True)
class Term:
    """Words, or a file of a modality, and how much they count; a negative weight searches away from them."""

    text: str = ""
    path: str = ""
    modality: Modality = "text"
    weight: float = 1.0

    def __post_init__(self) -> None:
        if bool(self.text.strip()) == bool(self.path):
            raise UsageError(f"a term of a query is words or a file, not {self.text!r} and {self.path!r}")
        if (self.modality == "text") != bool(self.text) or self.modality not in MODALITIES:
            what = f"the file {self.path!r}" if self.path else f"the words {self.text!r}"
            raise UsageError(
                f"{what} cannot be of modality {self.modality!r}", f"of files: {', '.join(MODALITIES[1:])}"
            )
        if not math.isfinite(self.weight) or self.weight == 0:
            raise UsageError(
                f"the weight of {self.text or self.path!r} is {self.weight:g}", "give one such as 0.5 or 2"
            )

    def __str__(self) -> str:
        factor = "" if abs(self.weight) == 1 else f"{abs(self.weight):g}*"
        return factor + (self.text or f"{self.modality}:{self.path}")

    def to_json(self) -> dict[str, Any]:
        return {
            "weight": self.weight,
            "modality": self.modality,
            "text": self.text or None,
            "path": self.path or None,
        }


@dataclasses.dataclass(frozen=True, slots=True)
class Query:
    """A sum of terms."""

    terms: tuple[Term, ...]

    @classmethod
    def of(
        cls,
        text: str = "",
        files: Mapping[Modality, Iterable[str]] | None = None,
        plus: Iterable[str] = (),
        minus: Iterable[str] = (),
    ) -> Query:
        """Words, files by modality, and terms to add and to take away as `parse_term` reads them."""
        words = [Term(text.strip())] if text.strip() else []
        given = [Term(path=path, modality=modality) for modality, paths in (files or {}).items() for path in paths]
        further = [*map(parse_term, plus), *(_negative(parse_term(term)) for term in minus)]
        return cls((*words, *given, *further))

    @property
    def words(self) -> str:
        """What a search for words alone can be asked: the words of all terms that are not taken away."""
        return " ".join(term.text for term in self.terms if term.text and term.weight > 0)

    @property
    def files(self) -> tuple[Term, ...]:
        return tuple(term for term in self.terms if term.path)

    @property
    def needs_media_space(self) -> bool:
        """Whether words alone cannot say it: it has files, weights, or something to take away."""
        return any(term.path or term.weight != 1 for term in self.terms)

    def check(self) -> None:
        """Raise UsageError where nothing is asked, or a file is not there."""
        if not self.terms:
            raise UsageError("the query is empty", "say what to look for")
        for term in self.files:
            if os.path.isdir(term.path):
                raise UsageError(f"{term.path} is a folder, not a file", "give one of its files")
            if not os.path.isfile(term.path):
                raise UsageError(f"there is no file {term.path}", "check the path; it is read where the search runs")

    def __str__(self) -> str:
        """As a person reads it: `tide gauge + image:buoy.jpg - 0.5*radar`."""
        signed = "".join(f" {'-' if term.weight < 0 else '+'} {term}" for term in self.terms)
        return signed.removeprefix(" + ").removeprefix(" ")


def parse_term(term: str) -> Term:
    """A term as it is written: `[WEIGHT*]WORDS` or `[WEIGHT*]@FILE`. Raises UsageError."""
    found = _TERM.fullmatch(term.strip())
    assert found is not None  # every part of the pattern may be empty
    rest = found["rest"].strip()
    if not rest:
        raise UsageError(f"the term {term!r} has neither words nor a file", "write [WEIGHT*]WORDS or [WEIGHT*]@FILE")
    weight = float(found["weight"] or 1)
    if found["file"]:
        return Term(path=rest, modality=modality_of_file(rest), weight=weight)
    return Term(rest, weight=weight)


def term_from_json(value: Mapping[str, Any]) -> Term:
    """The inverse of `Term.to_json`; without `modality` the name of the file says it."""
    unknown = sorted(value.keys() - {"weight", "modality", "text", "path"})
    if unknown:
        raise UsageError(f"a term of a query has no {', '.join(unknown)}", "it has: weight, modality, text, path")
    text, path = value.get("text") or "", value.get("path") or ""
    modality = value.get("modality") or (modality_of_file(path) if path else "text")
    try:
        return Term(text, path, modality, float(value.get("weight", 1)))
    except (TypeError, ValueError, AttributeError):
        raise UsageError(f"this is no term of a query: {dict(value)}", "weight is a number, the others text") from None


def modality_of_file(path: str) -> Modality:
    """What a file holds, by its name alone. Raises UsageError where the name does not say."""
    found = media_names.modality(os.path.basename(path))
    if found is None:
        raise UsageError(f"the name of {path} does not say which modality it is", f"by name: {_NAMES}; or say it")
    return found


def query_vector(query: Query, space: MediaQuerySpace) -> np.ndarray:
    """(dimension,) float32 of unit length: the normalised sum of the terms.

    Raises UsageError for a file that cannot be read or that the space does not embed, and where the terms cancel out.
    """
    vectors = [term.weight * np.asarray(_unit_vector(term, space), np.float64) for term in query.terms]
    total = np.sum(vectors, axis=0)
    length = float(np.linalg.norm(total))
    if not length > _CANCELLED * sum(abs(term.weight) for term in query.terms):
        raise UsageError(f"the terms of the query cancel out: {query}", "change a weight or leave a term out")
    return np.asarray(total / length, np.float32)


def _unit_vector(term: Term, space: MediaQuerySpace) -> np.ndarray:
    if term.text:
        found: np.ndarray = space.embed_texts([term.text])[0]
        return found
    if term.modality not in space.modalities:
        embeds = ", ".join(sorted(space.modalities))
        raise UsageError(f"space {space.name!r} does not embed {term.modality} ({term.path})", f"it embeds: {embeds}")
    try:
        return space.embed_file(term.modality, term.path)
    except DocumentError as error:
        other = _other_modality(term)
        if other is not None:
            what = f"{_NOUNS[other[0]]} ({other[1]})"
            raise UsageError(f"{term.path} is {what}, not {term.modality}", f"use --{other[0]}", error.code) from error
        message = error.message if term.path in error.message else f"{term.path}: {error.message}"
        raise UsageError(message, error.hint, error.code) from error


def _other_modality(term: Term) -> tuple[Modality, str] | None:
    """What the first bytes of a file prove it to be, and of which format, where that is not what the term says."""
    from tasks.partition.signatures import signature

    try:
        with open(term.path, "rb") as file:
            found = signature(file.read(1024), os.path.splitext(term.path)[1].lower(), is_text=False) or ""
    except OSError:
        return None
    kind, _, name = found.partition("/")
    modality = next((modality for modality in _NOUNS if modality == kind), None)
    measured = modality == "image" and term.modality in ("depth", "thermal")
    if modality is None or modality == term.modality or measured:
        return None
    return modality, {"x-msvideo": "AVI", "mpeg": "MP3"}.get(name, name.removeprefix("x-").upper())


def _negative(term: Term) -> Term:
    return dataclasses.replace(term, weight=-term.weight)
