"""Several devices, as processes on the CPU with the tiny model."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import psutil
import pytest

from tasks.embed.imagebind.devices import DeviceLostError, Devices, encoder_for
from tasks.embed.imagebind.installed import Installed
from tasks.embed.imagebind.runtime import Runtime
from tasks.errors import BinderyError, DocumentError, MissingCapabilityError
from tests.embed.imagebind.test_runtime import item
from tests.embed.imagebind.tiny import install_tiny

ROOT = Path(__file__).parents[3]


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("models")


@pytest.fixture(scope="module")
def model(models: Path) -> Installed:
    return install_tiny(models)


@pytest.fixture(scope="module")
def two(model: Installed) -> Iterator[Devices]:
    with Devices(model, ["cpu", "cpu"]) as devices:
        yield devices


def test_two_processes_equal_one(model: Installed, two: Devices) -> None:
    one = Runtime(model, "cpu")
    images = [item("image", seed, 1 + seed % 3) for seed in range(30)]
    assert two.batch_rows("image") < 15  # or one part would have them all
    np.testing.assert_allclose(two.encode("image", images), one.encode("image", images), rtol=0, atol=1e-6)
    texts = [item("text", seed)[0].tolist() for seed in range(60)]
    np.testing.assert_allclose(two.encode_texts(texts), one.encode_texts(texts), rtol=0, atol=1e-4)
    assert two.encode("imu", []).shape == (0, model.config.dimension)


def test_errors_come_back_by_index(two: Devices) -> None:
    good, bad = item("imu", 1), item("imu", 2)[:, :4]
    found = two.try_encode("imu", [*[good] * 20, bad, good])
    assert [index for index, result in enumerate(found) if isinstance(result, DocumentError)] == [20]
    assert str(found[20]).startswith("item 20 (imu): ")


def test_a_stream_over_two_processes_keeps_order(model: Installed, two: Devices) -> None:
    one = Runtime(model, "cpu")
    found = list(two.encode_stream("imu", range(25), lambda job: [item("imu", job)], ahead=10))
    assert [job for job, _ in found] == list(range(25))
    for job, result in found:
        np.testing.assert_allclose(result, one.encode("imu", [item("imu", job)]), rtol=0, atol=1e-5)  # type: ignore[arg-type]


def test_a_process_that_dies_is_a_clear_error(model: Installed) -> None:
    devices = Devices(model, ["cpu"])
    try:
        devices.encode("imu", [item("imu", 1)])
        devices.processes[0].kill()
        with pytest.raises(DeviceLostError, match=r"the process of device cpu died \(signal 9\)"):
            devices.encode("imu", [item("imu", seed) for seed in range(40)])
        assert devices.lost
        with pytest.raises(DeviceLostError):
            devices.encode("imu", [item("imu", 1)])
    finally:
        devices.close()
    with pytest.raises(BinderyError):
        devices.encode("imu", [item("imu", 1)])


def test_a_device_that_is_not_there_is_named(model: Installed) -> None:
    with (
        Devices(model, ["cuda:97"]) as devices,
        pytest.raises(MissingCapabilityError, match="cuda:97 is not there") as caught,
    ):
        devices.encode("imu", [item("imu", 1)])
    assert "BINDERY_COMPUTE__DEVICE=cpu" in caught.value.hint


def test_closing_ends_the_processes(model: Installed) -> None:
    devices = Devices(model, ["cpu"])
    (process,) = devices.processes
    devices.encode("imu", [item("imu", 1)])
    devices.close()
    assert process.exitcode == 0
    devices.close()


def test_one_device_is_a_runtime_and_several_are_shared(model: Installed) -> None:
    assert isinstance(encoder_for(model, "cpu"), Runtime)
    devices = encoder_for(model, "cpu,cpu")
    assert isinstance(devices, Devices) and encoder_for(model, "cpu, cpu") is devices
    devices.close()
    assert encoder_for(model, "cpu,cpu") is not devices


def test_processes_end_with_their_parent(model: Installed, models: Path, tmp_path: Path) -> None:
    script = tmp_path / "parent.py"
    script.write_text(
        textwrap.dedent(
            f"""
            import sys, time
            from pathlib import Path
            from tasks.embed.imagebind import devices, installed
            if __name__ == "__main__":
                found = devices.Devices(installed.require(Path({str(models)!r})), ["cpu"])
                found.batch_rows("imu")
                print(found.processes[0].pid, flush=True)
                time.sleep(600)
            """
        )
    )
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    with subprocess.Popen([sys.executable, str(script)], stdout=subprocess.PIPE, text=True, env=environment) as parent:
        try:
            assert parent.stdout
            child = psutil.Process(int(parent.stdout.readline()))
            assert child.is_running()
            parent.send_signal(signal.SIGKILL)
            parent.wait()
            for _ in range(600):
                if not child.is_running() or child.status() == psutil.STATUS_ZOMBIE:
                    break
                time.sleep(0.1)
            else:
                pytest.fail("the device's process outlived its parent")
        finally:
            parent.kill()
