"""python -m benchmarks.pdf text PATHS... | ocr PATHS... | speed PATHS...

text   character recall against the text layer, and reading order against generated and tagged documents
ocr    characters right and seconds on renders of pages whose text is known, beside rapidocr's defaults
speed  ms per page and memory, beside unstructured fast, pdfplumber and pypdfium2's plain text
"""

from __future__ import annotations

import sys

from benchmarks.pdf import ocr, speed, text

_COMMANDS = {"text": text.main, "ocr": ocr.main, "speed": speed.main}

if __name__ == "__main__":
    if len(sys.argv) < 2 or sys.argv[1] not in _COMMANDS:
        sys.exit(__doc__)
    sys.exit(_COMMANDS[sys.argv[1]](sys.argv[2:]))
