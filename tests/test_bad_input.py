"""Hostile and broken files beside good ones, through real worker processes: each ends with a reason of its own or a
correct result, and nothing else is touched by it."""

from __future__ import annotations

import base64
import dataclasses
import glob
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
    depth_map,
    encoded,
    encrypt_pdf,
    make_array,
    make_docx,
    make_eml,
    make_pdf,
    make_pptx,
    make_video,
    make_wav,
    make_xlsx,
    motion,
    picture,
)
from tests.pipeline import ingest, opened

SECRET = "kestrel-4711-vault"  # stands in a file outside the folder; entities and links try to read it


@dataclasses.dataclass(frozen=True)
class Case:
    """A file and what shall become of it: `text` in its chunks, or a failure's code, or the reason it is skipped.

    `says` must stand in the message; `absent` must not be in its chunks; `warns` must be in the report's warnings.
    """

    data: bytes
    text: str | None = None
    code: str | None = None
    skipped: str | None = None
    says: str = ""
    absent: tuple[str, ...] = ()
    warns: str = ""


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
    return (
        b"\x89PNG\r\n\x1a\n" + block(b"IHDR", header) + block(b"IDAT", zlib.compress(b"\0" * 64)) + block(b"IEND", b"")
    )


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


def pdf_that_grows() -> bytes:
    """Forms that each draw the next one ten times: reading the page would take 10^12 objects."""
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


def pdf_that_hangs() -> bytes:
    """A page whose colour is computed by 40,000 steps for each of its pixels."""
    return pdf_of([
        "<< /Type /Catalog /Pages 2 0 R >>",
        "<< /Type /Pages /Kids [3 0 R] /Count 1 >>",
        "<< /Type /Page /Parent 2 0 R /MediaBox [0 0 612 792] /Contents 4 0 R "
        "/Resources << /Shading << /S 5 0 R >> >> >>",
        stream("/S sh"),
        "<< /ShadingType 1 /ColorSpace /DeviceRGB /Domain [0 1 0 1] /Matrix [612 0 0 792 0 0] /Function 6 0 R >>",
        stream("{ " + "2 copy mul pop " * 40_000 + "0 }", "/FunctionType 4 /Domain [0 1 0 1] /Range [0 1 0 1 0 1]"),
    ])  # fmt: skip


def pdf_of_empty_pages(count: int) -> bytes:
    kids = " ".join(f"{number + 3} 0 R" for number in range(count))
    pages = f"<< /Type /Pages /Kids [{kids}] /Count {count} /MediaBox [0 0 612 792] >>"
    return pdf_of(["<< /Type /Catalog /Pages 2 0 R >>", pages, *["<< /Type /Page /Parent 2 0 R >>"] * count])


LAUGHS = "".join(f'<!ENTITY l{n} "{f"&l{n - 1};" * 10}">' for n in range(1, 10))


def laughing(root: str, secret: Path) -> str:
    """A document type whose entity &l9; is 10^9 words, and &x; the content of a file of this machine."""
    return f'<!DOCTYPE {root} [<!ENTITY l0 "lol">{LAUGHS}<!ENTITY x SYSTEM "file://{secret}">]>'


def empty_files() -> dict[str, Case]:
    extensions = (
        "txt", "md", "html", "csv", "eml", "pdf", "docx", "xlsx", "pptx", "png", "jpg", "wav", "mp3", "zip",
        "mp4", "mov", "mkv", "webm", "avi", "m4a", "ogg", "depth.png", "thermal.npy", "imu.npy", "imu.csv",
    )  # fmt: skip
    return {f"empty.{extension}": failed(b"", "empty_file", "0 bytes") for extension in extensions}


