"""From bytes to vectors: JPEG and WAV files made on the fly, and texts; decoding processes beside the device.

The plain way decodes one file after the other in this process, and computes when a batch is full.
"""

from __future__ import annotations

import concurrent.futures
import contextlib
import importlib.util
import multiprocessing
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import torch

from benchmarks.imagebind.measure import Case, alternate
from benchmarks.imagebind.model_only import KINDS, SHORT, Kind, flop_of, items_of, plain_rows, plainly, runtime_of
from benchmarks.imagebind.towers import Pair
from tasks.embed.imagebind import config, tokenizer
from tasks.embed.imagebind.config import ModelConfig
from tasks.errors import DocumentError
from tasks.rows import Modality

_DISTINCT = 32  # files; a longer list repeats them, and each is decoded every time
_CHUNK = 8  # files that a process decodes before it answers
_SIZE, _QUALITY = (500, 375), 90  # of the JPEGs: a picture as it is on the web
_COPIES = 4  # of each text, where repetitions are measured
_WORDS = (
    "pump",
    "valve",
    "bolt",
    "red",
    "report",
    "chart",
    "of",
    "the",
    "north",
    "steel",
    "photo",
    "with",
    "a",
    "broken",
)


def make_files(folder: Path, modality: Modality) -> list[str]:
    random = np.random.default_rng(0)
    return [_picture(folder, n, random) if modality == "image" else _sound(folder, n, random) for n in range(_DISTINCT)]


def missing(modality: Modality) -> str:
    """What this machine lacks to measure it, if anything."""
    needed = {"image": ("PIL",), "audio": ("soundfile",), "text": ("tokenizers",)}[modality]
    return ", ".join(name for name in needed if importlib.util.find_spec(name) is None)


@contextlib.contextmanager
def decoders(count: int) -> Iterator[concurrent.futures.ProcessPoolExecutor]:
    """Started processes: their start is not what is measured."""
    with concurrent.futures.ProcessPoolExecutor(count, multiprocessing.get_context("spawn")) as pool:
        for ready in [pool.submit(_decode, "image", []) for _ in range(4 * count)]:
            ready.result()
        yield pool


def media(
    modality: Modality,
    model: ModelConfig,
    pair: Pair,
    device: torch.device,
    precision: str,
    folder: Path,
    processes: int,
    seconds: float,
) -> Case:
    """Pictures or sounds from files."""
    kind = next(kind for kind in KINDS if kind.modality == modality)
    paths = make_files(folder, modality)
    gpu = device.type == "cuda"
    batch = kind.batches(device)[-1]
    many = _repeated(paths, 32 * batch if gpu else batch)
    few = _repeated(paths, batch)
    runtime = runtime_of(model, pair, str(device), precision, batch, config.TOKENS[kind.tower])
    with decoders(processes) as pool:

        def prepare(chunk: Sequence[str]) -> list[np.ndarray]:
            return pool.submit(_decode, modality, chunk).result()

        def ours() -> int:
            size = _CHUNK if gpu else 1
            chunks = [many[start : start + size] for start in range(0, len(many), size)]
            ahead = 2 * batch // size + processes + 2
            done = 0
            for _, vectors in runtime.encode_stream(modality, chunks, prepare, ahead, processes + 2):
                if isinstance(vectors, DocumentError):
                    raise vectors
                done += len(vectors)
            return done

        def plain() -> int:
            items = [_decode(modality, [path])[0] for path in few]
            plainly(pair, plain_rows(kind, items), batch, device)
            return len(items)

        if gpu:
            ours(), plain()
        sides = alternate(ours, plain, device, seconds, 3)
    clips = [np.empty((1 if modality == "image" else 3, 0))]
    name = f"JPEG {_SIZE[0]} × {_SIZE[1]}" if modality == "image" else "WAV 10 s, 3 clips"
    return Case(modality, name, batch, flop_of(kind, model, clips), *sides)


def texts(
    model: ModelConfig, pair: Pair, device: torch.device, precision: str, seconds: float, copies: int = 1
) -> Case:
    """Texts as strings; of those that occur several times, ours embeds one, as the pipeline does."""
    kind = Kind("text", SHORT, (32,), (3072,))
    batch = kind.batches(device)[-1]
    count = batch * (4 if device.type == "cuda" else 1)
    random = np.random.default_rng(0)
    distinct = [" ".join(random.choice(_WORDS, random.integers(6, 18))) for _ in range(max(1, count // copies))]
    corpus = (distinct * copies)[:count]
    random.shuffle(corpus)
    runtime = runtime_of(model, pair, str(device), precision, batch, 20)

    def ours() -> int:
        places: dict[str, int] = {}
        rows = [places.setdefault(text, len(places)) for text in corpus]
        return len(runtime.encode_texts(tokenizer.tokenize(list(places)))[rows])

    few = corpus[:batch]

    def plain() -> int:
        ids = [tokenizer.tokenize([text])[0] for text in few]
        return len(plainly(pair, tokenizer.pad(ids, config.TEXT_TOKENS), batch, device))

    ours()
    sides = alternate(ours, plain, device, seconds)
    name = "strings" if copies == 1 else f"strings, each {copies} times"
    return Case("text", name, batch, flop_of(kind, model, items_of(kind, 64)), *sides)


def repeated_texts(model: ModelConfig, pair: Pair, device: torch.device, precision: str, seconds: float) -> Case:
    return texts(model, pair, device, precision, seconds, _COPIES)


def _decode(modality: Modality, paths: Sequence[str]) -> list[np.ndarray]:
    """In a decoding process, which imports no torch."""
    from tasks.embed.imagebind import inputs

    return [inputs.from_file(modality, path) for path in paths]


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
