"""The runtime on the tiny model, which is a fake: random weights, so only plumbing and arithmetic are tested."""

from __future__ import annotations

import itertools
import threading
from collections.abc import Callable, Iterator, Sequence

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tasks.embed.imagebind import config
from tasks.embed.imagebind.batches import Rows, segment_means
from tasks.embed.imagebind.blocks import Block
from tasks.embed.imagebind.installed import Installed
from tasks.embed.imagebind.lane import Collect, Compute, HostLane, find_device, find_dtype, out_of_memory
from tasks.embed.imagebind.model import Tower, finish
from tasks.embed.imagebind.runtime import Runtime, runtime_for
from tasks.embed.imagebind.weights import load_tower
from tasks.errors import BinderyError, DocumentError, MissingCapabilityError, UsageError
from tasks.rows import Modality
from tests.embed.imagebind.tiny import install_tiny

START, END = config.VOCABULARY - 2, config.VOCABULARY - 1
SHAPES: dict[Modality, tuple[int, ...]] = {
    "image": (224, 224, 3),
    "video": (3, 2, 224, 224),
    "audio": (1, 128, 204),
    "depth": (1, 224, 224),
    "thermal": (1, 224, 224),
    "imu": (6, 2000),
}
CPU = torch.device("cpu")


class CrampedLane(HostLane):
    """A fake device that has memory for `most` rows only, and none at all for rows that contain `poison`."""

    def __init__(self, most: int, error: Callable[[], Exception], poison: float | None = None) -> None:
        super().__init__(CPU)
        self.most, self.error, self.poison = most, error, poison
        self.failures = self.recoveries = 0
        self.sizes: list[int] = []

    def run(self, compute: Compute, rows: Sequence[np.ndarray]) -> Collect:
        poisoned = self.poison is not None and any((row == self.poison).any() for row in rows)
        if len(rows) > self.most or poisoned:
            self.failures += 1
            raise self.error()
        self.sizes.append(len(rows))
        return super().run(compute, rows)

    def recover(self) -> None:
        self.recoveries += 1


class LateLane(HostLane):
    """A fake device that computes only when it is asked for results, as a GPU may; counts what is under way."""

    def __init__(self) -> None:
        super().__init__(CPU)
        self.under_way = self.most_under_way = 0

    def run(self, compute: Compute, rows: Sequence[np.ndarray]) -> Collect:
        self.under_way += 1
        self.most_under_way = max(self.most_under_way, self.under_way)

        def collect() -> np.ndarray:
            self.under_way -= 1
            return HostLane.run(self, compute, rows)()

        return collect


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Installed:
    return install_tiny(tmp_path_factory.mktemp("models"))


@pytest.fixture(scope="module")
def runtime(model: Installed) -> Runtime:
    return Runtime(model, "cpu")


def item(modality: Modality, seed: int, clips: int = 1) -> np.ndarray:
    random = np.random.default_rng(seed)
    if modality == "text":
        ids = random.integers(1, START, int(random.integers(1, 75)))
        return np.array([START, *ids, END])[None]
    shape = (clips, *SHAPES[modality])
    if modality == "image":
        return random.integers(0, 256, shape, dtype=np.uint8)
    return random.standard_normal(shape, dtype=np.float32)


def alone(model: Installed, modality: Modality, array: np.ndarray) -> np.ndarray:
    """What the tower gives for each clip by itself, and their mean."""
    tower = load_tower(model, config.tower_of(modality))
    x = torch.from_numpy(array.transpose(0, 3, 1, 2).copy() if modality == "image" else array)
    with torch.inference_mode():
        return torch.cat([finish(tower(clip[None]), tower.scale) for clip in x]).mean(dim=0).numpy()


@pytest.mark.parametrize("modality", ["text", *SHAPES])
def test_each_item_has_the_scaled_mean_of_its_clips(model: Installed, runtime: Runtime, modality: Modality) -> None:
    arrays = [item(modality, seed, clips) for seed, clips in enumerate((2, 1, 3))]
    found = runtime.encode(modality, arrays)
    assert found.dtype == np.float32 and found.shape == (3, model.config.dimension)
    for vector, array in zip(found, arrays, strict=True):
        expected = alone(model, modality, array)
        np.testing.assert_allclose(vector, expected, rtol=0, atol=1e-6 * float(np.linalg.norm(expected)))
    single = arrays[1]
    assert np.linalg.norm(runtime.encode(modality, [single])[0]) == pytest.approx(
        {"text": 100, "audio": 20, "depth": 5, "thermal": 10, "imu": 5}.get(modality, 1), rel=1e-5
    )


