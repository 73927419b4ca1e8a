"""The loaded model on one device: prepared items in, for each a scaled output vector or the reason why there is none.

items → rows (clips) → batches, sized to memory → tower → outputs, normalised and scaled → means over an item's clips

An item that is not fit to be embedded, or does not fit into memory even alone, is an error of its own.
"""

from __future__ import annotations

import collections
import logging
import threading
from collections.abc import Callable, Iterator, Sequence

import numpy as np
import torch
from torch import Tensor

from tasks.embed.imagebind import config, stream
from tasks.embed.imagebind.batches import Batch, Budgets, Result, Rows
from tasks.embed.imagebind.installed import Installed
from tasks.embed.imagebind.lane import Collect, find_device, find_dtype, open_lane, out_of_memory
from tasks.embed.imagebind.model import Tower, finish
from tasks.embed.imagebind.stream import Started
from tasks.errors import DocumentError
from tasks.rows import Modality

_log = logging.getLogger(__name__)
Load = Callable[[str, torch.device, torch.dtype], Tower]

# Tokens per batch that keep a device busy: more gains nothing and waits longer for its first result. The CPU's was
# measured (benchmarks/imagebind).
_BUSY = {"cpu": 2304, "cuda": 65_536, "mps": 8192}
# What a token needs while a block runs, in elements of the block's width: the residual stream twice in float32, what
# attention reads and makes, the MLP's four widths before and after its activation; and a margin.
_WIDTHS_PER_TOKEN = 32
# Compiling a tower takes tens of seconds and saves some tenth of its time: worth it after about this many tokens.
COMPILE_AFTER = 40_000_000


