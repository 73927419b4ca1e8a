"""What a decoding process does: files in, clips out. It imports no torch."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from tasks.embed.imagebind import inputs
from tasks.rows import Modality


def decode(modality: Modality, paths: Sequence[str]) -> list[np.ndarray]:
    return [inputs.from_file(modality, path) for path in paths]