def test_decoded_pixels_equal_normalised_ones(model: Installed, runtime: Runtime) -> None:
    pixels = item("image", 3)
    mean = np.array((0.48145466, 0.4578275, 0.40821073), np.float32)
    std = np.array((0.26862954, 0.26130258, 0.27577711), np.float32)
    normalised = ((pixels / np.float32(255) - mean) / std).transpose(0, 3, 1, 2).copy()
    np.testing.assert_allclose(runtime.encode("image", [pixels]), runtime.encode("image", [normalised]), atol=1e-6)


@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_a_vector_does_not_depend_on_its_neighbours(model: Installed, runtime: Runtime, data: st.DataObject) -> None:
    modality: Modality = data.draw(st.sampled_from(["text", "imu", "image"]))
    seeds = data.draw(st.lists(st.integers(0, 5), min_size=1, max_size=12))
    mine = Runtime(model, "cpu", load=lambda name, device, dtype: runtime.tower(name))
    mine.budgets.start(config.tower_of(modality), data.draw(st.sampled_from([1, 100, 700, 5000])))
    clips = {seed: 1 + seed % 3 for seed in seeds}
    found = mine.encode(modality, [item(modality, seed, clips[seed]) for seed in seeds])
    for seed, vector in zip(seeds, found, strict=True):
        expected = runtime.encode(modality, [item(modality, seed, clips[seed])])[0]
        assert np.abs(vector - expected).max() <= 1e-5 * np.linalg.norm(expected)


def test_texts_are_cut_at_their_end_and_sorted_by_length(model: Installed, runtime: Runtime) -> None:
    ids = [item("text", seed)[0].tolist() for seed in range(40)]
    padded = [row + [0] * (config.TEXT_TOKENS - len(row)) for row in ids]
    np.testing.assert_allclose(runtime.encode_texts(ids), runtime.encode_texts(padded), rtol=0, atol=1e-4)
    rows = Rows.of("text", [np.array([row]) for row in padded])
    batches = list(rows.batches(512))
    assert sorted(row for batch in batches for row in batch.rows) == list(range(40))
    lengths = [[len(ids[row]) for row in batch.rows] for batch in batches]
    assert lengths == [sorted(group, reverse=True) for group in lengths]
    assert all(min(first) >= max(second) for first, second in itertools.pairwise(lengths))
    assert all(batch.length == group[0] for batch, group in zip(batches, lengths, strict=True))
    assert all(len(batch.rows) * batch.length <= 512 for batch in batches)


def test_no_items_are_no_vectors(runtime: Runtime) -> None:
    assert runtime.encode("image", []).shape == (0, runtime.dimension)
    assert runtime.encode_texts([]).shape == (0, runtime.dimension)


@pytest.mark.parametrize(
    "error",
    [
        lambda: torch.OutOfMemoryError("CUDA out of memory"),
        lambda: RuntimeError("[enforce fail at alloc_cpu.cpp] DefaultCPUAllocator: can't allocate memory"),
        MemoryError,
    ],
    ids=["cuda", "cpu", "python"],
)
def test_batches_are_halved_where_memory_runs_out_and_stay_so(
    model: Installed, runtime: Runtime, error: Callable[[], Exception]
) -> None:
    mine = Runtime(model, "cpu")
    lane = mine.lane = CrampedLane(3, error)
    mine.budgets.start("imu", 16 * config.TOKENS["imu"])
    arrays = [item("imu", seed) for seed in range(20)]
    expected = runtime.encode("imu", arrays)
    np.testing.assert_allclose(mine.encode("imu", arrays), expected, rtol=0, atol=1e-5)
    assert (lane.failures, lane.recoveries) == (3, 3)  # 16, 8, 4
    assert sum(lane.sizes) == 20 and set(lane.sizes) == {2}
    mine.encode("imu", arrays)
    assert lane.failures == 3


def test_what_never_fits_is_reported_alone(model: Installed, runtime: Runtime) -> None:
    mine = Runtime(model, "cpu")
    mine.lane = CrampedLane(8, lambda: torch.OutOfMemoryError("out of memory"), poison=77.0)
    arrays = [item("imu", seed) for seed in range(6)]
    arrays[4][0, 0, 0] = 77.0
    found = mine.try_encode("imu", arrays)
    error = found[4]
    assert isinstance(error, DocumentError) and error.code == "memory" and error.message.startswith("item 4 (imu): ")
    expected = runtime.encode("imu", arrays)
    for index in (0, 1, 2, 3, 5):
        np.testing.assert_allclose(found[index], expected[index], rtol=0, atol=1e-5)  # type: ignore[arg-type]
    with pytest.raises(DocumentError, match="item 4"):
        mine.encode("imu", arrays)


