"""What the fake endpoint does with sound: a form in, the words of its tones out, as /audio/transcriptions answers.

It decodes what it got and checks that it is what endpoints take: a whole sound, neither too long nor too short.
"""

from __future__ import annotations

import dataclasses
import hashlib
import io
import math
from collections.abc import Mapping
from typing import Any

import numpy as np
import soundfile

from tests.llm import spoken

MAX_BYTES = 25_000_000
_SHORTEST = 0.1
TOKENS_PER_SECOND = 10


@dataclasses.dataclass(frozen=True, slots=True)
class Refused:
    status: int
    code: str
    message: str
    param: str | None = None


@dataclasses.dataclass(frozen=True, slots=True)
class Heard:
    reply: dict[str, Any]
    prompt: int
    completion: int
    seconds: int


def form(content_type: str, raw: bytes) -> dict[str, Any]:
    """The fields of a form; of a file its name, size and sha256, and its sound, under `file`."""
    boundary = content_type.partition("boundary=")[2].strip('"').encode()
    found: dict[str, Any] = {}
    for part in raw.split(b"--" + boundary)[1:-1]:
        head, _, content = part.removeprefix(b"\r\n").partition(b"\r\n\r\n")
        content = content.removesuffix(b"\r\n")
        labels = head.decode().replace("\r\n", ";")
        names = dict(label.strip().split("=", 1) for label in labels.split(";") if "=" in label)
        name = names["name"].strip('"')
        if "filename" in names:
            found[name] = {
                "name": names["filename"].strip('"'),
                "bytes": len(content),
                "sha256": hashlib.sha256(content).hexdigest(),
                "sound": content.hex(),
            }
        else:
            found[name] = content.decode()
    return found


def problem(body: Mapping[str, Any], formats: tuple[str, ...]) -> Refused | None:
    """What an endpoint would say to it."""
    wanted = body.get("response_format", "json")
    if wanted not in formats:
        message = f"response_format '{wanted}' is not compatible with model '{body['model']}'. Use 'json' instead."
        return Refused(400, "unsupported_value", message, "response_format")
    if body["file"]["bytes"] > MAX_BYTES:
        return Refused(413, "too_large", "Maximum content size limit (26214400) exceeded")
    try:
        samples, rate = _sound(body)
    except soundfile.LibsndfileError as error:
        return Refused(400, "invalid_request_error", f"Invalid file format: {error}", "file")
    if len(samples) < _SHORTEST * rate:
        return Refused(400, "audio_too_short", "Audio file is too short. Minimum audio length is 0.1 seconds.", "file")
    return None


def answer(body: Mapping[str, Any], by_tokens: bool) -> Heard:
    samples, rate = _sound(body)
    length = len(samples) / rate
    groups = spoken.segments(spoken.hear(samples, rate))
    texts = [" ".join(word.text for word in group).capitalize() + "." for group in groups]
    text = " ".join(texts)
    seconds = math.ceil(length)
    prompt, completion = (TOKENS_PER_SECOND * seconds, len(text.split())) if by_tokens else (0, 0)
    usage: dict[str, Any] = {"type": "duration", "seconds": seconds}
    if by_tokens:
        details = {"audio_tokens": prompt, "text_tokens": 0}
        usage = {"type": "tokens", "input_tokens": prompt, "output_tokens": completion, "input_token_details": details}
    reply: dict[str, Any] = {"text": text, "usage": usage}
    if body.get("response_format") == "verbose_json":
        reply |= {"task": "transcribe", "language": body.get("language", "english"), "duration": length}
        reply["segments"] = [
            {
                "id": number, "start": round(group[0].start, 2), "end": round(group[-1].end, 2), "text": f" {said}",
                "avg_logprob": -0.1, "no_speech_prob": 0.01, "temperature": 0.0,
            }
            for number, (group, said) in enumerate(zip(groups, texts, strict=True))
        ]  # fmt: skip
    return Heard(reply, prompt, completion, 0 if by_tokens else seconds)


def _sound(body: Mapping[str, Any]) -> tuple[np.ndarray, int]:
    samples, rate = soundfile.read(io.BytesIO(bytes.fromhex(body["file"]["sound"])), dtype="float32")
    if samples.ndim > 1:
        samples = samples.mean(axis=1)
    return samples, rate
