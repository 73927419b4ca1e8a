"""OCR on pages whose text is known, beside the engine's defaults: characters right, processor time, memory.

    python -m benchmarks.pdf ocr PATHS... [--pages 2] [--dpi 150] [--threads 1]

In: born-digital PDFs. Their pages are rendered and read; the text layer is the truth. A Chinese page is drawn where the
machine has a font for one. Each system runs in a process of its own, with as many threads as the other.
"""

from __future__ import annotations

import argparse
import collections
import dataclasses
import functools
import io
import logging
import multiprocessing
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pypdfium2
from PIL import Image, ImageDraw, ImageFont
from rapidfuzz.distance import Levenshtein

from benchmarks import machine
from benchmarks.pdf.pages import pdfs
from benchmarks.pdf.reader import peak_mb
from tasks.partition import ocr
from tasks.partition.layout import blocks
from tasks.partition.pdf.text.layer import page_text
from tasks.partition.spans import Span

_MIN_CHARACTERS = 500
_CJK_FONTS = ("NotoSansCJK-Regular.ttc", "NotoSerifCJK-Regular.ttc", "wqy-microhei.ttc", "PingFang.ttc", "msyh.ttc")
_CHINESE = (
    "港口于一九九八年加深，以便更大的船只进入。此后运输量翻了一番，港务局预计还会再翻一番。",
    "报告期内，公司实现营业收入人民币1,234.5亿元，同比增长12.3%；归属于上市公司股东的净利润为98.7亿元。",
    "管理层认为，原材料价格的波动、汇率变化以及国际贸易环境的不确定性，可能对公司未来的经营业绩产生影响。",
    "本公司董事会及全体董事保证本公告内容不存在任何虚假记载、误导性陈述或者重大遗漏，并对其真实性承担责任。",
)


@dataclasses.dataclass(frozen=True, slots=True)
class Sheet:
    name: str
    png: bytes
    text: str


@dataclasses.dataclass(frozen=True, slots=True)
class Reading:
    cpu: float
    wall: float
    text: str
    lines: int


