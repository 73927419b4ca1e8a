"""One stretch of recorded sound to be put into words, as a value; and the reply's words with their times.

POST /audio/transcriptions is asked for segments (`verbose_json`). Models that do not know them say so, and are asked
for the words alone from then on. What a reply holds is read leniently and trusted in nothing: times are bounded, text
is cleaned by whoever keeps it.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import math
import time
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

import orjson

from tasks.llm.responses import Response

SPEECH_VERSION = 1
# Audio and text tokens of a second at most, for the models that are billed by tokens: theirs is 10 of sound, and nobody
# speaks more than about 6 of text.
TOKENS_PER_SECOND = 10
_ABOUT_FORMAT = ("response_format", "verbose_json", "response format")


@dataclasses.dataclass(frozen=True, slots=True)
class Speech:
    """`sound` is a file with samples whose sha256 is `digest`: equal sound is asked about once, wherever it is."""

    model: str
    sound: Path
    digest: str
    seconds: float
    language: str | None = None
    prompt: str | None = None

    def key(self) -> str:
        """sha256 of all that shapes the answer; neither the file's name nor the endpoint's address is in it."""
        value = {
            "speech": SPEECH_VERSION,
            "model": self.model,
            "sound": self.digest,
            "language": self.language,
            "prompt": self.prompt,
        }
        return hashlib.sha256(json.dumps(value, sort_keys=True, separators=(",", ":")).encode()).hexdigest()

    @property
    def tokens(self) -> int:
        """Of the prompt; the answer's are as many at most."""
        return math.ceil(self.seconds * TOKENS_PER_SECOND)


@dataclasses.dataclass(frozen=True, slots=True)
class Spoken:
    """What an endpoint understands: with segments, or words alone."""

    segments: bool = True

    def after(self, refusal: str, sent: Collection[str]) -> Spoken | None:
        said = refusal.casefold()
        learns = self.segments and "response_format" in sent and any(word in said for word in _ABOUT_FORMAT)
        return Spoken(segments=False) if learns else None


def fields(request: Speech, spoken: Spoken) -> dict[str, str]:
    """The fields of the form beside the file."""
    found = {"model": request.model, "response_format": "verbose_json" if spoken.segments else "json"}
    if request.language:
        found["language"] = request.language
    if request.prompt:
        found["prompt"] = request.prompt
    return found


@dataclasses.dataclass(frozen=True, slots=True)
class Said:
    """Words with their seconds from the beginning of the sound. `probability` is that of its tokens, 0 to 1, where the
    endpoint tells; `exact` whether the times are the endpoint's, or only those of the whole sound."""

    text: str
    start: float
    end: float
    probability: float | None = None
    exact: bool = True


def said(raw: bytes, seconds: float) -> tuple[str, list[Said]]:
    """The language, "" where it is not told, and the words of a reply in order of time. Raises ValueError."""
    try:
        body = orjson.loads(raw)
        text = body.get("text")
        found = body.get("segments")
    except (orjson.JSONDecodeError, AttributeError) as error:
        raise ValueError(f"no transcript ({type(error).__name__})") from None
    if not isinstance(text, str) and not isinstance(found, list):
        raise ValueError("no transcript (neither text nor segments)")
    language = body.get("language")
    segments = [one for each in found if (one := _segment(each, seconds))] if isinstance(found, list) else []
    if not segments and isinstance(text, str) and text.strip():
        segments = [Said(text, 0.0, seconds, exact=False)]
    segments.sort(key=lambda one: (one.start, one.end))
    return language if isinstance(language, str) else "", segments


def read(key: str, request: Speech, raw: bytes, prompt_tokens: int) -> Response:
    """The reply as a kept response: its words in `text`, the whole of it in `raw`. Tokens are those that are billed:
    none where it is billed by the second. Raises ValueError."""
    _, segments = said(raw, request.seconds)
    usage = _usage(raw)
    return Response(
        key=key,
        model=request.model,
        text=" ".join(one.text.strip() for one in segments),
        refusal=None,
        finish="stop",
        prompt_tokens=_count(usage.get("input_tokens")),
        completion_tokens=_count(usage.get("output_tokens")),
        cached_tokens=0,
        created=time.time(),
        raw=raw,
    )


def billed(request: Speech, raw: bytes) -> tuple[float, int]:
    """Seconds and tokens of sound that a reply was billed for; endpoints that do not say take whole seconds."""
    usage = _usage(raw)
    seconds = usage.get("seconds")
    known = isinstance(seconds, int | float) and math.isfinite(seconds) and seconds >= 0
    details = usage.get("input_token_details")
    of_sound = details.get("audio_tokens") if isinstance(details, Mapping) else None
    return (float(seconds) if known and seconds is not None else float(math.ceil(request.seconds))), _count(of_sound)


def _usage(raw: bytes) -> Mapping[str, Any]:
    try:
        usage = orjson.loads(raw).get("usage")
    except (orjson.JSONDecodeError, AttributeError):
        return {}
    return usage if isinstance(usage, Mapping) else {}


def _segment(value: Any, seconds: float) -> Said | None:
    """A segment that says something at a time within the sound."""
    if not isinstance(value, Mapping) or not isinstance(value.get("text"), str) or not value["text"].strip():
        return None
    start, end = _time(value.get("start"), seconds), _time(value.get("end"), seconds)
    likely = value.get("avg_logprob")
    known = isinstance(likely, int | float) and math.isfinite(likely)
    probability = round(min(1.0, math.exp(min(0.0, likely))), 3) if known and likely is not None else None
    if start is None or end is None or end < start:
        return Said(value["text"], 0.0, seconds, probability, exact=False)
    return Said(value["text"], start, end, probability)


def _time(value: Any, seconds: float) -> float | None:
    if not isinstance(value, int | float) or not math.isfinite(value):
        return None
    return min(max(0.0, float(value)), seconds)


def _count(value: Any) -> int:
    return value if isinstance(value, int) and value >= 0 else 0
