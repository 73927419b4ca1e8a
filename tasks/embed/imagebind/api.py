"""ImageBind for notebooks and downstream jobs: texts, files, pictures and arrays in, numpy vectors out.

    model = ImageBind.open()
    words, pictures = model.embed_texts(["a dog", "a car"]), model.embed_images(["rex.jpg"])
    classify(pictures, words)  # (1, 2) probabilities

Vectors are of unit length. With `normalize=False` they are what the official model returns: scaled per modality, and
averaged over a recording's clips without being normalised again. Whole files are embedded as the official code does:
the centre of a picture, three clips of a sound, five of a film.

A text longer than 77 tokens, which the official code cuts off, gets the mean direction of windows that hold all of it
(at the length that texts have).

Files are decoded by threads of this process. With `decoders` worker processes do it: files that nobody vouches for
cannot take this process down there. A script that asks for them, or for several devices, has its code below
`if __name__ == "__main__":`, because the processes import it.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from tasks import model_files
from tasks.embed.imagebind import inputs, installed
from tasks.embed.imagebind.batches import Result, matrix, named
from tasks.embed.imagebind.devices import Devices, encoder_for
from tasks.embed.imagebind.probe import TEMPERATURE, Probe, classify, linear_probe
from tasks.errors import DocumentError, UsageError
from tasks.isolation import Workers
from tasks.rows import Modality
from tasks.settings import Limits, load_settings

if TYPE_CHECKING:
    from PIL.Image import Image

    from tasks.embed.imagebind.runtime import Runtime

__all__ = ["ImageBind", "Probe", "classify", "linear_probe"]
Path_ = str | os.PathLike[str]
Sound = tuple[np.ndarray, int]  # (channels, frames) or (frames,) float samples, and their rate
_PRELOAD = ("tasks.embed.imagebind.preload",)


class ImageBind:
    """The model with what decodes for it. Made by `open`; a context manager, where worker processes are not to stay."""

    def __init__(self, encoder: Runtime | Devices, decoders: int = 0) -> None:
        self.encoder = encoder
        self._decoders = decoders
        self._limits = Limits(workers=max(1, decoders))
        self._workers: Workers | None = None

    @classmethod
    def open(
        cls,
        models: Path_ | None = None,
        device: str = "auto",
        precision: str = "auto",
        decoders: int = 0,
    ) -> Self:
        """The installed model; its towers are loaded when they are first needed, once per process.

        `models` is the folder of installed models, by default as in the settings. `device` is auto, cpu, mps, cuda,
        cuda:N, or several as cuda:0,cuda:1. `decoders` is the number of worker processes for files, 0 for none; a
        script that has some needs `if __name__ == "__main__":` around its code. Raises MissingCapabilityError where no
        model is installed.
        """
        root = model_files.root(os.fspath(models) if models is not None else load_settings().models)
        return cls(encoder_for(installed.require(root), device, precision), decoders)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        self.close()

    def close(self) -> None:
        """End the worker processes. The model stays loaded: others in this process may use it."""
        if self._workers is not None:
            self._workers.close()
            self._workers = None

    @property
    def dimension(self) -> int:
        return self.encoder.dimension

    def embed_texts(self, texts: Sequence[str], normalize: bool = True) -> np.ndarray:
        """(n, dimension) float32."""
        return matrix(self.try_embed("text", _several(texts), normalize), self.dimension)

    def embed_images(self, images: Sequence[Path_ | Image | np.ndarray], normalize: bool = True) -> np.ndarray:
        """(n, dimension) float32 of files, PIL images, or uint8 arrays (height, width, 3)."""
        return matrix(self.try_embed("image", _several(images), normalize), self.dimension)

    def embed_audio(self, sounds: Sequence[Path_ | Sound], normalize: bool = True) -> np.ndarray:
        """(n, dimension) float32 of files, or pairs of samples (channels, frames) and their rate."""
        return matrix(self.try_embed("audio", _several(sounds), normalize), self.dimension)

    def embed_videos(self, videos: Sequence[Path_], normalize: bool = True) -> np.ndarray:
        """(n, dimension) float32 of files."""
        return matrix(self.try_embed("video", _several(videos), normalize), self.dimension)

    def embed_depth(self, maps: Sequence[Path_ | np.ndarray], normalize: bool = True) -> np.ndarray:
        """(n, dimension) float32 of files, or arrays (height, width)."""
        return matrix(self.try_embed("depth", _several(maps), normalize), self.dimension)

    def embed_thermal(self, maps: Sequence[Path_ | np.ndarray], normalize: bool = True) -> np.ndarray:
        """(n, dimension) float32 of files, or arrays (height, width)."""
        return matrix(self.try_embed("thermal", _several(maps), normalize), self.dimension)

    def embed_imu(self, motions: Sequence[Path_ | np.ndarray], normalize: bool = True) -> np.ndarray:
        """(n, dimension) float32 of files, or arrays of six channels of accelerations and turns."""
        return matrix(self.try_embed("imu", _several(motions), normalize), self.dimension)

    def try_embed(self, modality: Modality, items: Sequence[Any], normalize: bool = True) -> list[Result]:
        """For each item its vector, or a DocumentError that says which it is; one's failure does not touch the others.

        `items` are what `embed_texts`, `embed_images` and so on take.
        """
        items = _several(items)
        results = self._texts(items) if modality == "text" else self._media(modality, items)
        if normalize:
            results = [r if isinstance(r, DocumentError) else _unit(r) for r in results]
        return named(results, modality)

    def classify(
        self, vectors: np.ndarray, labels: Sequence[str] | np.ndarray, temperature: float = TEMPERATURE
    ) -> np.ndarray:
        """(n, labels) probabilities; labels are texts, such as "a photo of a dog", or their vectors. See `classify`."""
        return classify(vectors, labels if isinstance(labels, np.ndarray) else self.embed_texts(labels), temperature)

    def _texts(self, texts: Sequence[Any]) -> list[Result]:
        from tasks.embed.imagebind import tokenizer

        for index, text in enumerate(texts):
            if not isinstance(text, str):
                raise UsageError(f"item {index} is a {type(text).__name__}, not a text")
        pieces = [tokenizer.windows(text) or [text] for text in texts]
        ids = tokenizer.tokenize([piece for windows in pieces for piece in windows])
        arrays = [np.asarray(row, dtype=np.int64)[None] for row in ids]
        found = iter(self.encoder.start("text", arrays)())
        return [_joined([next(found) for _ in windows]) for windows in pieces]

    def _media(self, modality: Modality, items: Sequence[Any]) -> list[Result]:
        results: list[Result] = [DocumentError("embed_failed", "it was not reached")] * len(items)
        files = any(isinstance(item, (str, os.PathLike)) for item in items)
        workers = self._processes() if self._decoders and files else None

        def prepare(index: int) -> list[np.ndarray]:
            item = items[index]
            if workers is None or not isinstance(item, (str, os.PathLike)):
                return [inputs.prepare(modality, item)]
            path = os.fspath(item)
            limit = self._limits.seconds_per_document
            return [workers.call(inputs.from_file, modality, path, seconds=limit, name=path)]

        threads = self._decoders if workers else _cores()
        for index, found in self.encoder.encode_stream(modality, range(len(items)), prepare, threads=threads):
            results[index] = found if isinstance(found, DocumentError) else found[0]
        return results

    def _processes(self) -> Workers:
        if self._workers is None:
            self._workers = Workers(self._limits, _PRELOAD)
        return self._workers


def _joined(windows: Sequence[Result]) -> Result:
    """A text of several windows: their mean direction, at the length that the vectors of texts have."""
    vectors: list[np.ndarray] = []
    for window in windows:
        if isinstance(window, DocumentError):
            return window
        vectors.append(window)
    if len(vectors) == 1:
        return vectors[0]
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    mean = np.mean(vectors / lengths, axis=0)
    if not mean.any():
        return DocumentError("embed_failed", "the directions of its windows cancel out", "embed parts of it")
    return np.asarray(_unit(mean) * lengths.mean(), dtype=np.float32)


def _unit(vector: np.ndarray) -> np.ndarray:
    return np.asarray(vector / np.linalg.norm(vector), dtype=np.float32)


def _several(items: Any) -> Sequence[Any]:
    """One text is not a sequence of letters, nor one path."""
    if isinstance(items, (str, os.PathLike)):
        raise UsageError("a list is expected, not one text or path", f"[{str(items)[:40]!r}]")
    return items if isinstance(items, Sequence) else list(items)


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
