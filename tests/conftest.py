"""What the tests share: a Prefect home of their own, with a database that is made once."""

from __future__ import annotations

import dataclasses
import multiprocessing
import os
import signal
import tempfile
from collections.abc import Mapping
from multiprocessing import forkserver
from pathlib import Path

import pytest

# A shell that starts the tests in the background has them ignore Ctrl-C, and so would the commands that they interrupt.
signal.signal(signal.SIGINT, signal.default_int_handler)

# One fork server serves all tests of a session: whoever starts it first decides what its children need not import.
multiprocessing.get_context("forkserver").set_forkserver_preload(["tasks.partition.preload", "tests.preload_stages"])
forkserver.ensure_running()

# No test sees the models of whoever runs it: a checkpoint of 4.5 GB would be used wherever it is found.
os.environ["BINDERY_MODELS"] = os.path.join(tempfile.gettempdir(), "bindery-tests-without-models")


@dataclasses.dataclass(frozen=True)
class PrefectHome:
    """The environment of processes that use Prefect: nothing of the user's profile, database or results."""

    folder: Path
    environment: Mapping[str, str]


@pytest.fixture(scope="session")
def prefect_home(tmp_path_factory: pytest.TempPathFactory) -> PrefectHome:
    folder = tmp_path_factory.mktemp("prefect")
    environment = {
        "PREFECT_HOME": str(folder),
        "PREFECT_PROFILES_PATH": str(folder / "profiles.toml"),
        "PREFECT_API_URL": "",
        "PREFECT_SERVER_EPHEMERAL_ENABLED": "true",
        "PREFECT_SERVER_EPHEMERAL_STARTUP_TIMEOUT_SECONDS": "120",
    }
    return PrefectHome(folder, environment)
