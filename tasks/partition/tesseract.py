"""Reading pictures by the program `tesseract`, where it is installed and asked for: a picture in, lines with boxes out.

Each picture is a process of its own: no shell, the picture through a pipe, words as TSV back, and no longer than a page
may take.
"""

from __future__ import annotations

import csv
import functools
import itertools
import os
import re
import shutil
import subprocess
from collections.abc import Sequence

from PIL import Image

from tasks.clean import clean
from tasks.errors import DocumentError, MissingCapabilityError
from tasks.partition.ocr import fitted
from tasks.partition.pdf.render import png
from tasks.partition.spans import Span, joined
from tasks.worker import ONE_THREAD

PROGRAM = "tesseract"
_LONG_SIDE = 4000  # pixels; an A4 page at 300 dpi has 3508
_LINE, _WORD = "4", "5"  # levels of its table
_LEAST_SURE = 30.0  # of 100
_SECONDS = 30  # to say its version
_VERSION = re.compile(r"tesseract v?(\S+)")
_PACKAGE = "apt install tesseract-ocr, or brew install tesseract"
_OTHERWISE = "or set BINDERY_PARTITION__OCR_ENGINE=rapidocr"


def capability(languages: str) -> str:
    """Name, version and languages. Raises MissingCapabilityError where the program or the data of one is missing."""
    program = shutil.which(PROGRAM)
    if program is None:
        raise MissingCapabilityError(f"there is no program `{PROGRAM}` on the PATH", f"{_PACKAGE}; {_OTHERWISE}")
    found = _VERSION.match(_said(program, "--version"))
    if found is None:
        raise MissingCapabilityError(f"{program} does not say its version", f"{_PACKAGE}; {_OTHERWISE}")
    known = _said(program, "--list-langs").splitlines()[1:]
    missing = [language for language in languages.split("+") if language not in known]
    if missing:
        package = missing[0].replace("_", "-")
        raise MissingCapabilityError(
            f"tesseract has no data for {', '.join(missing)}, only for {', '.join(known) or 'nothing'}",
            f"apt install tesseract-ocr-{package}, or choose others: partition.ocr_languages; {_OTHERWISE}",
        )
    return f"{PROGRAM} {found[1]} {languages}"


def _said(program: str, option: str) -> str:
    """What the program answers, on whichever of its two outputs."""
    try:
        done = subprocess.run([program, option], capture_output=True, text=True, timeout=_SECONDS, check=True)
    except (OSError, subprocess.SubprocessError) as error:
        raise MissingCapabilityError(f"{program} cannot be run: {error}", f"{_PACKAGE}; {_OTHERWISE}") from error
    return (done.stdout or done.stderr).strip()


def read(picture: Image.Image, languages: str, seconds: float) -> list[Span]:
    """The lines of text in a picture, in its pixels, each cut where a gap is wider than between words.

    Raises DocumentError `timeout` after so many seconds, `ocr_failed` where the program fails.
    """
    small = fitted(picture, _LONG_SIDE)
    if small is None:
        return []
    image, scale = small
    command = [PROGRAM, "stdin", "stdout", "-l", languages, "tsv"]
    try:
        done = subprocess.run(
            command,
            input=png(image),
            capture_output=True,
            timeout=seconds,
            env={**os.environ, **ONE_THREAD},
            check=True,
        )
    except subprocess.TimeoutExpired as error:
        raise DocumentError(
            "timeout", f"tesseract took longer than {seconds:g} s for one page", "raise limits.seconds_per_page"
        ) from error
    except subprocess.CalledProcessError as error:
        said = " ".join(error.stderr.decode("utf-8", "replace").split())[:200]
        raise DocumentError("ocr_failed", f"tesseract failed ({error.returncode}): {said}", _OTHERWISE[3:]) from error
    lines = _lines(done.stdout.decode("utf-8", "replace"))
    return [span.scaled(1 / scale) for line in lines for span in joined(line)]


def _lines(table: str) -> list[list[Span]]:
    """The words of each line, left to right; a word is as high as its line, so that sizes and baselines are equal."""
    rows = list(csv.DictReader(table.splitlines(), delimiter="\t", quoting=csv.QUOTE_NONE))
    line_of = functools.partial(_numbers, ("block_num", "par_num", "line_num"))
    heights = {line_of(row): _box(row) for row in rows if row["level"] == _LINE}
    words = [row for row in rows if row["level"] == _WORD and float(row["conf"]) >= _LEAST_SURE]
    lines = []
    for line, members in itertools.groupby(words, key=line_of):
        _, y0, _, y1 = heights[line]
        spans = []
        for row in members:
            x0, _, x1, _ = _box(row)
            if text := clean(row["text"] or "").replace("\n", " "):
                spans.append(Span(text, x0, y0, x1, y1, (y1 - y0) * 0.8))
        if spans:
            lines.append(sorted(spans, key=lambda span: span.x0))
    return lines


def _numbers(names: Sequence[str], row: dict[str, str]) -> tuple[int, ...]:
    return tuple(int(row[name]) for name in names)


def _box(row: dict[str, str]) -> tuple[float, float, float, float]:
    left, top, width, height = _numbers(("left", "top", "width", "height"), row)
    return float(left), float(top), float(left + width), float(top + height)
