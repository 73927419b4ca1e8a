"""Films and recordings opened by PyAV: a path in, its container out; and errors that name the file they are about."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from typing import TYPE_CHECKING

from tasks import av_files
from tasks.errors import DocumentError

if TYPE_CHECKING:
    from av.container import InputContainer

MEND = av_files.HINT


@contextlib.contextmanager
def naming(path: str | os.PathLike[str]) -> Iterator[None]:
    """A DocumentError inside says which file it is about."""
    try:
        yield
    except DocumentError as error:
        if str(path) in error.message:
            raise
        raise DocumentError(error.code, f"{path}: {error.message}", error.hint) from error


@contextlib.contextmanager
def opened(path: str | os.PathLike[str]) -> Iterator[InputContainer]:
    """The file, its header read. Whatever the library raises inside is a DocumentError `malformed` naming the file."""
    with naming(path), av_files.opened(path) as container:
        yield container