def truncated_files(make: Maker) -> dict[str, Case]:
    rng = np.random.default_rng(1)
    noise = Image.fromarray(rng.integers(0, 255, (120, 160, 3), dtype=np.uint8))
    frames = rng.integers(-8000, 8000, 16_000, dtype=np.int16)
    flac = io.BytesIO()
    import soundfile

    soundfile.write(flac, frames, 16_000, format="FLAC")
    office = {"docx": make(make_docx), "xlsx": make(make_xlsx, name="x.xlsx"), "pptx": make(make_pptx)}
    pages = [[(72.0, 700.0, 12.0, f"Page {page} of the stork survey.")] for page in range(4)]
    pdf = make(make_pdf, pages)
    tone, mail = make(make_wav, 2.0), make(make_eml)
    archive = zipped({"a.txt": b"inside the archive " * 50})
    cases = {f"cut.{name}": failed(half(data), "malformed", "zip directory") for name, data in office.items()}
    cases |= {
        "cut.zip": failed(half(archive), "malformed", "zip directory"),
        "cut.png": failed(half(encoded(noise)), "malformed", "cannot be decoded"),
        "cut.jpg": failed(half(encoded(noise, "JPEG")), "malformed", "cannot be decoded"),
        "cut.tiff": failed(half(encoded(noise, "TIFF")), "malformed", "cannot be"),
        "cut.pdf": failed(half(pdf), "malformed", "cannot be read"),
        "cut-header.pdf": failed(b"%PDF-1.7\n1 0 obj\n<< /Type /Cat", "malformed", "cannot be read"),
        "cut-header.wav": failed(tone[:44], "malformed", "no samples"),
        "cut-header.flac": failed(flac.getvalue()[:50], "malformed"),
        # What is left of these can still be read, and is.
        "cut.wav": read(half(tone), "Recording, 1.0 s"),
        "cut.flac": read(half(flac.getvalue()), "Recording"),
        "cut.eml": dataclasses.replace(read(half(mail), "harbour"), warns="it may be cut off"),
    }
    return cases


