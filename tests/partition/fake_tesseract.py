"""FakeTesseract: a program that answers as `tesseract` does, with the same words for every picture.

What else it does it is told by FAKE_TESSERACT: `fail`, `hang`, or `old` (no language but English).
"""

from __future__ import annotations

import os
import sys
import time

HEAD = "level page_num block_num par_num line_num word_num left top width height conf text"
# Two lines of a first block, the second with a wide gap, and one word of a second block that is hardly seen.
TABLE = [
    "1 1 0 0 0 0 0 0 800 600 -1 ",
    "2 1 1 0 0 0 100 100 500 90 -1 ",
    "3 1 1 1 0 0 100 100 500 90 -1 ",
    "4 1 1 1 1 0 100 100 300 40 -1 ",
    "5 1 1 1 1 1 100 105 110 30 96.5 Tide",
    "5 1 1 1 1 2 222 100 178 40 91.0 gauges",
    "4 1 1 1 2 0 100 150 500 40 -1 ",
    "5 1 1 1 2 1 100 150 120 40 88.0 2025",
    "5 1 1 1 2 2 480 150 120 40 90.0 1,234",
    "2 1 2 0 0 0 100 400 90 30 -1 ",
    "3 1 2 1 0 0 100 400 90 30 -1 ",
    "4 1 2 1 1 0 100 400 90 30 -1 ",
    "5 1 2 1 1 1 100 400 90 30 12.0 ,;'~",
]


def main(arguments: list[str]) -> int:
    told = os.environ.get("FAKE_TESSERACT", "")
    if arguments == ["--version"]:
        print("tesseract 5.3.0\n leptonica-1.82.0")
    elif arguments == ["--list-langs"]:
        known = ["eng"] if told == "old" else ["eng", "chi_sim"]
        print('List of available languages in "/usr/share/tessdata/":', *known, sep="\n")
    elif arguments[:3] == ["stdin", "stdout", "-l"] and arguments[4:] == ["tsv"]:
        if told == "hang":
            time.sleep(60)
        if told == "fail" or not sys.stdin.buffer.read().startswith(b"\x89PNG"):
            print("Error in pixReadStream: no pix returned", file=sys.stderr)
            return 1
        print("\n".join(row.replace(" ", "\t") for row in [HEAD, *TABLE]))
    else:
        print(f"read_params_file: Can't open {arguments}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