def test_other_failures_of_the_device_are_not_hidden(model: Installed) -> None:
    mine = Runtime(model, "cpu")
    mine.lane = CrampedLane(0, lambda: RuntimeError("an illegal memory access was encountered"))
    with pytest.raises(RuntimeError, match="illegal"):
        mine.encode("imu", [item("imu", 0)])
    assert not out_of_memory(RuntimeError("mat1 and mat2 shapes cannot be multiplied"))


def test_unfit_items_are_named_and_leave_the_others_alone(runtime: Runtime) -> None:
    good, cut, nan = item("audio", 1, 3), item("audio", 2, 3)[..., :100], item("audio", 3, 2)
    nan[1, 0, 5, 5] = np.nan
    found = runtime.try_encode("audio", [cut, good, nan, good[:0], good.astype(np.float64)])
    codes = [result.code if isinstance(result, DocumentError) else None for result in found]
    assert codes == ["wrong_shape", None, "embed_failed", "wrong_shape", "wrong_shape"]
    np.testing.assert_allclose(found[1], runtime.encode("audio", [good])[0], rtol=0, atol=1e-5)  # type: ignore[arg-type]
    assert str(found[2]) == "item 2 (audio): the model's output is not finite"
    too_long = np.array([[START, *[5] * 80, END]])
    results = runtime.try_encode("text", [too_long, np.zeros((1, 4), np.float32), item("text", 1)])
    assert [isinstance(result, DocumentError) for result in results] == [True, True, False]
    odd = np.zeros((1, 100, 100, 3), np.uint8)  # no whole number of patches
    assert isinstance(runtime.try_encode("image", [odd])[0], DocumentError)


def test_a_zero_output_is_refused(model: Installed) -> None:
    def load(name: str, device: torch.device, dtype: torch.dtype) -> Tower:
        tower = load_tower(model, name, device, dtype)
        tower.projection = torch.nn.Parameter(torch.zeros_like(tower.projection), requires_grad=False)
        return tower

    with pytest.raises(DocumentError, match=r"item 0 \(imu\): the model's output is zero"):
        Runtime(model, "cpu", load=load).encode("imu", [item("imu", 0)])


def test_two_batches_at_most_are_under_way(model: Installed, runtime: Runtime, monkeypatch: pytest.MonkeyPatch) -> None:
    mine = Runtime(model, "cpu")
    lane = mine.lane = LateLane()
    monkeypatch.setattr(Runtime, "in_flight", property(lambda runtime: 1))  # as on a GPU
    mine.budgets.start("imu", 2 * config.TOKENS["imu"])
    arrays = [item("imu", seed, 1 + seed % 2) for seed in range(9)]
    np.testing.assert_allclose(mine.encode("imu", arrays), runtime.encode("imu", arrays), rtol=0, atol=1e-5)
    assert lane.most_under_way == 2


