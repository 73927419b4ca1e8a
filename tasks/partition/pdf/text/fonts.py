"""How characters of a text layer are set: size, weight, font and angle, asked once per text object."""

from __future__ import annotations

import ctypes
import dataclasses
import itertools
import re

import numpy as np

from tasks.partition.pdf import pdfium

_BOLD_NAME = re.compile(rb"bold|black|heavy|demi|-medi(?!um)|^(?:[A-Z]{6}\+)?(?:CM|SF|EC|LM)\w*BX", re.IGNORECASE)
_NAME = re.compile(rb"[A-Za-z]{4}")  # what is no name says nothing of weight
_BOLD_WEIGHT = 600  # pdfium's guess from the stems of glyphs: italics and wide serifs have it, too
_FORCE_BOLD = 1 << 18


@dataclasses.dataclass(slots=True)
class Fonts:
    """Numbers of a document's fonts, by name and weight, in the order in which they are met."""

    numbers: dict[tuple[bytes, int], int] = dataclasses.field(default_factory=dict)

    def number(self, name: bytes, weight: int) -> int:
        return self.numbers.setdefault((name, weight), len(self.numbers))


@dataclasses.dataclass(slots=True)
class Styles:
    """One entry per character asked for; angles in degrees counterclockwise on the page."""

    sizes: np.ndarray
    bold: np.ndarray
    fonts: np.ndarray
    angles: np.ndarray

    def of(self, which: np.ndarray) -> Styles:
        """Some of them, by a mask or by numbers."""
        return Styles(self.sizes[which], self.bold[which], self.fonts[which], self.angles[which])

    def and_(self, others: Styles) -> Styles:
        """These, then others."""
        pairs = ((getattr(self, field.name), getattr(others, field.name)) for field in dataclasses.fields(self))
        return Styles(*(np.concatenate(pair) for pair in pairs))


def styles(handle: int, indices: np.ndarray, fonts: Fonts) -> Styles:
    """The styles of characters of a text page."""
    wanted = indices.tolist()
    objects = [address or 0 for address in map(pdfium.text_object, itertools.repeat(handle), wanted)]
    at: dict[int, int] = {}
    for address, index in zip(objects, wanted, strict=True):
        at.setdefault(address, index)
    row = {address: i for i, address in enumerate(at)}
    which = np.array([row[address] for address in objects], np.intc)
    matrices = pdfium.floats(pdfium.text_matrix, handle, at.values(), 6)  # a b c d e f
    given = np.array([pdfium.text_size(handle, i) for i in at.values()])
    scale = np.hypot(matrices[:, 2], matrices[:, 3])  # a font's size is often 1, and the text matrix does the rest
    sizes = np.abs(np.where(scale > 0, given * scale, given))
    half = np.where(given < 0, 180, 0)  # a negative size is half a turn, which some producers undo by the matrix
    angles = (np.degrees(np.arctan2(matrices[:, 1], matrices[:, 0])) + half) % 360
    faces: dict[int, tuple[bool, int]] = {}
    face = []
    for address, index in at.items():
        font = (pdfium.object_font(address) or 0) if address else 0
        if font not in faces:
            faces[font] = _face(handle, index, fonts)
        face.append(faces[font])
    bold = np.array([is_bold for is_bold, _ in face], bool)
    numbers = np.array([number for _, number in face], np.intc)
    return Styles(sizes[which], bold[which], numbers[which], angles[which])


def _face(handle: int, index: int, fonts: Fonts) -> tuple[bool, int]:
    weight = pdfium.text_weight(handle, index)
    buffer, flags = ctypes.create_string_buffer(128), ctypes.c_int()
    pdfium.text_font_info(handle, index, ctypes.addressof(buffer), 128, ctypes.addressof(flags))
    name = buffer.value
    is_bold = _BOLD_NAME.search(name) is not None or bool(max(flags.value, 0) & _FORCE_BOLD)
    if not _NAME.search(name.split(b"+")[-1]):
        is_bold = is_bold or weight >= _BOLD_WEIGHT
    return is_bold, fonts.number(name, weight)
