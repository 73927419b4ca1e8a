"""From bytes to vectors: JPEG and WAV files made on the fly, and texts; decoding processes beside the device.

The plain way decodes one file after the other in this process, and computes when a batch is full.
"""

from __future__ import annotations

import concurrent.futures
import contextlib
import importlib.util
import multiprocessing
import os
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from benchmarks.imagebind import flops
from benchmarks.imagebind.decode import decode
from benchmarks.imagebind.measure import Case, alternate
from benchmarks.imagebind.model_only import KINDS, SHORT, plain_rows
from benchmarks.imagebind.towers import Towers
from tasks.embed.imagebind import config, tokenizer
from tasks.errors import DocumentError
from tasks.rows import Modality
from tasks.worker import ONE_THREAD

_DISTINCT = 32  # files; a longer list repeats them, and each is decoded every time
_CHUNK = 8  # files that a process decodes before it answers
_SIZE, _QUALITY = (500, 375), 90  # of the JPEGs: a picture as it is on the web
_WORDS = ("pump", "valve", "bolt", "red", "report", "chart", "of", "the", "north", "steel", "photo", "with", "a")


def make_files(folder: Path, modality: Modality) -> list[str]:
    random = np.random.default_rng(0)
    return [_picture(folder, n, random) if modality == "image" else _sound(folder, n, random) for n in range(_DISTINCT)]


def missing(modality: Modality) -> str:
    """What this machine lacks to measure it, if anything."""
    needed = {"image": ("PIL",), "audio": ("soundfile",), "text": ("tokenizers",)}[modality]
    return ", ".join(name for name in needed if importlib.util.find_spec(name) is None)


@contextlib.contextmanager
def decoders(count: int) -> Iterator[concurrent.futures.ProcessPoolExecutor]:
    """Started processes of one thread each: their start is not what is measured."""
    before = dict(os.environ)
    os.environ.update(ONE_THREAD)
    try:
        with concurrent.futures.ProcessPoolExecutor(count, multiprocessing.get_context("spawn")) as pool:
            for ready in [pool.submit(decode, "image", []) for _ in range(4 * count)]:
                ready.result()
            yield pool
    finally:
        os.environ.clear()
        os.environ.update(before)


def media(modality: Modality, towers: Towers, folder: Path, processes: int, seconds: float) -> Case:
    """Pictures or sounds from files."""
    kind = next(kind for kind in KINDS if kind.modality == modality)
    gpu = towers.device.type == "cuda"
    clips = 1 if modality == "image" else 3
    batch = kind.batches(towers.device)[-1]
    paths = make_files(folder, modality)
    many, few = _repeated(paths, (32 if gpu else 2) * batch), _repeated(paths, batch)
    runtime = towers.runtime(batch, config.TOKENS[kind.tower])
    size = _CHUNK if gpu else 1
    with decoders(processes) as pool:

        def prepare(chunk: Sequence[str]) -> list[np.ndarray]:
            return pool.submit(decode, modality, chunk).result()

        def ours() -> int:
            chunks = [many[start : start + size] for start in range(0, len(many), size)]
            ahead = 2 * batch // size + processes + 2
            done = 0
            for _, vectors in runtime.encode_stream(modality, chunks, prepare, ahead, processes + 2):
                if isinstance(vectors, DocumentError):
                    raise vectors
                done += len(vectors)
            return done

        def plain() -> int:
            items = [decode(modality, [path])[0] for path in few]
            towers.plainly(plain_rows(kind, items), batch)
            return len(items)

        if gpu:
            ours()
            plain()
        sides = alternate(ours, plain, towers.device, seconds, 3)
    name = f"JPEG {_SIZE[0]} × {_SIZE[1]}" if modality == "image" else "WAV 10 s, 3 clips"
    return Case(modality, name, batch, clips * flops.per_item(towers.model, kind.tower), *sides)


def texts(towers: Towers, seconds: float, copies: int = 1) -> Case:
    """Texts as strings, each `copies` times; ours embeds one of them, as the pipeline does."""
    kind = next(kind for kind in KINDS if kind.label == SHORT)
    batch = kind.batches(towers.device)[-1]
    count = batch * 4
    random = np.random.default_rng(0)
    distinct = [" ".join(random.choice(_WORDS, random.integers(6, 18))) for _ in range(count // copies)]
    corpus = distinct * copies
    random.shuffle(corpus)
    runtime = towers.runtime(batch, 20)

    def ours() -> int:
        places: dict[str, int] = {}
        rows = [places.setdefault(text, len(places)) for text in corpus]
        return len(runtime.encode_texts(tokenizer.tokenize(list(places)))[rows])

    few = corpus[:batch]

    def plain() -> int:
        ids = [tokenizer.tokenize([text])[0] for text in few]
        return len(towers.plainly(tokenizer.pad(ids, config.TEXT_TOKENS), batch))

    ours()
    sides = alternate(ours, plain, towers.device, seconds)
    name = "strings" if copies == 1 else f"strings, each {copies} times"
    lengths = [len(ids) for ids in tokenizer.tokenize(distinct)]
    flop = float(np.mean([flops.per_item(towers.model, "text", length) for length in lengths])) / copies
    return Case("text", name, batch, flop, *sides)


def _repeated(paths: Sequence[str], count: int) -> list[str]:
    return [paths[index % len(paths)] for index in range(count)]


def _picture(folder: Path, number: int, random: np.random.Generator) -> str:
    """Smooth shapes and some grain: bytes as many as a photograph has."""
    from PIL import Image

    coarse = Image.fromarray(random.integers(0, 256, (12, 16, 3), dtype=np.uint8)).resize(
        _SIZE, Image.Resampling.BICUBIC
    )
    grain = random.normal(0, 8, (_SIZE[1], _SIZE[0], 3))
    path = folder / f"{number}.jpg"
    pixels = np.clip(np.asarray(coarse) + grain, 0, 255).astype(np.uint8)
    Image.fromarray(pixels).save(path, quality=_QUALITY)
    return str(path)


def _sound(folder: Path, number: int, random: np.random.Generator) -> str:
    import soundfile

    path = folder / f"{number}.wav"
    soundfile.write(path, random.uniform(-0.5, 0.5, 160_000).astype(np.float32), 16_000)
    return str(path)
