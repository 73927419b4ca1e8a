"""The spaces `endpoint:MODEL`: a model of embeddings behind an OpenAI-compatible endpoint, for text.

Opening one sends nothing. What was embedded is kept in the lake by its hash, so that no text is paid for twice, and
what it cost is put down in the ledger. The address of the endpoint, its key and its limits are in no fingerprint.
"""

from __future__ import annotations

import functools
import threading
from collections.abc import Callable, Sequence

import numpy as np

from tasks import tokens
from tasks.embed import windows
from tasks.errors import MissingCapabilityError
from tasks.llm.account import EmbeddingAccount, check
from tasks.llm.embedder import PROBE, Asked
from tasks.llm.key import embedding_settings
from tasks.rows import Modality, View, content_id
from tasks.settings import LlmSettings, Settings
from tasks.space_names import ENDPOINT

VERSION = 1  # part of the fingerprint: raise it when equal texts are cut or asked for differently
# OpenAI's, where nothing was embedded yet that would tell.
_DIMENSIONS = {"text-embedding-3-small": 1536, "text-embedding-3-large": 3072, "text-embedding-ada-002": 1536}

Open = Callable[[LlmSettings, Asked], EmbeddingAccount]


def asked(model: str, settings: Settings) -> Asked:
    """How a model is asked."""
    own = settings.embed.endpoint
    return Asked(model, own.dimensions.get(model), own.batch_inputs, own.batch_tokens)


class EndpointSpace:
    """See the module. `open_account` is called at the first text, or where nobody knows the dimension."""

    modalities: frozenset[Modality] = frozenset({"text"})
    views: frozenset[View] = frozenset({"text", "summary"})

    def __init__(self, model: str, settings: Settings, open_account: Open) -> None:
        self.name = f"{ENDPOINT}{model}"
        self.asked = asked(model, settings)
        self._input_tokens = settings.embed.endpoint.input_tokens
        self.settings, self._open = embedding_settings(settings), open_account
        self._lock = threading.Lock()
        self._opened: EmbeddingAccount | None = None

    @property
    def fingerprint(self) -> str:
        return content_id(ENDPOINT, VERSION, self.asked.model, self.asked.dimensions, self._input_tokens)

    @functools.cached_property
    def dimension(self) -> int:
        """As set, or as what is kept has it, or as published; else one word is embedded to see."""
        known = self.asked.dimensions or self._account.dimension() or _DIMENSIONS.get(self.asked.model)
        return known or len(self._account.vectors({PROBE: ""})[PROBE])

    def windows(self, text: str) -> list[str]:
        """Pieces of at most `input_tokens`."""
        return windows.windows(text, self._fits)

    def embed_texts(self, texts: Sequence[str]) -> np.ndarray:
        """Unit vectors. A text longer than a window gets the mean direction of its windows: nothing is cut off."""
        return self.embed_texts_for(texts, [""] * len(texts))

    def embed_texts_for(self, texts: Sequence[str], doc_ids: Sequence[str]) -> np.ndarray:
        """As `embed_texts`, paid for by these documents."""
        pieces = [self.windows(text) or [text] for text in texts]
        wanted: dict[str, str] = {}
        for windows_of, doc_id in zip(pieces, doc_ids, strict=True):
            for window in windows_of:
                wanted.setdefault(window, doc_id)
        found = self._account.vectors(wanted)
        return np.stack([_unit(np.sum([_unit(found[window]) for window in of], axis=0)) for of in pieces])

    def _fits(self, text: str) -> bool:
        """By bytes first, of which a token has one at least: most texts are short."""
        return len(text.encode("utf-8", "replace")) <= self._input_tokens or _most_tokens(text) <= self._input_tokens

    @property
    def _account(self) -> EmbeddingAccount:
        with self._lock:
            if self._opened is None:
                self._opened = self._open(self.settings, self.asked)
            return self._opened


def open_endpoint(model: str, settings: Settings, open_account: Open) -> EndpointSpace:
    """The space. Raises MissingCapabilityError where no endpoint is configured, UsageError for a bad address."""
    space = EndpointSpace(model, settings, open_account)
    found = space.settings
    if not found.base_url and not found.key() and not found.api_key_block:
        raise MissingCapabilityError(
            f"the embedding space {ENDPOINT}{model} needs an endpoint",
            "set a key (OPENAI_API_KEY, BINDERY_EMBED__ENDPOINT__API_KEY) or BINDERY_EMBED__ENDPOINT__BASE_URL",
        )
    check(found, ())
    return space


def _most_tokens(text: str) -> int:
    """No tokenizer that is in use makes more of it: older ones than ours split what is not ASCII nearly into bytes."""
    beyond = sum(len(character.encode("utf-8", "replace")) for character in text if not character.isascii())
    return max(tokens.count(text), beyond * 2 // 3)


def _unit(vector: np.ndarray) -> np.ndarray:
    """Of unit length; a zero or NaN vector stays what it is, and whoever stores vectors refuses it by name."""
    length = float(np.linalg.norm(vector))
    return np.asarray(vector / (length or 1.0), np.float32)
