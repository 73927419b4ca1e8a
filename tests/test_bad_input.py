"""Hostile and broken files beside good ones, through real worker processes: each ends with a reason of its own or a
correct result, and nothing else is touched by it."""

from __future__ import annotations

import base64
import dataclasses
import io
import os
import struct
import threading
import zipfile
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from tasks.index import open_reader
from tasks.isolation import Workers
from tasks.quarantine import read_records
from tasks.report.run import RunReport, SourceReport
from tasks.retrieve import retrieve
from tasks.rows import ChunkRow
from tests.files import (
    encoded,
    encrypt_pdf,
    make_docx,
    make_eml,
    make_pdf,
    make_pptx,
    make_scan,
    make_wav,
    make_xlsx,
    make_zip,
    picture,
)
from tests.pipeline import ingest, opened

SECRET = "kestrel-4711-vault"  # stands in a file outside the folder; entities and links try to read it


@dataclasses.dataclass(frozen=True)
class Case:
    """A file and what shall become of it: `text` in its chunks, or a failure's code, or the reason it is skipped.

    `says` must stand in the message or reason; `absent` must not be in its chunks.
    """

    data: bytes
    text: str | None = None
    code: str | None = None
    skipped: str | None = None
    says: str = ""
    absent: tuple[str, ...] = ()


def failed(data: bytes, code: str, says: str = "") -> Case:
    return Case(data, code=code, says=says)


def read(data: bytes, text: str, *absent: str) -> Case:
    return Case(data, text=text, absent=absent)


# --- making files -----------------------------------------------------------------------------------------------------


