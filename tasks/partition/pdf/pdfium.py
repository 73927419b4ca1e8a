"""pdfium's functions for calls by the thousand: a call each for all characters, objects or segments of a page.

pypdfium2's own bindings convert every argument and give the GIL away and back each time; these take plain addresses, so
that a `map` calls them in 0.3 us, and write straight into arrays. Bounds are the caller's business, as in C.
"""

from __future__ import annotations

import ctypes
import itertools
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np
import pypdfium2.raw as pdfium

_POINTER, _INT, _UINT, _FLOAT = ctypes.c_void_p, ctypes.c_int, ctypes.c_uint, ctypes.c_float

Address = int | None


def _function(name: str, returns: Any, *takes: Any) -> Callable[..., Any]:
    address = ctypes.cast(getattr(pdfium, name), ctypes.c_void_p).value
    assert address is not None
    return ctypes.PYFUNCTYPE(returns, *takes)(address)


def address_of(handle: Any) -> int:
    """The address behind one of pypdfium2's handles."""
    return ctypes.cast(handle, ctypes.c_void_p).value or 0


text_unicode = _function("FPDFText_GetUnicode", _UINT, _POINTER, _INT)
text_loose_box = _function("FPDFText_GetLooseCharBox", _INT, _POINTER, _INT, _POINTER)
text_ink_box = _function("FPDFText_GetCharBox", _INT, _POINTER, _INT, _POINTER, _POINTER, _POINTER, _POINTER)
text_object = _function("FPDFText_GetTextObject", _POINTER, _POINTER, _INT)
text_size = _function("FPDFText_GetFontSize", ctypes.c_double, _POINTER, _INT)
text_matrix = _function("FPDFText_GetMatrix", _INT, _POINTER, _INT, _POINTER)
text_weight = _function("FPDFText_GetFontWeight", _INT, _POINTER, _INT)
text_font_info = _function("FPDFText_GetFontInfo", ctypes.c_ulong, _POINTER, _INT, _POINTER, ctypes.c_ulong, _POINTER)
object_font = _function("FPDFTextObj_GetFont", _POINTER, _POINTER)

page_count = _function("FPDFPage_CountObjects", _INT, _POINTER)
page_object = _function("FPDFPage_GetObject", _POINTER, _POINTER, _INT)
form_count = _function("FPDFFormObj_CountObjects", _INT, _POINTER)
form_object = _function("FPDFFormObj_GetObject", _POINTER, _POINTER, ctypes.c_ulong)
object_type = _function("FPDFPageObj_GetType", _INT, _POINTER)
object_matrix = _function("FPDFPageObj_GetMatrix", _INT, _POINTER, _POINTER)
object_bounds = _function("FPDFPageObj_GetBounds", _INT, _POINTER, _POINTER, _POINTER, _POINTER, _POINTER)
object_stroke_width = _function("FPDFPageObj_GetStrokeWidth", _INT, _POINTER, _POINTER)
object_fill = _function("FPDFPageObj_GetFillColor", _INT, _POINTER, _POINTER, _POINTER, _POINTER, _POINTER)
object_stroke = _function("FPDFPageObj_GetStrokeColor", _INT, _POINTER, _POINTER, _POINTER, _POINTER, _POINTER)
object_clip = _function("FPDFPageObj_GetClipPath", _POINTER, _POINTER)
path_segments = _function("FPDFPath_CountSegments", _INT, _POINTER)
path_segment = _function("FPDFPath_GetPathSegment", _POINTER, _POINTER, _INT)
path_mode = _function("FPDFPath_GetDrawMode", _INT, _POINTER, _POINTER, _POINTER)
segment_type = _function("FPDFPathSegment_GetType", _INT, _POINTER)
segment_point = _function("FPDFPathSegment_GetPoint", _INT, _POINTER, _POINTER, _POINTER)
segment_close = _function("FPDFPathSegment_GetClose", _INT, _POINTER)
clip_paths = _function("FPDFClipPath_CountPaths", _INT, _POINTER)
clip_segments = _function("FPDFClipPath_CountPathSegments", _INT, _POINTER, _INT)
clip_segment = _function("FPDFClipPath_GetPathSegment", _POINTER, _POINTER, _INT, _INT)


def floats(call: Callable[..., Any], handle: int, indices: Iterable[int], columns: int) -> np.ndarray:
    """Rows of `columns` floats that `call(handle, index, out)` writes, one per index; zeros where it fails."""
    wanted = list(indices)
    out = np.zeros((len(wanted), columns), np.float32)
    step = 4 * columns
    start = out.ctypes.data
    rows = range(start, start + step * len(wanted), step)
    done = np.fromiter(map(call, itertools.repeat(handle), wanted, rows), np.intc, len(wanted))
    if not done.all():
        out[done == 0] = 0
    return out


def filled(
    call: Callable[..., Any], handles: Sequence[Any], kind: Any, widths: tuple[int, ...], default: int = 0
) -> np.ndarray:
    """Rows that `call(handle, out, ...)` writes for each handle, `default` where it fails.

    `widths` are the numbers of values that its out parameters take.
    """
    columns = sum(widths)
    out = np.zeros((len(handles), columns), kind)
    start, step = out.ctypes.data, out.itemsize * columns
    offsets = itertools.accumulate((out.itemsize * width for width in widths), initial=0)
    places = [range(start + o, start + o + step * len(handles), step) for o in list(offsets)[:-1]]
    done = np.fromiter(map(call, handles, *places), np.intc, len(handles))
    if not done.all():
        out[done == 0] = default
    return out