def test_towers_are_loaded_when_needed_and_once(model: Installed) -> None:
    loads: list[str] = []

    def load(name: str, device: torch.device, dtype: torch.dtype) -> Tower:
        loads.append(name)
        return load_tower(model, name, device, dtype)

    mine = Runtime(model, "cpu", load=load)
    found: list[np.ndarray] = []
    threads = [
        threading.Thread(target=lambda: found.append(mine.encode("imu", [item("imu", seed) for seed in range(5)])))
        for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert loads == ["imu"] and len(found) == 4
    assert all(np.array_equal(found[0], other) for other in found)
    mine.encode("image", [item("image", 1)])
    mine.encode("video", [item("video", 1)])
    assert loads == ["imu", "vision"]


def test_one_runtime_per_process_device_and_precision(model: Installed) -> None:
    assert runtime_for(model, "cpu") is runtime_for(model, "cpu", "float32")
    assert runtime_for(model, "cpu") is not runtime_for(model, "cpu", "bfloat16")


def test_bfloat16_where_it_is_asked_for(model: Installed, runtime: Runtime) -> None:
    arrays = [item("imu", seed) for seed in range(3)]
    exact, narrow = runtime.encode("imu", arrays), Runtime(model, "cpu", "bfloat16").encode("imu", arrays)
    cosine = (exact * narrow).sum(axis=1) / np.linalg.norm(exact, axis=1) / np.linalg.norm(narrow, axis=1)
    assert not np.array_equal(exact, narrow) and cosine.min() > 0.999


def test_devices_and_precisions_that_are_not_there(model: Installed) -> None:
    assert find_device("cpu") == CPU and find_dtype("auto", CPU) == torch.float32
    for name in ("gpu", "cpu:1", "cuda:x", "cuda:-1", ""):
        with pytest.raises(UsageError):
            find_device(name)
    with pytest.raises(MissingCapabilityError):
        find_device("cuda:99")
    with pytest.raises(UsageError):
        Runtime(model, "cpu", "float16")


def test_a_failing_compilation_is_given_up(
    model: Installed, runtime: Runtime, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(*_: object) -> None:
        raise RuntimeError("no compiler")

    monkeypatch.setattr(Block, "compile", lambda self, **_: setattr(self, "_compiled_call_impl", fail))
    mine = Runtime(model, "cpu", compiled=True)
    arrays = [item("imu", seed) for seed in range(3)]
    np.testing.assert_array_equal(mine.encode("imu", arrays), runtime.encode("imu", arrays))
    assert "no compiler" in caplog.text


def test_compiled_towers_never_see_a_single_row(
    model: Installed, runtime: Runtime, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[int] = []

    def compile_block(self: Block, **_: object) -> None:
        def call(x: torch.Tensor, causal: bool) -> torch.Tensor:
            seen.append(len(x))
            return self.forward(x, causal)

        self._compiled_call_impl = call

    monkeypatch.setattr(Block, "compile", compile_block)
    mine = Runtime(model, "cpu", compiled=True)
    one = item("imu", 1)
    np.testing.assert_allclose(mine.encode("imu", [one]), runtime.encode("imu", [one]), rtol=0, atol=1e-5)
    assert seen == [2]


def test_segment_means() -> None:
    rows = np.array([[1, 2], [3, 4], [5, 6], [0.1, 0.7]], np.float32)
    np.testing.assert_array_equal(segment_means(rows, [2, 1, 1]), np.array([[2, 3], [5, 6], [0.1, 0.7]], np.float32))
    assert segment_means(rows[:0], []).shape == (0, 2)


def test_a_stream_keeps_order_and_isolates_errors(runtime: Runtime) -> None:
    def prepare(job: int) -> list[np.ndarray]:
        if job == 2:
            raise DocumentError("malformed", "job 2 is cut off")
        if job == 3:
            raise ValueError("what a\nlibrary says")
        if job == 4:
            return [item("imu", 4)[:, :3]]
        if job == 5:
            raise MemoryError
        return [item("imu", 10 * job + view, 1 + view) for view in range(job % 3 + 1)]

    found = list(runtime.encode_stream("imu", range(12), prepare, ahead=5, threads=3))
    assert [job for job, _ in found] == list(range(12))
    for job, result in found:
        if job in (2, 3, 4, 5):
            assert isinstance(result, DocumentError)
        else:
            np.testing.assert_allclose(result, runtime.encode("imu", prepare(job)), rtol=0, atol=1e-5)  # type: ignore[arg-type]
    errors = {job: (str(result), result.code) for job, result in found if isinstance(result, DocumentError)}
    assert errors[2] == ("job 2 is cut off", "malformed")
    assert errors[3] == ("ValueError: what a library says", "malformed")
    assert errors[4][1] == "wrong_shape" and errors[5][1] == "memory"
    assert list(runtime.encode_stream("imu", [], prepare)) == []


@pytest.mark.parametrize("ahead", [1, 2, 7])
def test_a_stream_is_bounded(runtime: Runtime, ahead: int) -> None:
    lock = threading.Lock()
    prepared = given = 0
    most = 0

    def prepare(job: int) -> list[np.ndarray]:
        nonlocal prepared, most
        with lock:
            prepared += 1
            most = max(most, prepared - given)
        return [item("imu", job)]

    jobs = iter(range(30))
    for job, result in runtime.encode_stream("imu", jobs, prepare, ahead=ahead, threads=2):
        assert isinstance(result, np.ndarray)
        with lock:
            given = job + 1
    assert given == 30
    assert 1 <= most <= 2 * ahead  # what is ahead, and the batch that is being given out


def test_a_stream_that_is_closed_stops_decoding(runtime: Runtime) -> None:
    taken: list[int] = []

    def jobs() -> Iterator[int]:
        for job in range(1000):
            taken.append(job)
            yield job

    stream = runtime.encode_stream("imu", jobs(), lambda job: [item("imu", job)], ahead=4, threads=2)
    assert next(stream)[0] == 0
    stream.close()  # type: ignore[attr-defined]
    assert len(taken) <= 8


def test_a_fatal_error_ends_a_stream(runtime: Runtime) -> None:
    def prepare(job: int) -> list[np.ndarray]:
        raise BinderyError("the disk is full")

    with pytest.raises(BinderyError, match="disk"):
        list(runtime.encode_stream("imu", range(5), prepare))
