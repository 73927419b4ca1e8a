"""The spaces `path:FOLDER`: a sentence-transformers model on disk, such as a Chinese or multilingual one, for text.

Opening one reads small files; the model is loaded at the first text, from that folder alone, and runs no code of it.
Where the model has prompts for queries and for documents (config_sentence_transformers.json), each gets its own.
"""

from __future__ import annotations

import functools
import logging
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from tasks.embed import model_folder, windows
from tasks.embed.model_folder import ModelFolder
from tasks.errors import MissingCapabilityError, ModelError
from tasks.rows import Modality, View, content_id
from tasks.settings import ComputeSettings
from tasks.space_names import PATH

if TYPE_CHECKING:
    from sentence_transformers import SentenceTransformer

VERSION = 1  # part of the fingerprint: raise it when equal texts are cut or asked for differently
# What prompts are called. sentence-transformers adds empty ones under the first names, so that those do not count.
_DOCUMENTS, _QUERIES = ("document", "passage", "corpus"), ("query",)
_LONGEST = 8192  # tokens, where a model does not say
_BATCH = 32


class FolderSpace:
    """See the module. Usable from several threads, one at a time."""

    modalities: frozenset[Modality] = frozenset({"text"})
    views: frozenset[View] = frozenset({"text", "summary"})

    def __init__(self, model: ModelFolder, compute: ComputeSettings) -> None:
        self.name = f"{PATH}{model.path}"
        self.fingerprint = content_id(PATH, VERSION, model.fingerprint)
        self._folder, self._compute = model, compute
        self._lock = threading.RLock()  # its tokenizer can be used by one thread only

    @functools.cached_property
    def dimension(self) -> int:
        return self._folder.dimension or _dimension(self._model)

    @functools.cached_property
    def _model(self) -> SentenceTransformer:
        with self._lock:
            model = _load(self._folder.path, self._compute)
            if self._folder.dimension not in (None, _dimension(model)):
                raise MissingCapabilityError(
                    f"the model {self._folder.path} gives vectors of {_dimension(model)} dimensions, and its files say "
                    f"{self._folder.dimension}",
                    "get it again",
                )
            return model

    def windows(self, text: str) -> list[str]:
        """Pieces that the model reads whole, with its prompt for documents before them."""
        return self._windows(text, _DOCUMENTS)

    def _prompt(self, names: Sequence[str]) -> str:
        prompts = self._model.prompts
        wanted = (prompts.get(name or "") for name in (*names, self._model.default_prompt_name))
        return next((prompt for prompt in wanted if prompt), "")

    def _windows(self, text: str, names: Sequence[str]) -> list[str]:
        with self._lock:
            prompt = self._prompt(names)
            longest = min(self._model.max_seq_length or _LONGEST, _LONGEST)

            def fits(piece: str) -> bool:
                return len(self._model.tokenizer(prompt + piece, verbose=False)["input_ids"]) <= longest

            return windows.windows(text, fits)

    def embed_texts(self, texts: Sequence[str]) -> np.ndarray:
        """Unit vectors of documents. A text longer than a window gets the mean direction of its windows."""
        pieces = [self.windows(text) or [text] for text in texts]
        found = iter(self._encoded([window for of in pieces for window in of], _DOCUMENTS))
        return _unit(np.stack([np.sum([next(found) for _ in of], axis=0) for of in pieces]))

    def embed_query(self, text: str) -> np.ndarray:
        """A unit vector: of a query, as the model was trained to tell it from a document."""
        pieces = self._windows(text, _QUERIES) or [text]
        return np.asarray(_unit(np.sum(self._encoded(pieces, _QUERIES), axis=0)[None])[0], np.float32)

    def _encoded(self, texts: Sequence[str], names: Sequence[str]) -> np.ndarray:
        with self._lock:
            # By its own methods, because some models have a part of their own for queries.
            encode = self._model.encode_query if names is _QUERIES else self._model.encode_document
            found = encode(
                list(texts),
                prompt=self._prompt(names),
                batch_size=_BATCH,
                show_progress_bar=False,
                normalize_embeddings=True,
            )
        return np.asarray(found, np.float32)


@functools.lru_cache(4)
def _opened(model: ModelFolder, compute: ComputeSettings) -> FolderSpace:
    return FolderSpace(model, compute)


def open_folder(folder: str, compute: ComputeSettings) -> FolderSpace:
    """The space, one per process and state of its files. Raises MissingCapabilityError where there is no such model."""
    return _opened(model_folder.read(Path(folder)), compute)


def _load(folder: Path, compute: ComputeSettings) -> SentenceTransformer:
    import transformers
    from sentence_transformers import SentenceTransformer

    from tasks.embed.imagebind.lane import find_device, find_dtype

    transformers.utils.logging.disable_progress_bar()  # type: ignore[no-untyped-call]
    for name in ("sentence_transformers", "transformers"):
        logging.getLogger(name).setLevel(logging.ERROR)
    device = find_device(compute.device.partition(",")[0])
    arguments: dict[str, Any] = {"use_safetensors": True, "dtype": find_dtype(compute.precision, device)}
    try:
        model = SentenceTransformer(
            str(folder), device=str(device), local_files_only=True, trust_remote_code=False, model_kwargs=arguments
        )
    except Exception as error:
        what = " ".join(f"{type(error).__name__}: {error}".split())[:300]
        raise ModelError(f"the model in {folder} cannot be loaded: {what}", "get it again, or use another") from error
    return model.eval()


def _dimension(model: SentenceTransformer) -> int:
    found = model.get_embedding_dimension()
    if found is None:
        found = int(model.encode(["word"], show_progress_bar=False).shape[1])
    return int(found)


def _unit(vectors: np.ndarray) -> np.ndarray:
    """Rows of unit length; a zero or NaN row stays what it is, and whoever stores vectors refuses it by name."""
    lengths = np.linalg.norm(vectors, axis=-1, keepdims=True)
    return np.asarray(vectors / np.where(lengths == 0, 1, lengths), np.float32)
