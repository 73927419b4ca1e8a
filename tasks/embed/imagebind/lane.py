"""A device at work: rows on the host in → a tower's outputs back on the host, with no waiting where none is needed.

On CUDA a batch is gathered in pinned memory, travels on a stream of its own while the batch before it is computed, and
its outputs travel back unasked: the host waits only when it reads them. Elsewhere all of it happens at once.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol

import numpy as np
import torch
from torch import Tensor

from tasks.errors import MissingCapabilityError, UsageError

Compute = Callable[[Tensor], Tensor]
Collect = Callable[[], np.ndarray]  # waits for a batch's outputs
_ON_CPU = 'set BINDERY_COMPUTE__DEVICE=cpu, or device="cpu" in Python'


class Lane(Protocol):
    """One device. Not for several threads at the same time."""

    @property
    def device(self) -> torch.device: ...

    def run(self, compute: Compute, rows: Sequence[np.ndarray]) -> Collect:
        """Starts `compute` on the stacked rows; the result, called once, is its output as float32."""
        ...

    def free_bytes(self) -> int | None:
        """The memory that more batches could take; None where that is not known."""
        ...

    def settle(self) -> None:
        """Wait until what was put on the device (weights) is there for every stream."""
        ...

    def recover(self) -> None:
        """After a failed allocation: give back what is held but not used."""
        ...


def find_device(name: str) -> torch.device:
    """auto, cpu, mps, cuda or cuda:N as a device of this machine. Raises UsageError or MissingCapabilityError."""
    if name == "auto":
        if torch.cuda.is_available():
            return torch.device("cuda", 0)
        return torch.device("mps" if torch.backends.mps.is_available() else "cpu")
    kind, _, number = name.partition(":")
    if kind not in ("cpu", "mps", "cuda") or (number and not (kind == "cuda" and number.isdecimal())):
        raise UsageError(f"there is no device {name!r}", "auto, cpu, mps, cuda, or a GPU by its number, as in cuda:1")
    if kind == "cuda":
        count = torch.cuda.device_count() if torch.cuda.is_available() else 0
        if int(number or 0) >= count:
            found = f"torch sees {count} of them" if count else "torch sees no GPU"
            raise MissingCapabilityError(
                f"the device {name} is not there: {found}", f"{_ON_CPU}; or install a torch built for your GPU"
            )
        return torch.device("cuda", int(number or 0))
    if kind == "mps" and not torch.backends.mps.is_available():
        raise MissingCapabilityError("the device mps is not there", _ON_CPU)
    return torch.device(kind)


def find_dtype(precision: str, device: torch.device) -> torch.dtype:
    """auto is bfloat16 on GPUs that have it. Elsewhere that would be slower: measured 8 times on a CPU without AMX."""
    if precision not in ("auto", "float32", "bfloat16"):
        raise UsageError(f"there is no precision {precision!r}", "auto, float32 or bfloat16")
    if precision == "auto":
        if device.type != "cuda":
            return torch.float32
        with torch.cuda.device(device):
            return torch.bfloat16 if torch.cuda.is_bf16_supported(including_emulation=False) else torch.float32
    return torch.float32 if precision == "float32" else torch.bfloat16


def open_lane(device: torch.device) -> Lane:
    return CudaLane(device) if device.type == "cuda" else HostLane(device)


def out_of_memory(error: BaseException) -> bool:
    """Whether an allocation failed, on whatever device: the CPU's allocator raises a plain RuntimeError."""
    if isinstance(error, (torch.OutOfMemoryError, MemoryError)):
        return True
    return isinstance(error, RuntimeError) and any(
        sign in str(error) for sign in ("can't allocate memory", "not enough memory", "out of memory", "ALLOC_FAILED")
    )


class HostLane:
    """The CPU, or a device (MPS) that is used as simply."""

    def __init__(self, device: torch.device) -> None:
        self._device = device

    @property
    def device(self) -> torch.device:
        return self._device

    def run(self, compute: Compute, rows: Sequence[np.ndarray]) -> Collect:
        stacked = np.ascontiguousarray(rows[0][None] if len(rows) == 1 else np.stack(rows))
        if not stacked.flags.writeable:  # torch warns about those, though nothing here writes
            stacked = stacked.copy()
        with torch.inference_mode():
            found: np.ndarray = compute(torch.from_numpy(stacked).to(self._device)).float().cpu().numpy()
        return lambda: found

    def free_bytes(self) -> int | None:
        return None

    def settle(self) -> None:
        pass

    def recover(self) -> None:
        pass


class CudaLane:
    """A GPU: copies on a second stream, overlapped with compute."""

    def __init__(self, device: torch.device) -> None:
        self._device = device
        self._copies = torch.cuda.Stream(device)  # type: ignore[no-untyped-call]

    @property
    def device(self) -> torch.device:
        return self._device

    def run(self, compute: Compute, rows: Sequence[np.ndarray]) -> Collect:
        first = torch.from_numpy(np.empty(0, dtype=rows[0].dtype)).dtype
        # torch keeps pinned memory that was freed, and hands it out again only after the copies from it have ended
        staged = torch.empty((len(rows), *rows[0].shape), dtype=first, pin_memory=True)
        np.stack(rows, out=staged.numpy())
        with torch.cuda.device(self._device), torch.inference_mode():
            work = torch.cuda.current_stream(self._device)
            with torch.cuda.stream(self._copies):
                batch = staged.to(self._device, non_blocking=True)
            work.wait_stream(self._copies)
            batch.record_stream(work)  # so that its memory is not given to the next copy while it is read
            output = compute(batch).float()
            landed = torch.empty(output.shape, dtype=output.dtype, pin_memory=True)
            landed.copy_(output, non_blocking=True)
            done = torch.cuda.Event()  # type: ignore[no-untyped-call]
            done.record(work)

        def collect() -> np.ndarray:
            done.synchronize()
            return landed.numpy().copy()  # pinned memory is scarce, and what is returned may live long

        return collect

    def free_bytes(self) -> int | None:
        free, _ = torch.cuda.mem_get_info(self._device)
        cached = torch.cuda.memory_reserved(self._device) - torch.cuda.memory_allocated(self._device)
        return int(free + cached)

    def settle(self) -> None:
        torch.cuda.synchronize(self._device)

    def recover(self) -> None:
        with torch.cuda.device(self._device):
            torch.cuda.empty_cache()
