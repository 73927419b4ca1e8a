"""The `imagebind` space: pictures, recordings, videos, depth and thermal maps, motion and texts find each other.

In the pipeline: the raw view of every chunk that has media, and every summary in windows of 77 tokens. Vectors are of
unit length; the scales that the model was trained with are a matter of classification (`api`). The model is loaded at
first use, and only the towers that are needed. The checkpoint is the user's own: CC BY-NC-SA 4.0.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from tasks import model_files
from tasks.embed.imagebind import installed
from tasks.embed.imagebind.installed import Installed
from tasks.embed.media import Call, MediaItem, Medium, call_here
from tasks.errors import DocumentError
from tasks.rows import Box, Modality, View, content_id
from tasks.settings import ComputeSettings, load_settings

if TYPE_CHECKING:
    from tasks.embed.imagebind.devices import Devices
    from tasks.embed.imagebind.images import ImageView
    from tasks.embed.imagebind.runtime import Runtime

# Part of the fingerprint: raise it when equal inputs give other vectors. The versions of the libraries that decode are
# not in it: what they make is pinned by the reference fixtures in tests/, which would fail first.
VERSION = 1


class ImageBindSpace:
    """See the module. A `MediaSpace`."""

    name = "imagebind"
    modalities: frozenset[Modality] = frozenset({"text", "image", "audio", "video", "depth", "thermal", "imu"})
    views: frozenset[View] = frozenset({"summary", "raw"})

    def __init__(self, model: Installed, compute: ComputeSettings, max_pixels: int) -> None:
        self._model, self._compute, self._max_pixels = model, compute, max_pixels

    @property
    def dimension(self) -> int:
        return self._model.config.dimension

    @property
    def fingerprint(self) -> str:
        return f"{self._model.sha256}:{content_id(self._model.config.to_json())}:{VERSION}"

    @functools.cached_property
    def _encoder(self) -> Runtime | Devices:
        from tasks.embed.imagebind.devices import encoder_for

        return encoder_for(self._model, self._compute.device, self._compute.precision)

    def windows(self, text: str) -> list[str]:
        """Pieces of at most 77 tokens that together hold all of the text."""
        from tasks.embed.imagebind import tokenizer

        return tokenizer.windows(text)

    def embed_texts(self, texts: Sequence[str]) -> np.ndarray:
        """Unit vectors. A text longer than a window gets the mean direction of its windows: nothing is cut off."""
        from tasks.embed.imagebind import tokenizer

        pieces = [self.windows(text) or [""] for text in texts]
        ids = tokenizer.tokenize([piece for windows in pieces for piece in windows])
        found = iter(_unit(self._encoder.encode_texts(ids)))
        return _unit(np.stack([np.mean([next(found) for _ in windows], axis=0) for windows in pieces]))

    def media_items(
        self, media: Sequence[Medium], tiles: int, call: Call = call_here
    ) -> list[list[MediaItem] | DocumentError]:
        """One item, or for a picture its views: the model's own crop, all of it where that cuts off much, and parts."""
        from tasks.embed.imagebind import images

        paths = list(dict.fromkeys(medium.path for medium in media if medium.modality == "image"))
        sizes = self._sizes(paths, call)
        found: list[list[MediaItem] | DocumentError] = []
        for medium in media:
            if medium.modality != "image":
                found.append([MediaItem(medium.modality, medium.path, start=medium.start, end=medium.end)])
                continue
            size = sizes[medium.path]
            if isinstance(size, DocumentError):
                found.append(size)
            else:
                found.append([_picture(medium.path, view) for view in images.views(size[0], size[1], tiles)])
        return found

    def _sizes(self, paths: Sequence[str], call: Call) -> dict[str, tuple[int, int] | DocumentError]:
        """Of each picture; where one of them takes down whoever opens it, the others are asked for one by one."""
        from tasks.embed.imagebind import prepare

        if not paths:
            return {}
        try:
            return dict(zip(paths, call(prepare.image_sizes, paths, self._max_pixels), strict=True))
        except DocumentError as error:
            if len(paths) == 1:
                return {paths[0]: error}
            return {path: size for one in paths for path, size in self._sizes([one], call).items()}

    def embed_media(self, items: Sequence[MediaItem], call: Call = call_here) -> list[np.ndarray | DocumentError]:
        """A unit vector or a DocumentError for each item; files are decoded through `call` while the model computes."""
        from tasks.embed.imagebind import prepare

        found: list[np.ndarray | DocumentError] = [DocumentError("embed_failed", "it was not reached")] * len(items)
        jobs = _jobs(items)

        def decode(places: Sequence[int]) -> list[np.ndarray]:
            arrays: list[np.ndarray] = call(prepare.prepare, [items[place] for place in places], self._max_pixels)
            return arrays

        for modality in dict.fromkeys(item.modality for item in items):
            mine = [places for places in jobs if items[places[0]].modality == modality]
            for places, vectors in self._encoder.encode_stream(modality, mine, decode, threads=self._compute.decoders):
                for index, place in enumerate(places):
                    found[place] = vectors if isinstance(vectors, DocumentError) else _unit(vectors[index])
        return found

    def embed_file(self, modality: Modality, path: str) -> np.ndarray:
        """A whole file as a query: of a picture that the model's crop cuts much off, the letterbox.

        It is a vector that the lake has of an equal file, which therefore finds itself.
        """
        planned = self.media_items([Medium(modality, path)], 0)[0]
        if isinstance(planned, DocumentError):
            raise planned
        (vector,) = self.embed_media(planned[-1:])
        if isinstance(vector, DocumentError):
            raise vector
        return vector


def _jobs(items: Sequence[MediaItem]) -> list[list[int]]:
    """What is decoded together: the views of one picture. Parts of recordings are alone: one of a video is 18 MB."""
    pictures: dict[str, list[int]] = {}
    jobs: list[list[int]] = []
    for index, item in enumerate(items):
        if item.modality != "image":
            jobs.append([index])
        elif item.path in pictures:
            pictures[item.path].append(index)
        else:
            pictures[item.path] = [index]
            jobs.append(pictures[item.path])
    return jobs


def _picture(path: str, view: ImageView) -> MediaItem:
    return MediaItem("image", path, view.kind, Box.of(1, *view.box) if view.kind == "tile" else None)


def _unit(vectors: np.ndarray) -> np.ndarray:
    """Rows of unit length; a zero or NaN row stays what it is, and whoever stores vectors refuses it by name."""
    lengths = np.linalg.norm(vectors, axis=-1, keepdims=True)
    return np.asarray(vectors / np.where(lengths == 0, 1, lengths), np.float32)


def open_space() -> ImageBindSpace:
    """The space. Raises MissingCapabilityError where no checkpoint is installed."""
    settings = load_settings()
    model = installed.require(model_files.root(settings.models))
    return ImageBindSpace(model, settings.compute, settings.partition.max_pixels)
