"""What an endpoint understands of a request, learnt from its refusals: a body as we want it → one that it takes.

Endpoints differ in small ways (structured output, the name of the output limit, whether a temperature may be set). One
that answers 400 about such a thing is asked again without it, once per model, for all requests to come.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Collection, Mapping
from typing import Any, Literal
from urllib.parse import urlsplit

_UNSUPPORTED = ("unsupported", "not support", "unrecognized", "unknown", "unexpected", "not permitted", "not allowed")
_FORMAT_WORDS = ("response_format", "json_schema", "json_object", "structured output")
_LIMITS = ("max_tokens", "max_completion_tokens")


@dataclasses.dataclass(frozen=True, slots=True)
class Dialect:
    response_format: Literal["json_schema", "json_object", "text"] = "json_schema"
    limit: str = "max_tokens"
    other_limit: bool = True  # whether the limit's other name is still to be tried
    dropped: frozenset[str] = frozenset()

    def spoken(self, body: Mapping[str, Any]) -> dict[str, Any]:
        """The body for this endpoint. Where it enforces no schema, the instructions ask for it."""
        result = {name: value for name, value in body.items() if name not in self.dropped}
        if "max_tokens" in result:
            result[self.limit] = result.pop("max_tokens")
        if self.response_format != "json_schema" and "response_format" in body:
            schema = body["response_format"]["json_schema"]["schema"]
            result["messages"] = _instructed(body["messages"], schema)
            del result["response_format"]
            if self.response_format == "json_object":
                result["response_format"] = {"type": "json_object"}
        return result

    def after(self, refusal: str, sent: Collection[str]) -> Dialect | None:
        """What to try next, given what a 400 says about a request with these `parameters`; None where that is not
        about dialect."""
        said = refusal.casefold()
        if "response_format" in sent and self.response_format != "text" and any(w in said for w in _FORMAT_WORDS):
            return dataclasses.replace(
                self, response_format="json_object" if self.response_format == "json_schema" else "text"
            )
        if not any(word in said for word in _UNSUPPORTED):
            return None
        if self.limit in said and self.other_limit:
            other = _LIMITS[1 - _LIMITS.index(self.limit)]
            return dataclasses.replace(self, limit=other, other_limit=False)
        for name in ("temperature", "seed"):
            if name in said and name in sent and name not in self.dropped:
                return dataclasses.replace(self, dropped=self.dropped | {name})
        return None


def of(base_url: str) -> Dialect:
    """What to begin with. OpenAI's newer models refuse `max_tokens`; others may ignore a name that they do not know,
    and then nothing would limit the answer."""
    host = urlsplit(base_url).hostname or ""
    theirs = host.endswith((".openai.com", ".openai.azure.com"))
    return Dialect(limit="max_completion_tokens" if theirs else "max_tokens")


def _instructed(messages: list[dict[str, Any]], schema: Mapping[str, Any]) -> list[dict[str, Any]]:
    text = (
        "Answer with one JSON object and nothing else. It satisfies this JSON schema:\n"
        f"{json.dumps(schema, ensure_ascii=False)}"
    )
    if messages and messages[0]["role"] == "system" and isinstance(messages[0]["content"], str):
        first = {**messages[0], "content": f"{messages[0]['content']}\n\n{text}"}
        return [first, *messages[1:]]
    return [{"role": "system", "content": text}, *messages]
