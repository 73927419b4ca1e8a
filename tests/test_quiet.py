"""bindery talks to nobody: what its dependencies would report, or leave in the home folder, is off."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

SCRIPT = """
import tasks
from tasks.embed.spaces import open_space
assert open_space("minilm").embed_texts(["a gauge"]).shape == (1, 384)
"""


def test_onnxruntime_leaves_no_telemetry_behind(tmp_path: Path) -> None:
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("ORT_", "XDG_"))}
    environment |= {"HOME": str(tmp_path), "PYTHONPATH": str(Path(__file__).parent.parent)}
    subprocess.run([sys.executable, "-c", SCRIPT], env=environment, check=True)
    assert [path for path in tmp_path.rglob("*") if "onnxruntime" in path.name.lower()] == []
