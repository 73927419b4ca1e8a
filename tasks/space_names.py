"""The names of embedding spaces: as a user writes them → as tables, stages and comparisons have them.

minilm, imagebind            models that bindery comes with or fetches
endpoint:MODEL               an OpenAI-compatible endpoint's
path:FOLDER                  a sentence-transformers model on disk
"""

from __future__ import annotations

import os
import re

from tasks.errors import UsageError
from tasks.rows import content_id

ENDPOINT, PATH = "endpoint:", "path:"
_PLAIN = re.compile(r"[a-z0-9_]+")
_HASH, _READABLE = 16, 40


def full(name: str) -> str:
    """The name as it is kept: a folder is absolute, since the next run may start elsewhere. Raises UsageError."""
    for prefix in (ENDPOINT, PATH):
        if name.startswith(prefix) and not name.removeprefix(prefix).strip():
            raise UsageError(f"the embedding space {name!r} names nothing", "endpoint:MODEL, or path:FOLDER")
    if not name.startswith(PATH):
        return name
    return PATH + os.path.abspath(os.path.expanduser(name.removeprefix(PATH)))


def is_own(name: str) -> bool:
    """Whether it is a model of the user's choice, which may read any language, and not one that bindery comes with."""
    return name.startswith((ENDPOINT, PATH))


def slug(name: str, fingerprint: str) -> str:
    """What tables and stages of a space are called: letters, digits and hyphens, equal for equal models only.

    Of a folder the fingerprint alone decides, so that its vectors are found again after it was moved. Plain names are
    what they are, and have no hyphen.
    """
    if _PLAIN.fullmatch(name):
        return name
    if name.startswith(PATH):
        return f"path-{content_id(PATH, fingerprint)[:_HASH]}"
    readable = re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")[:_READABLE].rstrip("-")
    return f"{readable}-{content_id(name, fingerprint)[:_HASH]}"
