"""Mail messages as elements: the headers as text, then the body. Attachments are documents of their own."""

from __future__ import annotations

import email
import email.policy
from email.errors import CloseBoundaryNotFoundDefect
from email.message import EmailMessage
from pathlib import Path

from tasks.clean import clean
from tasks.errors import DocumentError
from tasks.partition.context import PartContext
from tasks.partition.text import decode, rows_of_html, rows_of_plain
from tasks.rows import ElementRow

_HEADERS = ("Subject", "From", "To", "Cc", "Date")
_MAX_HEADER = 2000


def partition(path: Path, context: PartContext) -> list[ElementRow]:
    """Subject as the title, the headers as one metadata element, the body by its best representation."""
    message = _parse(path.read_bytes())
    subject = _header(message, "Subject")
    headers = [(name, _header(message, name)) for name in _HEADERS]
    text = "\n".join(f"{name}: {value}" for name, value in headers if value)
    body = _body(message, context)
    if not text and not body:
        raise DocumentError("malformed", "the message has neither headers nor a body", "check that it is a mail")
    if any(isinstance(defect, CloseBoundaryNotFoundDefect) for part in message.walk() for defect in part.defects):
        context.warn("the message ends before its last part does: it may be cut off")
    context.title = subject
    rows = [ElementRow(0, "Title", subject, level=0)] if subject else []
    if text:
        rows.append(ElementRow(0, "EmailHeader", text, origin="metadata"))
    return rows + body


def _parse(data: bytes) -> EmailMessage:
    if data.startswith((b"\xff\xfe", b"\xfe\xff")):
        data = decode(data).encode("utf-8")
    message = email.message_from_bytes(data, policy=email.policy.default)
    assert isinstance(message, EmailMessage)
    return message


def _header(message: EmailMessage, name: str) -> str:
    """A header as text; mail in the wild breaks the parser's grammar in many ways, then its raw form is used."""
    try:
        value = message.get(name, "")
    except Exception:  # noqa: BLE001  # the parser raises many kinds on broken headers
        value = next((raw for key, raw in message.raw_items() if key.lower() == name.lower()), "")
    return clean(" ".join(str(value).split()))[:_MAX_HEADER]


def _body(message: EmailMessage, context: PartContext) -> list[ElementRow]:
    """HTML where it has text, else plain; a part that calls itself an attachment is none of them."""
    title = context.title
    for kind in ("html", "plain"):
        for part in message.walk():
            if part.get_content_type() != f"text/{kind}" or part.is_multipart() or _is_attachment(part):
                continue
            text = _text(part, kind == "html")
            rows = rows_of_html(text, context) if kind == "html" else rows_of_plain(text, context)
            context.title = title
            rows = [row for row in rows if row.category != "Image"]
            if rows:
                return rows
    for part in message.walk():
        if part.get_content_maintype() == "multipart" and not part.is_multipart():
            context.warn("the parts of the message could not be told apart; it is read as one text")
            rows = rows_of_plain(_text(part, False), context)
            context.title = title
            return rows
    return []


def _is_attachment(part: EmailMessage) -> bool:
    try:
        return part.get_content_disposition() == "attachment" or bool(part.get_filename())
    except Exception:  # noqa: BLE001  # the parser raises many kinds on broken headers
        return False


def _text(part: EmailMessage, html: bool) -> str:
    payload = part.get_payload(decode=True)
    data = payload if isinstance(payload, bytes) else str(part.get_payload()).encode("utf-8", "surrogateescape")
    charset = str(part.get_content_charset() or "")
    try:
        return data.decode(charset) if charset else decode(data, html)
    except (LookupError, UnicodeDecodeError):
        return decode(data, html)