class Runtime(stream.Encoder):
    """One device with the towers that were asked for so far. Its methods may be called from several threads.

    `memory_fraction` is how much of a GPU's free memory batches may take. `load` makes a tower; by default it maps the
    installed weights. `compiled`: whether torch.compile is used; by default on CUDA, for a tower with very much to do.
    """

    def __init__(
        self,
        installed: Installed,
        device: str = "auto",
        precision: str = "auto",
        memory_fraction: float = 0.8,
        *,
        load: Load | None = None,
        compiled: bool | None = None,
    ) -> None:
        self.config = installed.config
        self.lane = open_lane(find_device(device))
        self.dtype = find_dtype(precision, self.device)
        self.budgets = Budgets()
        self._load = load or _loader(installed)
        self._fraction = memory_fraction
        self._towers: dict[str, Tower] = {}
        self._served: collections.Counter[str] = collections.Counter()
        self._want_compiled, self._compiled = compiled, set[str]()
        self._lock = threading.RLock()

    @property
    def device(self) -> torch.device:
        return self.lane.device

    @property
    def dimension(self) -> int:
        return self.config.dimension

    @property
    def in_flight(self) -> int:
        return 1 if self.device.type == "cuda" else 0  # of a GPU's batches, one travels while one is computed

    def tower(self, name: str) -> Tower:
        """The tower, loaded at the first call."""
        with self._lock:
            if name not in self._towers:
                self._towers[name] = self._load(name, self.device, self.dtype)
                self.lane.settle()
                self.budgets.start(name, self._first_budget(name))
            return self._towers[name]

    def encode_texts(self, ids: Sequence[Sequence[int]]) -> np.ndarray:
        return self.encode("text", [np.asarray(row, dtype=np.int64)[None] for row in ids])

    def batch_rows(self, modality: Modality) -> int:
        name = config.tower_of(modality)
        self.tower(name)
        return max(1, self.budgets.tokens(name) // config.TOKENS[name])

    def start(self, modality: Modality, arrays: Sequence[np.ndarray]) -> Started:
        """Begin with prepared items. The result, called once, waits for what a GPU has not finished by then."""
        rows = Rows.of(modality, arrays)
        vectors = np.full((len(rows.rows), self.dimension), np.nan, dtype=np.float32)
        waiting: collections.deque[tuple[tuple[int, ...], Collect]] = collections.deque()

        def collect(keep: int) -> None:
            while len(waiting) > keep:
                places, output = waiting.popleft()
                vectors[list(places)] = output()

        if rows.rows:
            tower = self.tower(config.tower_of(modality))
            for batch in rows.batches(self.budgets.tokens(tower.name)):
                for part, output in self._run(tower, batch, rows):
                    if isinstance(output, DocumentError):
                        rows.fail(part.rows[0], output)
                    else:
                        waiting.append((part.rows, output))
                        collect(self.in_flight)
        rows.rows.clear()  # only results are waited for; a caller may hold many of these

        def finished() -> list[Result]:
            collect(0)
            return rows.results(vectors)

        return finished

    def _run(self, tower: Tower, batch: Batch, rows: Rows) -> Iterator[tuple[Batch, Collect | DocumentError]]:
        """The batch, in parts where it, or one before it, did not fit into memory."""
        left = batch.rows
        while left:
            size = max(1, self.budgets.tokens(tower.name) // batch.length)
            part, left = Batch(left[:size], batch.length), left[size:]
            collect = self._attempt(tower, part, rows)
            if collect is not None:
                yield part, collect
            elif len(part.rows) == 1:
                message = f"it does not fit into the memory of {self.device}, even alone"
                yield part, DocumentError("memory", message, "free memory, or use a device with more")
            else:
                _log.info("%s: %d rows did not fit into memory; halved", tower.name, len(part.rows))
                self.budgets.shrink(tower.name, len(part.rows) * part.length)
                left = part.rows + left

    def _attempt(self, tower: Tower, part: Batch, rows: Rows) -> Collect | None:
        """None where memory ran out."""
        stacked = rows.stacked(part)
        with self._lock:
            self._consider_compiling(tower, len(part.rows) * part.length)
            try:
                return self.lane.run(lambda x: self._outputs(tower, x), stacked)
            except Exception as error:
                if not out_of_memory(error) and tower.name not in self._compiled:
                    raise
                if not out_of_memory(error):
                    self._stop_compiling(tower, error)
                    return self.lane.run(lambda x: self._outputs(tower, x), stacked)
            self.lane.recover()  # out here the error, and with it the frames that hold tensors, is gone
            return None

    def _outputs(self, tower: Tower, x: Tensor) -> Tensor:
        if x.dtype == torch.uint8 and x.shape[-1] == 3:
            x = x.movedim(-1, 1)  # pixels travel as they were decoded
        if tower.name in self._compiled and len(x) == 1:
            # compiled for any number of rows but one, and for one it would be compiled again
            return finish(tower.encode(torch.cat([x, x])), tower.scale)[:1]
        return finish(tower.encode(x), tower.scale)

    def _first_budget(self, name: str) -> int:
        busy, free = _BUSY[self.device.type], self.lane.free_bytes()
        if free is None:
            return busy
        per_token = _WIDTHS_PER_TOKEN * self.config.tower(name).width * self.dtype.itemsize
        return min(busy, int(free * self._fraction) // per_token)

    def _consider_compiling(self, tower: Tower, tokens: int) -> None:
        self._served[tower.name] += tokens
        wanted = self._want_compiled
        if wanted is None:
            wanted = self.device.type == "cuda" and self._served[tower.name] > COMPILE_AFTER
        if wanted and tower.name not in self._compiled:
            self._compiled.add(tower.name)
            for block in tower.blocks:  # one compilation for all of them, for any number of rows and tokens
                block.compile(dynamic=True)

    def _stop_compiling(self, tower: Tower, error: Exception) -> None:
        """Whatever this machine lacks for it: the modules as they are give the same."""
        _log.warning("%s: torch.compile failed, going on without: %s", tower.name, str(error).strip().split("\n")[0])
        self._want_compiled = False
        self._compiled.discard(tower.name)
        for block in tower.blocks:
            block._compiled_call_impl = None


_runtimes: dict[tuple[Installed, torch.device, torch.dtype], Runtime] = {}
_runtimes_lock = threading.Lock()


def runtime_for(installed: Installed, device: str = "auto", precision: str = "auto") -> Runtime:
    """This process's runtime for a model, device and precision: each is loaded once, whoever asks."""
    found = find_device(device)
    key = (installed, found, find_dtype(precision, found))
    with _runtimes_lock:
        if key not in _runtimes:
            _runtimes[key] = Runtime(installed, device, precision)
        return _runtimes[key]


def _loader(installed: Installed) -> Load:
    from tasks.embed.imagebind import weights

    return lambda name, device, dtype: weights.load_tower(installed, name, device, dtype)
