"""Names the machine that figures were taken on; none of them means anything without it."""

from __future__ import annotations

import os
import platform
from pathlib import Path

import psutil


def describe() -> str:
    return (
        f"{cores()} cores ({_model()}), {psutil.virtual_memory().total / 1e9:.0f} GB, "
        f"{platform.system()} {platform.release()}, Python {platform.python_version()}"
    )


def cores() -> int:
    """Those that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def load() -> float:
    """The load average of the last minute: above zero at the start, others were at work."""
    return float(psutil.getloadavg()[0])


def busy_seconds() -> float:
    """Processor time that all processes have used since the machine started."""
    times = psutil.cpu_times()
    return float(sum(getattr(times, name, 0.0) for name in ("user", "nice", "system", "irq", "softirq")))


def _model() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.machine()
    names = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.machine()
