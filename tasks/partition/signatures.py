"""What the first bytes of a file prove it to be. In: its head and its extension. Out: a media type, or None."""

from __future__ import annotations

NPY = "application/x-npy"  # never a document's type: a name must say what the array measures
_RIFF = {b"WEBP": "image/webp", b"WAVE": "audio/wav", b"AVI ": "video/x-msvideo"}
_ISO_SOUND = (b"M4A ", b"M4B ", b"M4P ", b"F4A ", b"F4B ")
_ISO_VIDEO = (b"iso", b"mp4", b"mp7", b"avc", b"hvc", b"M4V", b"MSNV", b"dash", b"f4v", b"F4V", b"3g", b"mmp4", b"XAVC")
_ISO_SOUND_EXTENSIONS = frozenset({".m4a", ".m4b"})
_ISO_EXTENSIONS = frozenset({".mp4", ".m4v", ".mov"})
_ISO_PICTURE = (b"hei", b"hev", b"mif", b"msf", b"avi", b"crx ")  # HEIC, AVIF, a camera's raw


def signature(head: bytes, extension: str, is_text: bool) -> str | None:
    """The media type that the first bytes prove. `is_text`: the name promises text."""
    if head.startswith(b"\x89PNG\r\n\x1a\n"):
        return "image/png"
    if head.startswith(b"\xff\xd8\xff"):
        return "image/jpeg"
    if head.startswith((b"II*\x00", b"MM\x00*", b"II+\x00", b"MM\x00+")):
        return "image/tiff"
    if head.startswith(b"RIFF") and head[8:12] in _RIFF:
        return _RIFF[head[8:12]]
    if head[4:8] == b"ftyp":
        return _iso(head[8:12], extension)
    if extension == ".mov" and head[4:8] in (b"moov", b"mdat", b"wide", b"free", b"skip"):
        return "video/quicktime"  # from before there were brands
    if head.startswith(b"\x1a\x45\xdf\xa3"):
        return "video/webm" if b"webm" in head[:64] else "video/x-matroska"
    if head.startswith(b"OggS") and b"\x80theora" not in head:
        return "audio/ogg"
    if head.startswith(b"\x93NUMPY"):
        return NPY
    if (
        head.startswith(b"BM")
        and head[6:10] == b"\0\0\0\0"
        and head[14:18] in (b"\x0c\0\0\0", b"\x28\0\0\0", b"\x6c\0\0\0", b"\x7c\0\0\0")
    ):
        return "image/bmp"
    if head.startswith(b"fLaC"):
        return "audio/flac"
    if head.startswith(b"ID3") or (extension == ".mp3" and _is_mpeg_frame(head)):
        return "audio/mpeg"
    if b"%PDF-" in head[:1024] and (not is_text or head.lstrip(b"\xef\xbb\xbf\0 \t\r\n").startswith(b"%PDF-")):
        return "application/pdf"  # readers accept junk before the header; a text that mentions it is still a text
    return None


def _iso(brand: bytes, extension: str) -> str | None:
    """The type of an ISO media file. Whether there are pictures in it shows when it is opened."""
    if brand.startswith(_ISO_PICTURE):
        return None
    if brand == b"qt  ":
        return "video/quicktime"
    if brand in _ISO_SOUND or extension in _ISO_SOUND_EXTENSIONS:
        return "audio/mp4"
    return "video/mp4" if brand.startswith(_ISO_VIDEO) or extension in _ISO_EXTENSIONS else None


def _is_mpeg_frame(head: bytes) -> bool:
    """An MPEG audio frame header: sync, then a version, layer, bit rate and sample rate that exist."""
    head = head.lstrip(b"\0")
    return (
        len(head) > 3
        and head[0] == 0xFF
        and head[1] & 0xE0 == 0xE0
        and head[1] >> 3 & 3 != 1
        and head[1] >> 1 & 3 != 0
        and head[2] >> 4 not in (0, 15)
        and head[2] >> 2 & 3 != 3
    )