class Maker:
    """Bytes of files, made in a folder of their own."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir()

    def __call__(self, make: Callable[..., Path], *arguments: Any, name: str = "made", **options: Any) -> bytes:
        return make(self.folder / name, *arguments, **options).read_bytes()

    def pdf(self, text: str, extra: str = "") -> bytes:
        return self(make_pdf, [[(72, 700, 12, text)]], extra=extra)

    def package(self, base: bytes, changes: dict[str, bytes]) -> bytes:
        """An office file with some parts replaced or added."""
        out = io.BytesIO()
        with zipfile.ZipFile(io.BytesIO(base)) as source, zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as target:
            for part in source.namelist():
                if part not in changes:
                    target.writestr(part, source.read(part))
            for part, data in changes.items():
                target.writestr(part, data)
        return out.getvalue()

    def docx(self, text: str) -> bytes:
        return self.package(self(make_docx), {"word/document.xml": _word(f"<w:p><w:r><w:t>{text}</w:t></w:r></w:p>")})


def _word(body: str, doctype: str = "") -> bytes:
    spaces = "".join(
        f' xmlns:{name}="{uri}"'
        for name, uri in {
            "w": "http://schemas.openxmlformats.org/wordprocessingml/2006/main",
            "a": "http://schemas.openxmlformats.org/drawingml/2006/main",
            "wp": "http://schemas.openxmlformats.org/drawingml/2006/wordprocessingDrawing",
            "pic": "http://schemas.openxmlformats.org/drawingml/2006/picture",
            "r": "http://schemas.openxmlformats.org/officeDocument/2006/relationships",
        }.items()
    )
    head = '<?xml version="1.0" encoding="UTF-8" standalone="yes"?>'
    return f"{head}{doctype}<w:document{spaces}><w:body>{body}</w:body></w:document>".encode()


def zipped(members: dict[str, bytes]) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in members.items():
            archive.writestr(name, data)
    return out.getvalue()


def nested(depth: int, inner: bytes) -> bytes:
    for level in range(depth):
        inner = zipped({f"level-{level}.zip" if level else "deep.txt": inner})
    return inner


def locked(archive: bytes, name: str) -> bytes:
    """A zip whose member says that it is encrypted, in its own header and in the directory."""
    data = bytearray(archive)
    for signature, flags, length, start in ((b"PK\3\4", 6, 26, 30), (b"PK\1\2", 8, 28, 46)):
        at = data.find(signature)
        while at >= 0:
            (size,) = struct.unpack_from("<H", data, at + length)
            if data[at + start : at + start + size] == name.encode():
                data[at + flags] |= 1
            at = data.find(signature, at + 4)
    return bytes(data)


def png_of_claimed_size(width: int, height: int) -> bytes:
    import zlib

    def block(kind: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + block(b"IHDR", header) + block(b"IDAT", zlib.compress(b"\0" * 64)) + block(b"IEND", b"")


def pdf_of(objects: list[str]) -> bytes:
    out = b"%PDF-1.7\n"
    offsets = []
    for number, body in enumerate(objects, 1):
        offsets.append(len(out))
        out += f"{number} 0 obj\n{body}\nendobj\n".encode("latin-1")
    table = "".join(f"{offset:010d} 00000 n \n" for offset in offsets)
    end = f"trailer << /Size {len(objects) + 1} /Root 1 0 R >>\nstartxref\n{len(out)}\n%%EOF\n"
    return out + f"xref\n0 {len(objects) + 1}\n0000000000 65535 f \n{table}".encode() + end.encode()


def stream(content: str, extra: str = "") -> str:
    return f"<< {extra} /Length {len(content)} >>\nstream\n{content}\nendstream"


def pdf_with_actions(port: int) -> bytes:
    """JavaScript and launch actions when opened, and an embedded program."""
    script = f"app.launchURL\\('http://127.0.0.1:{port}/js'\\);"
    return pdf_of([
        "<< /Type /Catalog /Pages 2 0 R /OpenAction 6 0 R /Names << /EmbeddedFiles << /Names [(run.exe) 8 0 R] >> "
        "/JavaScript << /Names [(go) 6 0 R] >> >> >>",
        "<< /Type /Pages /Kids [3 0 R] /Count 1 >>",
        "<< /Type /Page /Parent 2 0 R /MediaBox [0 0 612 792] /Resources << /Font << /F 4 0 R >> >> /Contents 5 0 R "
        "/AA << /O 7 0 R >> >>",
        "<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica >>",
        stream("BT /F 12 Tf 72 700 Td (Minutes of the pelican committee.) Tj ET"),
        f"<< /S /JavaScript /JS ({script}) /Next 7 0 R >>",
        "<< /S /Launch /F (/bin/sh) /Win << /F (cmd.exe) >> >>",
        "<< /Type /Filespec /F (run.exe) /EF << /F 9 0 R >> >>",
        stream("MZ not really a program", "/Type /EmbeddedFile"),
    ])  # fmt: skip


def pdf_that_hangs() -> bytes:
    """Forms that each draw the next one ten times: drawing the page would take 10^12 steps."""
    forms = 12
    objects = [
        "<< /Type /Catalog /Pages 2 0 R >>",
        "<< /Type /Pages /Kids [3 0 R] /Count 1 >>",
        "<< /Type /Page /Parent 2 0 R /MediaBox [0 0 612 792] /Contents 4 0 R "
        "/Resources << /XObject << /X 5 0 R >> >> >>",
        stream("/X Do"),
    ]
    for number in range(forms):
        last = number == forms - 1
        inside = "" if last else f"/Resources << /XObject << /X {6 + number} 0 R >> >>"
        body = "0 0 10 10 re f" if last else "/X Do " * 10
        objects.append(stream(body, f"/Type /XObject /Subtype /Form /BBox [0 0 612 792] {inside}"))
    return pdf_of(objects)


def pdf_of_empty_pages(count: int) -> bytes:
    kids = " ".join(f"{number + 3} 0 R" for number in range(count))
    pages = f"<< /Type /Pages /Kids [{kids}] /Count {count} /MediaBox [0 0 612 792] >>"
    return pdf_of(["<< /Type /Catalog /Pages 2 0 R >>", pages, *["<< /Type /Page /Parent 2 0 R >>"] * count])


LAUGHS = "".join(f'<!ENTITY l{n} "{f"&l{n - 1};" * 10}">' for n in range(1, 10))


def doctype(root: str, secret: Path) -> str:
    return f'<!DOCTYPE {root} [<!ENTITY l0 "lol">{LAUGHS}<!ENTITY x SYSTEM "file://{secret}">]>'