class Bomb:
    """What unpickling would do: leave a file behind."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return Path.touch, (self.path,)


def media_files(make: Maker) -> dict[str, Case]:
    """Recordings, videos and arrays that are cut off, empty, of another shape, or claim what they do not hold."""
    video = make(make_video, 2.0, name="made.mp4")
    early = make(make_video, 10.0, name="early.mp4", early_index=True)
    pictures, index = video.index(b"mdat") + 4, video.index(b"moov") - 4
    sound = make(make_video, 1.0, name="sound.mp4", codec=None, sound="aac")
    garbage = np.random.default_rng(2).bytes(20_000)
    pickled = np.array([Bomb(make.folder.parent / "unpickled"), None], dtype=object)
    claim = make(make_array, motion(20)).replace(b"(20, 6), ", b"(9999999999999, 6), ")
    return {
        "cut.mp4": failed(half(video), "malformed", "the video cannot be read"),
        "cut-early.mp4": dataclasses.replace(read(early[: len(early) * 2 // 3], "Video, "), warns="it may be cut off"),
        "sound-only.mp4": read(sound, "Recording, 1.0 s"),
        "text-inside.mp4": failed(b"This was never a film.", "wrong_content", "not an MPEG-4 video"),
        "garbage.mkv": failed(b"\x1a\x45\xdf\xa3" + garbage, "malformed", "the video cannot be read"),
        "garbage.mp4": failed(video[:40] + garbage, "malformed", "the video cannot be read"),
        "garbage.avi": failed(b"RIFF\0\x40\0\0AVI " + garbage, "no_frames", "neither pictures nor sound"),
        "garbage.ogg": failed(b"OggS" + garbage, "malformed", "the recording cannot be read"),
        "no-frames.mp4": failed(
            video[:pictures] + bytes(index - pictures) + video[index:], "no_frames", "no picture of the video"
        ),
        "blink.wav": read(make(make_wav, 0.1), "Recording, 0.1 s"),
        "silence.wav": read(make(make_wav, 25.0, level=0), "Recording, 0:10–0:20 of 0:25"),
        "empty.npy": Case(b"", skipped="unsupported type .npy unless its name says"),
        "array.npy": Case(make(make_array, motion()), skipped="unsupported type .npy unless its name says"),
        "five.imu.npy": failed(make(make_array, motion()[:, :5]), "wrong_shape", "expected 6 channels"),
        "words.imu.csv": failed(b"a,b,c,d,e,f\n1,2,three,4,5,6\n", "malformed", "not a table of numbers"),
        "nan.imu.npy": failed(make(make_array, motion() * np.nan), "malformed", "none of its values"),
        "pickled.imu.npy": failed(make(make_pickled, pickled), "malformed", "pickled Python objects"),
        "claims.imu.npy": failed(claim, "too_large", "59,999,999,999,994 values"),
        "cut.depth.npy": failed(half(make(make_array, np.ones((60, 80)))), "malformed", "the array is cut off"),
        "colour.depth.png": failed(encoded(picture()), "wrong_shape", "expected a depth map of one channel, found 3"),
        "cut.thermal.jpg": failed(half(encoded(picture(), "JPEG")), "malformed", "cannot be decoded"),
        "text-inside.depth.png": failed(b"never a map", "wrong_content", "is not PNG, TIFF or NPY"),
    }


def make_pickled(path: Path, values: np.ndarray) -> Path:
    with open(path, "wb") as file:
        np.save(file, values, allow_pickle=True)
    return path


def half(data: bytes) -> bytes:
    return data[: len(data) // 2]


def mislabelled_files(make: Maker) -> dict[str, Case]:
    ole = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(2000)
    make.pdf("x")
    return {
        "locked.pdf": failed(make(lambda path: encrypt_pdf(make.folder / "made", path), name="l.pdf"), "encrypted"),
        "locked.docx": failed(ole, "encrypted", "password"),
        "old-office.pdf": failed(ole, "wrong_content", "OLE"),
        "pdf-inside.txt": read(make.pdf("A heron in plain clothes."), "A heron in plain clothes"),
        "png-inside.jpg": read(encoded(picture("GREBE COLONY", (420, 120))), "GREBE"),
        "docx-inside.pdf": read(make.docx("An egret calls itself a page."), "An egret calls itself a page"),
        "text-inside.pdf": failed(b"This was never a page description.", "wrong_content", "not a PDF"),
        "text-inside.docx": failed(b"This was never a package.", "wrong_content", "not a Word document"),
        "html-inside.txt": read(
            b"<html><body><p>The rail hides in reeds.</p></body></html>", "The rail hides in reeds"
        ),
        "binary.csv": failed(bytes(range(256)) * 40, "wrong_content", "binary"),
    }


def bombs(make: Maker, secret: Path) -> dict[str, Case]:
    word, book = make(make_docx), make(make_xlsx, name="x.xlsx")
    zeros = bytes(100 << 20)
    strings = (
        '<?xml version="1.0"?>DOCTYPE<sst xmlns="http://schemas.openxmlformats.org/spreadsheetml/2006/main">'
        "<si><t>ENTITY</t></si><si><t>&x;</t></si></sst>"
    )
    types = '<Override PartName="/xl/sharedStrings.xml" ContentType="application/vnd.openxmlformats-officedocument.'
    types += 'spreadsheetml.sharedStrings+xml"/></Types>'
    sheet = (
        '<worksheet xmlns="http://schemas.openxmlformats.org/spreadsheetml/2006/main"><sheetData>'
        '<row r="1"><c r="A1" t="s"><v>0</v></c><c r="B1" t="s"><v>1</v></c></row></sheetData></worksheet>'
    )

    def workbook(doctype: str, entity: str, content_types: str) -> bytes:
        with zipfile.ZipFile(io.BytesIO(book)) as archive:
            before = archive.read("[Content_Types].xml").decode()
        shared = strings.replace("ENTITY", entity).replace("DOCTYPE", doctype)
        return make.package(book, {
            "xl/sharedStrings.xml": shared.encode(),
            "xl/worksheets/sheet1.xml": sheet.encode(),
            "[Content_Types].xml": before.replace("</Types>", content_types).encode(),
        })  # fmt: skip

    outer = '<!DOCTYPE %s [<!ENTITY x SYSTEM "file://' + str(secret) + '">]>'
    outside = "<w:p><w:r><w:t>&x;</w:t></w:r><w:r><w:t>in the salt marsh.</w:t></w:r></w:p>"
    laughs = "<w:p><w:r><w:t>&l9; and &x; in the marsh.</w:t></w:r></w:p>"
    return {
        "huge.png": failed(png_of_claimed_size(100_000, 100_000), "too_large", "100000 x 100000 pixels"),
        "bomb.docx": failed(make.package(word, {"word/document.xml": zeros}), "zip_bomb", "unpack to 100 MB"),
        "bomb.xlsx": failed(make.package(book, {"xl/sharedStrings.xml": zeros}), "zip_bomb", "unpack to"),
        "bomb.zip": failed(zipped({"zeros.txt": zeros}), "zip_bomb", "declares"),
        "laughs.docx": failed(
            make.package(word, {"word/document.xml": _word(laughs, laughing("document", secret))}), "malformed", "entit"
        ),
        "laughs.xlsx": failed(workbook(laughing("sst", secret), "&l9;", types), "malformed", "ParseError"),
        "outside.docx": read(
            make.package(word, {"word/document.xml": _word(outside, outer % "document")}), "in the salt marsh", SECRET
        ),
        "outside.xlsx": failed(workbook(outer % "sst", "reeds", types), "malformed", "entity &x;"),
        "no-strings.xlsx": failed(workbook("", "reeds", "</Types>"), "malformed", "the workbook cannot be read"),
        "laughs.html": read(
            f"{laughing('html', secret)}<html><body><p>An avocet &l9; &x; laughs.</p></body></html>".encode(),
            "An avocet", SECRET,
        ),
        "laughs.svg": Case(
            f"{laughing('svg', secret)}<svg><text>&l9;</text></svg>".encode(), skipped="unsupported type .svg"
        ),
        "nested-2.zip": Case(nested(2, b"The curlew lies two boxes deep."), text=""),
        "nested-12.zip": Case(nested(12, b"Nobody will ever read this."), text=""),
        "mixed.zip": Case(
            locked(zipped({"shut.txt": b"secret", "open.txt": b"The open bittern booms.", "e.md": b""}), "shut.txt"),
            text="",
        ),
    }  # fmt: skip


def texts() -> dict[str, Case]:
    rows = "".join(f"{n},wader {n},{n * 3}\n" for n in range(120))
    return {
        "nul.csv": Case(b"id,name\n1,dot\0terel\n2,snipe\n", code="wrong_content", says="binary"),
        "late-umlaut.csv": read(f"id,name,count\n{rows * 40}7,Gänsesäger,3\n".encode("latin-1"), "Gänsesäger"),
        "late-nul.csv": read(f"id,name,count\n{rows}".encode() * 3 + b"7,phala\0rope,3\n", "phalarope"),
        "utf16.csv": read("id,name\n1,Löffler\n".encode("utf-16"), "Löffler"),
        "utf16-unmarked.csv": read("id,name\n1,sandpiper\n2,whimbrel\n".encode("utf-16-le"), "sandpiper"),
        "latin1.txt": read("Der Kiebitz ist ein Vogel, überall im Gänsemoor häufig.".encode("latin-1"), "Gänsemoor"),
        "one-line.csv": read(b"ruff,reeve," * 20_000, "ruff"),
        "one-cell.csv": failed(b"x" * (4 << 20), "malformed", "field larger than field limit"),
        "one-word.txt": read(b"godwit" * 10_000, "godwit"),
        "quotes.csv": read(b'a,b\n"never closed,1\n2,3\n', "never closed"),
        "ragged.csv": read(b"a,b\n1\n1,2,3,4,dunlin\n,,\n", "dunlin"),
        "blank.txt": failed(b" \n\t\n" * 20, "no_text", "no text"),
        "random.eml": failed(bytes(range(256)) * 20, "wrong_content", "binary"),
    }


ODD_NAMES = {
    b"new\nline.txt": "crane",
    b"quo'te\".txt": "bustard",
    "emoji-\U0001f986.txt".encode(): "mallard",
    b"' OR 1=1 --.txt": "gadwall",
    b"-rf.txt": "wigeon",
    b"%s{}$(id)`id`.txt": "pintail",
    b"[glob]*?.txt": "shoveler",
    b"back\\slash.txt": "garganey",
    b"semi;colon,comma.txt": "teal",
    "combining-e\u0301.txt".encode(): "pochard",
    "\u202etxt.exe.txt".encode(): "scaup",
    b"like!/1/member.txt": "goldeneye",
    b"x" * 246 + b".txt": "smew",
}


def mails(make: Maker) -> dict[str, Case]:
    def mail(body: str, kind: str = "text/plain", *, encoding: str = "8bit", subject: str = "Rota") -> bytes:
        return (
            f"From: a@example.org\nTo: b@example.org\nSubject: {subject}\nMIME-Version: 1.0\nContent-Type: {kind}\n"
            f"Content-Transfer-Encoding: {encoding}\n\n{body}"
        ).encode("latin-1")

    def part(kind: str, name: str, body: str, encoding: str = "8bit") -> str:
        return (
            f'--B\nContent-Type: {kind}\nContent-Disposition: attachment; filename="{name}"\n'
            f"Content-Transfer-Encoding: {encoding}\n\n{body}\n"
        )

    mixed = 'multipart/mixed; boundary="B"'
    text = "--B\nContent-Type: text/plain\n\nThe plover mail.\n"
    note = base64.b64encode(b"A stilt hides in an attachment.").decode()
    forwarded = "Subject: \xff\nContent-Type: text/plain; charset=none\n\nThe ruff forwards \xe9."
    many = "".join(part("text/plain", f"note-{n}.txt", f"Attached notice number {n}.") for n in range(200))
    return {
        "bad-base64.eml": read(mail("!!!not*base64", encoding="base64", subject="Turnstone"), "Turnstone"),
        "bad-charset.eml": read(mail("The knot arrives.", "text/plain; charset=x-klingon"), "The knot arrives"),
        "bad-boundary.eml": read(mail("--A\n\nThe sanderling runs.", mixed), "The sanderling runs"),
        "no-end.eml": dataclasses.replace(read(mail(text, mixed), "The plover mail"), warns="it may be cut off"),
        "many.eml": read(mail(f"{text}{many}--B--\n", mixed), "The plover mail"),
        "traversal.eml": read(
            mail(text + part("text/plain", "../../etc/passwd.txt", note, "base64") + "--B--\n", mixed),
            "The plover mail",
        ),
        "forwarded.eml": read(
            mail(f"{text}--B\nContent-Type: message/rfc822\n\n{forwarded}\n--B--\n", mixed),
            "The plover mail",
        ),
        "headers-only.eml": read(b"Subject: An oystercatcher without a body\n\n", "An oystercatcher without a body"),
    }  # fmt: skip


def active_content(make: Maker, port: int, secret: Path) -> dict[str, Case]:
    """Documents that ask for something from outside; the server at `port` counts who comes."""
    at = f"http://127.0.0.1:{port}"
    relation = (
        '<Relationship Id="rId99" Type="http://schemas.openxmlformats.org/officeDocument/2006/relationships/%s" '
        'Target="%s" TargetMode="External"/></Relationships>'
    )

    def linked(base: bytes, part: str, kind: str, target: str) -> bytes:
        with zipfile.ZipFile(io.BytesIO(base)) as archive:
            before = archive.read(part).decode()
        return before.replace("</Relationships>", relation % (kind, target)).encode()

    word, slides = make(make_docx), make(make_pptx)
    body = (
        "<w:p><w:r><w:t>The linked spoonbill.</w:t></w:r></w:p>"
        '<w:p><w:hyperlink r:id="rId99"><w:r><w:t>a link</w:t></w:r></w:hyperlink></w:p><w:p><w:r><w:drawing>'
        '<wp:inline><wp:docPr id="1" name="p"/><a:graphic><a:graphicData><pic:pic><pic:blipFill>'
        '<a:blip r:link="rId99"/></pic:blipFill></pic:pic></a:graphicData></a:graphic></wp:inline></w:drawing></w:r>'
        "</w:p><w:p><w:r><w:drawing><wp:inline><a:graphic><a:graphicData><pic:pic><pic:blipFill>"
        '<a:blip r:embed="rId99"/>'
        "</pic:blipFill></pic:pic></a:graphicData></a:graphic></wp:inline></w:drawing></w:r></w:p>"
    )
    page = f"""<html><head><script src="{at}/a.js">var bad = 1;</script><link rel="stylesheet" href="{at}/a.css">
        <base href="{at}/"><meta http-equiv="refresh" content="0;url={at}/m"></head><body onload="fetch('{at}')">
        <p>The night heron page.</p><a href="javascript:alert(1)">a link</a><img src="{at}/p.png" alt="a picture">
        <img src="file://{secret}"><iframe src="{at}/frame"></iframe><object data="file://{secret}"></object>
        <table><tr onclick="evil()"><td><img src="{at}/t.png" onerror="evil()">cell</td></tr></table></body></html>"""
    drawn = "ppt/slides/_rels/slide1.xml.rels"
    with zipfile.ZipFile(io.BytesIO(slides)) as archive:
        slide = archive.read("ppt/slides/slide1.xml").decode()
    picture_shape = (
        '<p:pic><p:nvPicPr><p:cNvPr id="9" name="x"/><p:cNvPicPr/><p:nvPr/></p:nvPicPr><p:blipFill>'
        '<a:blip xmlns:r="http://schemas.openxmlformats.org/officeDocument/2006/relationships" r:link="rId99"/>'
        "</p:blipFill><p:spPr/></p:pic></p:spTree>"
    )
    return {
        "active.html": read(page.encode(), "The night heron page", SECRET, "var bad", "evil()", "onerror"),
        "active.md": read(
            f"# Ibis\n\n<script>var bad = 1</script>\n\n<img src='{at}/m.png'>![p]({at}/n.png)\n\n"
            "The ibis has [a link](javascript:alert(1)).\n".encode(), "The ibis has", "var bad",
        ),
        "linked.docx": read(
            make.package(word, {
                "word/document.xml": _word(body),
                "word/_rels/document.xml.rels": linked(word, "word/_rels/document.xml.rels", "image", f"{at}/w.png"),
            }), "The linked spoonbill",
        ),
        "linked.pptx": read(
            make.package(slides, {
                drawn: linked(slides, drawn, "image", f"{at}/s.png"),
                "ppt/slides/slide1.xml": slide.replace("</p:spTree>", picture_shape).encode(),
            }), "Slide number 1",
        ),
        "actions.pdf": read(pdf_with_actions(port), "Minutes of the pelican committee", "launchURL", "MZ not"),
    }  # fmt: skip


def good_files(make: Maker) -> dict[str, Case]:
    return {
        "good/notes.md": read(b"# Bittern\n\nThe bittern booms at dusk near the eastern sluice.\n", "eastern sluice"),
        "good/survey.csv": read(b"species,count\nreed warbler,412\n", "reed warbler"),
        "good/report.pdf": read(make.pdf("The marsh harrier nests were counted twice."), "marsh harrier nests"),
        "good/letter.docx": read(make.docx("The warden paid for the wooden hide."), "wooden hide"),
        "good/budget.xlsx": read(make(make_xlsx, name="x.xlsx"), "1234567.125"),
        "good/hide.mp4": read(make(make_video, 1.0, name="x.mp4", title="View from the hide"), "View from the hide"),
        "good/reeds.depth.png": read(encoded(depth_map()), "Depth map, 64 × 48, 0.4–7.9 m"),
        "good/raft.imu.npy": read(make(make_array, motion(300)), "Motion recording (IMU), 300 samples"),
    }


def heavy_files() -> dict[str, Case]:
    return {
        "hangs.pdf": failed(pdf_that_hangs(), "timeout", "took longer than 20 s (hangs.pdf)"),
        "grows.pdf": failed(pdf_that_grows(), "memory", "needed more than 900 MB of memory (grows.pdf)"),
        "blank-5000.pdf": failed(pdf_of_empty_pages(5000), "no_text", "all of its 5000 pages are blank"),
    }


# What lies in containers: the uri below the folder, and what becomes of it.
MEMBERS = {
    "nested-2.zip!/1/level-1.zip!/1/deep.txt": read(b"", "The curlew lies two boxes deep"),
    "nested-12.zip!/1/level-11.zip!/1/level-10.zip!/1/level-9.zip": Case(b"", skipped="nested more than 3"),
    "mixed.zip!/1/shut.txt": failed(b"", "encrypted", "encrypted"),
    "mixed.zip!/2/open.txt": read(b"", "The open bittern booms"),
    "mixed.zip!/3/e.md": failed(b"", "empty_file", "0 bytes"),
    "traversal.eml!/1/etc/passwd.txt": read(b"", "A stilt hides in an attachment"),
    "forwarded.eml!/1/message-1.eml": read(b"", "ruff forwards"),
    "cut.eml!/1/table.csv": None,  # whether it is there depends on where the mail was cut
    **{f"many.eml!/{n + 1}/note-{n}.txt": read(b"", f"Attached notice number {n}.") for n in range(200)},
}


# --- the run ----------------------------------------------------------------------------------------------------------


@dataclasses.dataclass(frozen=True)
class Ran:
    docs: Path
    lake: Path
    cases: dict[str, Case]
    report: RunReport
    chunks: dict[str, list[ChunkRow]]
    requests: list[str]

    def found(self, name: str) -> SourceReport | None:
        return next((source for source in self.report.sources if source.source == f"{self.docs}/{name}"), None)

    def problem(self, name: str, case: Case) -> str | None:
        """What is other than expected of a file."""
        source = self.found(name)
        if source is None:
            return "not in the report"
        if case.skipped is not None:
            return None if source.status == "skipped" and case.skipped in source.reason else source.reason or "read"
        if case.code is not None:
            error = source.error
            if source.status != "quarantined" or error is None:
                return f"{source.status}, expected {case.code}"
            fits = error.code == case.code and case.says in error.message and not source.chunks
            return None if fits else f"{error.code}: {error.message}"
        if source.status != "new":
            return f"{source.status}: {source.error.message if source.error else source.reason}"
        rows = self.chunks.get(source.doc_id, [])
        words = "\n".join(f"{row.text}\n{row.html or ''}" for row in rows)
        if (case.text or "") not in words or any(word in words for word in case.absent) or len(rows) != source.chunks:
            return f"{len(rows)} chunks: {words[:200]!r}"
        warned = any(name in warning and case.warns in warning for warning in self.report.warnings)
        return None if warned or not case.warns else f"no warning {case.warns!r}"


@pytest.fixture(scope="module")
def limits() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        for name, value in {"WORKERS": 2, "MEMORY_MB": 900, "SECONDS_PER_DOCUMENT": 15, "SECONDS_PER_PAGE": 5}.items():
            patch.setenv(f"BINDERY_LIMITS__{name}", str(value))
        yield


@pytest.fixture(scope="module")
def server() -> Iterator[tuple[int, list[str]]]:
    """A web server of this machine, and the paths that anybody asked it for."""
    requests: list[str] = []

    class Counter(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            requests.append(self.path)
            self.send_error(404)

        do_HEAD = do_POST = do_GET  # noqa: N815

    with HTTPServer(("127.0.0.1", 0), Counter) as running:
        threading.Thread(target=running.serve_forever, daemon=True).start()
        yield running.server_port, requests
        running.shutdown()


@pytest.fixture(scope="module")
def ran(tmp_path_factory: pytest.TempPathFactory, limits: None, server: tuple[int, list[str]]) -> Ran:
    folder = tmp_path_factory.mktemp("bad")
    docs, lake, secret = folder / "docs", folder / "lake", folder / "secret.txt"
    secret.write_text(SECRET)
    port, requests = server
    make = Maker(folder / "make")
    groups = (
        empty_files(), truncated_files(make), media_files(make), mislabelled_files(make), bombs(make, secret), texts(),
        mails(make), active_content(make, port, secret), good_files(make), heavy_files(),
    )  # fmt: skip
    cases = {name: case for group in groups for name, case in group.items()}
    assert len(cases) == sum(map(len, groups))
    files = {os.fsencode(name): case.data for name, case in cases.items()}
    files |= {name: f"The {word} is counted here.".encode() for name, word in ODD_NAMES.items()}
    files[b"caf\xe9.txt"] = b"Its name is not UTF-8."
    for name, data in files.items():
        path = os.path.join(os.fsencode(docs), name)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "wb") as file:
            file.write(data)
        os.utime(path, (1_700_000_000, 1_700_000_000))  # old enough for its time stamp to be trusted
    report = ingest([docs], lake)
    chunks: dict[str, list[ChunkRow]] = {}
    for row in open_reader(opened(lake)).all_chunks():
        chunks.setdefault(row.doc_id, []).append(row)
    return Ran(docs, lake, cases, report, chunks, requests)


def test_each_file_has_a_reason_or_a_correct_result(ran: Ran) -> None:
    expected = {**ran.cases, **{name: case for name, case in MEMBERS.items() if case is not None}}
    problems = {name: problem for name, case in expected.items() if (problem := ran.problem(name, case))}
    assert problems == {}
    bad = next(source for source in ran.report.sources if "caf" in source.source)
    assert bad.source.endswith(r"/caf\xe9.txt") and bad.error is not None and bad.error.code == "bad_name"
    assert all(source.error.hint or source.error.code == "malformed" for source in ran.report.sources if source.error)


def test_counts_are_honest(ran: Ran) -> None:
    report = ran.report
    files = sum(len(names) for _, _, names in os.walk(os.fsencode(ran.docs)))
    assert sum(source.parent is None for source in report.sources) == files
    assert report.counts["sources"] == len({source.source for source in report.sources}) == len(report.sources)
    for status in ("new", "quarantined", "skipped"):
        assert report.counts[status] == sum(source.status == status for source in report.sources)
    assert report.counts["new"] + report.counts["quarantined"] + report.counts["skipped"] == len(report.sources)
    documents = open_reader(opened(ran.lake)).documents()
    assert report.counts["documents"] == len(documents) == len(ran.chunks)
    assert report.counts["chunks"] == sum(map(len, ran.chunks.values()))
    failed_ids = {source.doc_id for source in report.sources if source.status == "quarantined"}
    assert not failed_ids & set(documents)
    names = {path.name for path in (ran.lake.parent).iterdir()}
    assert names == {"docs", "lake", "make", "secret.txt"} and not Path("/etc/passwd.txt").exists()


def test_documents_reach_nothing_outside(ran: Ran) -> None:
    assert ran.requests == []
    everything = [row.text + (row.html or "") for rows in ran.chunks.values() for row in rows]
    assert not any(SECRET in text for text in everything)


def test_search_finds_the_good_files_and_every_odd_name(ran: Ran) -> None:
    lake = opened(ran.lake)
    for name, case in good_names(ran):
        assert case.text is not None
        # what a program wrote of a recording or a map is found by full text alone, so not always among the first three
        hits = retrieve(lake, case.text, k=10).hits
        assert any(uri.endswith(name) for hit in hits for uri in hit.sources), name
    for raw, word in ODD_NAMES.items():
        name = os.fsdecode(raw)
        plain = [name, f"{ran.docs}/{name}"] if glob.escape(name) == name else []
        for pattern in (glob.escape(name), *plain):
            hits = retrieve(lake, "which bird is counted here", sources=(pattern,)).hits
            assert [hit.sources for hit in hits] == [(f"{ran.docs}/{name}",)], pattern
            assert word in hits[0].chunk.text


def good_names(ran: Ran) -> list[tuple[str, Case]]:
    return [(name, case) for name, case in ran.cases.items() if name.startswith("good/")]


def test_a_second_run_attempts_nothing_again(ran: Ran, limits: None, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*arguments: object, **options: object) -> None:
        raise AssertionError(f"a worker was asked for {options.get('name')}")

    monkeypatch.setattr(Workers, "call", refuse)
    again = ingest([ran.docs], ran.lake)
    assert again.counts["processed"] == 0 and again.release == ran.report.release
    before = {source.source: source for source in ran.report.sources}
    for source in again.sources:
        first = before.pop(source.source)
        assert source.status == ("unchanged" if first.status == "new" else first.status)
        assert (source.known, source.error) == (first.status == "quarantined", first.error)
    assert before == {}
    assert {record.attempts for record in read_records(opened(ran.lake).storage)} == {1}
