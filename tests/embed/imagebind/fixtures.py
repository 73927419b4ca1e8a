"""Where the golden fixtures are: those that are shipped, and all of them on machines that have them.

The shipped files are synthetic; what is expected of them was computed by the reference's preprocessing, once.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np

PRE = Path(__file__).parents[2] / "data" / "imagebind" / "pre"
SHARED = Path(__file__).parents[4] / "shared" / "golden" / "imagebind"
EXPECTED: dict[str, Any] = json.loads((PRE / "expected.json").read_text(encoding="utf-8"))
VIDEO = "syn_video_320x240_25fps.mp4"


def expected_arrays() -> dict[str, np.ndarray]:
    """What the reference gives for the shipped files, thinned out."""
    with np.load(PRE / "expected.npz") as arrays:
        return dict(arrays)


def cut(source: Path, target: Path, share: float) -> Path:
    """The first `share` of a file."""
    data = source.read_bytes()
    target.write_bytes(data[: int(len(data) * share)])
    return target