def main(arguments: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.pdf ocr")
    parser.add_argument("paths", nargs="+")
    parser.add_argument("--pages", type=int, default=2, help="of each document")
    parser.add_argument("--dpi", type=int, default=150)
    parser.add_argument("--threads", type=int, default=1)
    chosen = parser.parse_args(arguments)
    sheets = [sheet for path in pdfs(chosen.paths) for sheet in _sheets(path, chosen.pages, chosen.dpi)]
    sheets += _chinese_sheet()
    print(f"{machine.describe()}; load {machine.load():.1f}; {len(sheets)} pages at {chosen.dpi} dpi\n")
    found = {name: _run(name, sheets, chosen.threads) for name in _SYSTEMS}
    print("| page | characters | " + " | ".join(f"{name}: CPU s | in order | any order" for name in found) + " |")
    print("|---|---|" + "---|---|---|" * len(found))
    for i, sheet in enumerate(sheets):
        cells = [_cells(sheet.text, readings[i]) for readings, _ in found.values()]
        print(f"| {sheet.name} | {len(sheet.text)} | {' | '.join(cells)} |")
    print(_totals(sheets, found))
    return 0


def _cells(truth: str, reading: Reading) -> str:
    ordered, free = accuracy(truth, reading.text)
    return f"{reading.cpu:.2f} | {ordered:.4f} | {free:.4f}"


def _totals(sheets: Sequence[Sheet], found: dict[str, tuple[list[Reading], float]]) -> str:
    """All pages together: each system's time and accuracy by character, and how many times as fast ours is."""
    size = sum(len(sheet.text) for sheet in sheets)
    lines = ["", "| system | CPU s a page | wall s a page | characters in order | in any order | peak MB |"]
    lines.append("|---|---|---|---|---|---|")
    for name, (readings, peak) in found.items():
        pairs = [accuracy(sheet.text, reading.text) for sheet, reading in zip(sheets, readings, strict=True)]
        ordered, free = (
            sum(pair[i] * len(sheet.text) for pair, sheet in zip(pairs, sheets, strict=True)) / size for i in (0, 1)
        )
        cpu, wall = (sum(getattr(r, what) for r in readings) / len(sheets) for what in ("cpu", "wall"))
        lines.append(f"| {name} | {cpu:.2f} | {wall:.2f} | {ordered:.4f} | {free:.4f} | {peak:.0f} |")
    ours, theirs = (sum(reading.cpu for reading in found[name][0]) for name in ("ours", "rapidocr"))
    return "\n".join([*lines, "", f"ours is {theirs / ours:.2f} times as fast by processor time"])


def accuracy(truth: str, found: str) -> tuple[float, float]:
    """Of characters without blanks: 1 - normalised edit distance, and F1 whatever their order."""
    a, b = "".join(truth.split()), "".join(found.split())
    shared = (collections.Counter(a) & collections.Counter(b)).total()
    return Levenshtein.normalized_similarity(a, b), 2 * shared / max(len(a) + len(b), 1)


def _sheets(path: Path, count: int, dpi: int) -> Iterator[Sheet]:
    """Pages with enough text, spread over the document."""
    with pypdfium2.PdfDocument(path) as document:
        wanted = [round((i + 0.5) * len(document) / count) for i in range(count)]
        for number in dict.fromkeys(min(i, len(document) - 1) for i in wanted):
            page = document[number]
            text = page_text(page)
            if text.usable and text.characters >= _MIN_CHARACTERS and not text.turned:
                picture = page.render(scale=dpi / 72).to_pil().convert("L").convert("RGB")
                truth = _said([span for span in text.spans if not span.angle])
                yield Sheet(f"{path.name[:24]} p. {number + 1}", _png(picture), truth)


def _said(spans: Sequence[Span]) -> str:
    return "\n".join(block.text for block in blocks(spans))


def _chinese_sheet() -> list[Sheet]:
    for name in _CJK_FONTS:
        try:
            font = ImageFont.truetype(name, 22, index=2 if "CJK" in name else 0)
        except OSError:
            continue
        picture = Image.new("RGB", (1240, 1754), "white")
        draw = ImageDraw.Draw(picture)
        lines = [text[i : i + 44] for text in _CHINESE * 5 for i in range(0, len(text), 44)]
        for i, line in enumerate(lines):
            draw.text((130, 120 + 36 * i), line, fill="black", font=font)
        return [Sheet("Chinese, drawn", _png(picture), "\n".join(lines))]
    print("no font for Chinese on this machine: no Chinese page")
    return []


def _png(picture: Image.Image) -> bytes:
    buffer = io.BytesIO()
    picture.save(buffer, "PNG", compress_level=1)
    return buffer.getvalue()


def _run(name: str, sheets: Sequence[Sheet], threads: int) -> tuple[list[Reading], float]:
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        return pool.apply(_read_all, (name, list(sheets), threads))


def _read_all(name: str, sheets: list[Sheet], threads: int) -> tuple[list[Reading], float]:
    """In a process of its own: each sheet read, after one that does not count."""
    import cv2

    cv2.setNumThreads(threads)
    read = _SYSTEMS[name](threads)
    read(Image.open(io.BytesIO(sheets[0].png)).convert("RGB"))
    readings = []
    for sheet in sheets:
        picture = Image.open(io.BytesIO(sheet.png)).convert("RGB")
        cpu, wall = time.process_time(), time.perf_counter()
        spans = read(picture)
        readings.append(Reading(time.process_time() - cpu, time.perf_counter() - wall, _said(spans), len(spans)))
    return readings, peak_mb()


def _threads(threads: int) -> dict[str, Any]:
    return {
        "EngineConfig.onnxruntime.intra_op_num_threads": threads,
        "EngineConfig.onnxruntime.inter_op_num_threads": 1,
        "Global.log_level": "error",
    }


def _ours(threads: int) -> Callable[[Image.Image], list[Span]]:
    return functools.partial(ocr.read, threads=threads)


def _defaults(threads: int) -> Callable[[Image.Image], list[Span]]:
    from rapidocr import RapidOCR

    engine = RapidOCR(params=_threads(threads))
    logging.getLogger("RapidOCR").setLevel(logging.ERROR)

    def read(picture: Image.Image) -> list[Span]:
        found: Any = engine(np.asarray(picture)[:, :, ::-1].copy())
        if found.boxes is None:
            return []
        spans = []
        for box, text in zip(found.boxes, found.txts, strict=True):
            (x0, y0), (x1, y1) = box.min(axis=0), box.max(axis=0)
            spans.append(Span(text, float(x0), float(y0), float(x1), float(y1), float(y1 - y0) * 0.8))
        return spans

    return read


_SYSTEMS: dict[str, Callable[[int], Callable[[Image.Image], list[Span]]]] = {"ours": _ours, "rapidocr": _defaults}
