"""The bytes of a 200 from POST /embeddings → vectors in the order of the inputs; what are none is a ValueError.

Read by hand and leniently, as `reply` is: base64 or numbers, with or without places and usage.
"""

from __future__ import annotations

import base64
from typing import Any

import numpy as np
import orjson


def read(raw: bytes, count: int) -> tuple[list[np.ndarray], int | None]:
    """The vectors of a reply in the order of the inputs, and the tokens that it says were used.

    Raises ValueError for what are not `count` vectors of one length.
    """
    try:
        body = orjson.loads(raw)
        rows = sorted(enumerate(body["data"]), key=lambda row: row[1].get("index", row[0]))
        places = [row.get("index", place) for place, row in rows]
        vectors = [_vector(row["embedding"]) for _, row in rows]
        used = (body.get("usage") or {}).get("prompt_tokens")
    except (KeyError, TypeError, AttributeError, ValueError) as error:
        raise ValueError(f"no embeddings ({type(error).__name__})") from None
    if places != list(range(count)):
        raise ValueError(f"{len(vectors)} embeddings for {count} texts")
    if len({len(vector) for vector in vectors}) != 1 or not len(vectors[0]):
        raise ValueError("embeddings of different lengths")
    return vectors, used if isinstance(used, int) and used >= 0 else None


def _vector(value: Any) -> np.ndarray:
    if isinstance(value, str):
        return np.frombuffer(base64.b64decode(value, validate=True), "<f4")
    vector = np.array(value, "<f4")
    if vector.ndim != 1:
        raise ValueError
    return vector
