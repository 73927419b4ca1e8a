"""The bytes of a 200 from POST /chat/completions → a Response; what is no completion is a ValueError.

Read by hand and leniently: endpoints leave fields out, and what is missing besides the answer itself is no failure.
"""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from typing import Any

import orjson

from tasks.llm.responses import Response


def read(key: str, model: str, raw: bytes, prompt_tokens: int) -> Response:
    """`model` and `prompt_tokens` are what to put down where the endpoint does not say what it used."""
    try:
        body = loads(raw)
        choice = body["choices"][0]
        message = choice["message"]
        text, refusal = _text(message.get("content")), message.get("refusal") or None
        usage = body.get("usage") or {}
        cached = (usage.get("prompt_tokens_details") or {}).get("cached_tokens")
        return Response(
            key=key,
            model=_string(body.get("model")) or model,
            text=text,
            refusal=_string(refusal) if refusal is not None else None,
            finish=_string(choice.get("finish_reason")) or "stop",
            prompt_tokens=_count(usage.get("prompt_tokens"), prompt_tokens),
            completion_tokens=_count(usage.get("completion_tokens"), -(-len(text.encode()) // 3)),
            cached_tokens=_count(cached, 0),
            created=time.time(),
            raw=raw,
        )
    except (ValueError, KeyError, IndexError, TypeError, AttributeError) as error:
        raise ValueError(f"no chat completion ({type(error).__name__})") from None


def loads(raw: bytes) -> Any:
    """JSON as endpoints write it: half a surrogate pair, which orjson refuses, becomes U+FFFD."""
    try:
        return orjson.loads(raw)
    except orjson.JSONDecodeError:
        return _whole(json.loads(raw))


def _whole(value: Any) -> Any:
    if isinstance(value, str):
        return value.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    if isinstance(value, list):
        return [_whole(each) for each in value]
    if isinstance(value, dict):
        return {_whole(name): _whole(each) for name, each in value.items()}
    return value


def _text(content: Any) -> str:
    if isinstance(content, list):  # the parts of a multimodal answer
        return "".join(part["text"] for part in content if isinstance(part, Mapping) and part.get("type") == "text")
    if content is not None and not isinstance(content, str):
        raise TypeError
    return content or ""


def _string(value: Any) -> str:
    return value if isinstance(value, str) else ""


def _count(value: Any, otherwise: int) -> int:
    return value if isinstance(value, int) and value >= 0 else otherwise
