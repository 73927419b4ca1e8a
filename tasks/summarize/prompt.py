"""The prompts: files beside this one, each with its version in the first line."""

from __future__ import annotations

import dataclasses
import functools
import hashlib
from importlib import resources
from typing import Literal

Name = Literal["text", "table", "image", "repair"]
_FIRST = "version: "


@dataclasses.dataclass(frozen=True, slots=True)
class Prompt:
    """A prompt with `{placeholders}`. The digest is that of the whole file: a change without a new version counts."""

    name: str
    version: int
    text: str
    digest: str

    def fill(self, **values: str) -> str:
        text = self.text
        for name, value in values.items():
            text = text.replace(f"{{{name}}}", value)
        return text


@functools.cache
def load(name: Name) -> Prompt:
    data = resources.files("tasks.summarize").joinpath("prompts", f"{name}.md").read_text("utf-8")
    first, _, text = data.partition("\n")
    if not first.startswith(_FIRST):
        raise ValueError(f"tasks/summarize/prompts/{name}.md has no version in its first line")
    return Prompt(name, int(first.removeprefix(_FIRST)), text.strip(), hashlib.sha256(data.encode()).hexdigest())
