"""The whole pipeline over seven modalities with a fake model: ingest, what is embedded, search by each, what is redone.

The model has random weights: that the right vectors arrive in the right places is what is tested, and nothing of what
they mean.
"""

from __future__ import annotations

import dataclasses
import io
import itertools
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
import soundfile
from PIL import Image

from tasks import progress
from tasks.embed import spaces
from tasks.embed.imagebind.space import ImageBindSpace
from tasks.embed.media import MediaItem, Medium, modality_of
from tasks.errors import DocumentError, LakeError, MissingCapabilityError, UsageError
from tasks.index import open_reader
from tasks.lake import current_release
from tasks.rows import Modality, VectorRow, vectors_from_table
from tests.embed.imagebind.fixtures import cut
from tests.embed.imagebind.tiny import install_tiny
from tests.files import make_video
from tests.pipeline import ingest, inline, opened, statuses

FILES: dict[str, Modality] = {
    "square.png": "image",
    "wide.png": "image",
    "tone.wav": "audio",
    "long.wav": "audio",
    "clip.mp4": "video",
    "room.depth.png": "depth",
    "face.thermal.png": "thermal",
    "walk.imu.npy": "imu",
}


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("models")
    install_tiny(folder)
    return folder


@pytest.fixture(autouse=True)
def installed(models: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("BINDERY_MODELS", str(models))
    monkeypatch.setenv("BINDERY_PARTITION__OCR", "false")
    spaces.open_space.cache_clear()
    yield
    spaces.open_space.cache_clear()


@pytest.fixture(scope="module")
def media(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("media")
    write_media(folder)
    return folder


def write_media(folder: Path) -> None:
    rng = np.random.default_rng(5)
    Image.fromarray(rng.integers(0, 255, (230, 230, 3), np.uint8)).save(folder / "square.png")
    Image.fromarray(rng.integers(0, 255, (230, 920, 3), np.uint8)).save(folder / "wide.png")
    soundfile.write(folder / "tone.wav", np.sin(np.arange(48_000) / 8) * 0.4, 16_000)
    soundfile.write(folder / "long.wav", rng.normal(0, 0.1, 8000 * 23) * np.linspace(0, 1, 8000 * 23), 8000)
    with av.open(str(folder / "clip.mp4"), "w") as film:
        stream = film.add_stream("mpeg4", rate=10)
        stream.width, stream.height, stream.pix_fmt = 96, 64, "yuv420p"
        for _ in range(30):
            picture = av.VideoFrame.from_ndarray(rng.integers(0, 255, (64, 96, 3), np.uint8), format="rgb24")
            for packet in stream.encode(picture):
                film.mux(packet)
        for packet in stream.encode():
            film.mux(packet)
    Image.fromarray(rng.integers(500, 8000, (240, 320)).astype(np.uint16)).save(folder / "room.depth.png")
    Image.fromarray(rng.integers(0, 255, (240, 320)).astype(np.uint8)).save(folder / "face.thermal.png")
    np.save(folder / "walk.imu.npy", rng.normal(size=(6, 2000)).astype(np.float32))
    (folder / "notes.txt").write_text("The buoy reports waves, wind and tide every hour. " * 3, encoding="utf-8")


@pytest.fixture(scope="module")
def lake(models: Path, media: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A lake of all the media, in both spaces, made through real stages."""
    folder = tmp_path_factory.mktemp("lake")
    with pytest.MonkeyPatch.context() as patch, inline():
        patch.setenv("BINDERY_MODELS", str(models))
        patch.setenv("BINDERY_PARTITION__OCR", "false")
        spaces.open_space.cache_clear()
        report = ingest([media], folder)
    assert set(statuses(report, media).values()) == {"new"}
    return folder


@dataclasses.dataclass(frozen=True)
class Held:
    """A published vector with its file's name."""

    name: str
    row: VectorRow


def held(lake: Path) -> list[Held]:
    reader = open_reader(opened(lake))
    names = {row.doc_id: Path(row.uri).name for row in reader.sources()}
    table = reader._table("vectors_imagebind").search().limit(None).to_arrow()
    return [Held(names[row.doc_id], row) for row in vectors_from_table(table)]


def space() -> ImageBindSpace:
    found = spaces.open_space("imagebind")
    assert isinstance(found, ImageBindSpace)
    return found


def test_what_is_embedded(lake: Path) -> None:
    rows = held(lake)
    raw = [(item.name, item.row.modality, item.row.window) for item in rows if item.row.view == "raw"]
    assert (
        sorted(raw)
        == sorted(
            [
                ("square.png", "image", 0),
                *(("wide.png", "image", window) for window in range(6)),  # crop, letterbox, four tiles
                ("tone.wav", "audio", 0),
                *[("long.wav", "audio", 0)] * 3,  # ten seconds, ten seconds, three
                *((name, modality, 0) for name, modality in list(FILES.items())[4:]),
            ]
        )
    )
    assert {item.row.view for item in rows} == {"raw"}  # no file here says anything in words of its own
    boxes = [item.row.box for item in rows if item.name == "wide.png" and item.row.view == "raw"]
    assert sum(box is None for box in boxes) == 2
    lefts = sorted(box.x0 for box in boxes if box)
    assert lefts[0] == 0 and len(set(lefts)) == 4
    lengths = np.linalg.norm([item.row.vector for item in rows], axis=1)
    np.testing.assert_allclose(lengths, 1, atol=1e-5)


def test_a_release_names_its_models(lake: Path) -> None:
    release = current_release(opened(lake).storage)
    assert dict(release.spaces) == {"minilm": 384, "imagebind": 16}
    assert release.models["imagebind"] == space().fingerprint
    assert release.counts["chunks_imu"] == 1 and release.counts["chunks_audio"] == 4


@pytest.mark.parametrize("name", list(FILES))
def test_each_modality_finds_each_as_brute_force_does(lake: Path, media: Path, name: str) -> None:
    from tasks.query import Query
    from tasks.retrieve import retrieve

    query = space().embed_file(FILES[name], str(media / name))
    rows = held(lake)
    if name != "long.wav":  # of that, parts are in the lake
        own = [float(item.row.vector @ query) for item in rows if item.name == name and item.row.view == "raw"]
        assert max(own) == pytest.approx(1, abs=1e-4)
    asked = Query.of(files={FILES[name]: [str(media / name)]})
    found = retrieve(opened(lake), asked, k=50, spaces=("imagebind",))
    best: dict[tuple[str, str], float] = {}
    for item in rows:
        key = (item.row.chunk_id, item.row.modality)
        best[key] = max(best.get(key, -1.0), float(item.row.vector @ query))
    assert {hit.chunk.kind for hit in found.hits} == {"image", "audio", "video", "depth", "thermal", "imu"}
    for hit in found.hits:
        (signal,) = hit.signals
        assert signal.match is not None
        assert signal.score == pytest.approx(best[hit.chunk.chunk_id, signal.match.modality], abs=1e-4)
    # The query itself first, then by calibrated score.
    order = [(hit.signals[0].score > 0.999, hit.signals[0].calibrated or 0.0) for hit in found.hits]
    assert order == sorted(order, reverse=True)
    # Within one modality the calibrated order is that of the cosines.
    for kind in ("image", "audio"):
        cosines = [
            hit.signals[0].score for hit in found.hits
            if hit.chunk.kind == kind and hit.signals[0].match and hit.signals[0].match.modality == kind
        ]  # fmt: skip
        assert all(a >= b - 1e-4 for a, b in itertools.pairwise(cosines))


def test_arithmetic(lake: Path, media: Path) -> None:
    from tasks.query import Query, query_vector

    of = {name: space().embed_file(FILES[name], str(media / name)) for name in ("square.png", "tone.wav")}
    words = space().embed_texts(["rough sea"])[0]
    query = Query.of("rough sea", {"image": [str(media / "square.png")]}, minus=[f"0.5*@{media / 'tone.wav'}"])
    expected = words + of["square.png"] - 0.5 * of["tone.wav"]
    np.testing.assert_allclose(query_vector(query, space()), expected / np.linalg.norm(expected), atol=1e-5)


def test_what_is_known_is_not_embedded_again(media: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A changed mail keeps the vectors of its unchanged attachment's pictures; an unchanged corpus embeds nothing."""
    seen: list[str] = []
    embed_media, embed_texts = ImageBindSpace.embed_media, ImageBindSpace.embed_texts

    def watched_media(self: ImageBindSpace, items, *args):  # type: ignore[no-untyped-def]
        seen.extend(Path(item.path).suffix for item in items)
        return embed_media(self, items, *args)

    def watched_texts(self: ImageBindSpace, texts):  # type: ignore[no-untyped-def]
        seen.extend(texts)
        return embed_texts(self, texts)

    monkeypatch.setattr(ImageBindSpace, "embed_media", watched_media)
    monkeypatch.setattr(ImageBindSpace, "embed_texts", watched_texts)
    docs, lake = tmp_path / "docs", tmp_path / "lake"
    docs.mkdir()
    page = '<h1>{title}</h1><p>Words about {title}.</p><img src="data:image/png;base64,{data}">'
    import base64

    data = base64.b64encode((media / "square.png").read_bytes()).decode()
    (docs / "page.html").write_text(page.format(title="waves", data=data), encoding="utf-8")
    with inline():
        ingest([docs], lake, spaces=["imagebind"])
        assert seen.count(".png") == 1
        spaces.open_space.cache_clear()  # a new process, which remembers nothing
        seen.clear()
        (docs / "page.html").write_text(page.format(title="winds", data=data), encoding="utf-8")
        report = ingest([docs], lake, spaces=["imagebind"])
        assert statuses(report, docs) == {"page.html": "changed"}
        assert seen and ".png" not in seen  # the summary is new, the picture is not
        seen.clear()
        ingest([docs], lake, spaces=["imagebind"])
        assert seen == []


def test_a_lake_is_not_mixed_from_two_models(media: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    docs, lake = tmp_path / "docs", tmp_path / "lake"
    docs.mkdir()
    (docs / "walk.imu.npy").write_bytes((media / "walk.imu.npy").read_bytes())
    with inline():
        ingest([docs], lake, spaces=["imagebind"])
        before = held(lake)
        monkeypatch.setattr("tasks.embed.imagebind.space.VERSION", 99)
        with pytest.raises(LakeError, match="another model"):
            ingest([docs], lake, spaces=["imagebind"])
        assert [item.row.item for item in held(lake)] == [item.row.item for item in before]
        report = ingest([docs], lake, spaces=["imagebind"], restage=True)
        assert statuses(report, docs) == {"walk.imu.npy": "restaged"}
        assert [item.row.item for item in held(lake)] != [item.row.item for item in before]
        other = tmp_path / "other"
        other.mkdir()
        (other / "tone.wav").write_bytes((media / "tone.wav").read_bytes())
        ingest([other], lake, spaces=["imagebind"])
        monkeypatch.setattr("tasks.embed.imagebind.space.VERSION", 100)
        (docs / "cut.png").write_bytes(b"\x89PNG\r\n\x1a\nno more")  # a failure beside it changes nothing
        ingest([docs], lake, spaces=["imagebind"], restage=True)
        assert {item.name for item in held(lake)} == {"walk.imu.npy"}  # the other's are of another model
        release = current_release(opened(lake).storage)
        assert (release.counts["documents"], release.counts["documents_imagebind"]) == (2, 1)
        ingest([docs, other], lake, spaces=["imagebind"], restage=True)
        assert {item.name for item in held(lake)} == {"walk.imu.npy", "tone.wav"}


def test_vectors_of_a_space_that_was_left_out_keep_their_model(
    media: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    docs, lake = tmp_path / "docs", tmp_path / "lake"
    docs.mkdir()
    (docs / "walk.imu.npy").write_bytes((media / "walk.imu.npy").read_bytes())
    with inline():
        ingest([docs], lake)
        notes: list[str] = []
        with progress.listening(lambda event: notes.append(event.label)):
            ingest([docs], lake, spaces=["minilm"])
        assert "space imagebind is not chosen: it leaves the release for all readers" in notes
        assert set(current_release(opened(lake).storage).spaces) == {"minilm"}
        monkeypatch.setattr("tasks.embed.imagebind.space.VERSION", 99)
        with pytest.raises(LakeError, match="another model"):
            ingest([docs], lake)


def test_a_space_that_readers_have_is_not_dropped_silently(
    media: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    docs, lake = tmp_path / "docs", tmp_path / "lake"
    docs.mkdir()
    (docs / "notes.txt").write_bytes((media / "notes.txt").read_bytes())
    with inline():
        ingest([docs], lake)
        monkeypatch.setenv("BINDERY_MODELS", str(tmp_path / "none"))
        spaces.open_space.cache_clear()
        with pytest.raises(MissingCapabilityError, match="'imagebind'") as error:
            ingest([docs], lake)
        assert "--space minilm" in error.value.hint and "bindery models add" in error.value.hint
        with pytest.raises(MissingCapabilityError):
            ingest([docs], lake, spaces=["imagebind"])
        ingest([docs], lake, spaces=["minilm"], restage=True)
        assert set(current_release(opened(lake).storage).spaces) == {"minilm"}
        with pytest.raises(UsageError, match="no embedding space"):
            ingest([docs], lake, spaces=["word2vec"])


def test_tags(media: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BINDERY_TAG__ENABLED", "true")
    docs, lake = tmp_path / "docs", tmp_path / "lake"
    docs.mkdir()
    for name in ("square.png", "tone.wav"):
        (docs / name).write_bytes((media / name).read_bytes())
    with inline():
        ingest([docs], lake)
        assert ingest([docs], lake).counts["processed"] == 0
    reader = open_reader(opened(lake))
    rows = reader._table("chunks").search().limit(None).to_arrow().to_pylist()
    tags = {row["kind"]: (row["tag"], row["tag_probability"]) for row in rows}
    label, probability = tags["image"]
    assert label in {"chart", "table", "photo", "diagram", "logo", "decoration"} and 0 < probability <= 1
    assert tags["audio"] == ("", None)


def test_every_media_type_of_the_lake_has_a_modality(lake: Path) -> None:
    chunks = open_reader(opened(lake)).all_chunks()
    kinds = {(chunk.kind, modality_of(chunk.media_type)) for chunk in chunks if chunk.media_type}
    assert kinds == {(modality, modality) for modality in FILES.values()}


def test_odd_media_are_embedded_and_broken_ones_take_nothing_with_them(media: Path, tmp_path: Path) -> None:
    docs, lake = tmp_path / "docs", tmp_path / "lake"
    docs.mkdir()
    good = ["square.png", "tone.wav", "clip.mp4", "walk.imu.npy"]
    for name in good:
        (docs / name).write_bytes((media / name).read_bytes())
    Image.new("RGB", (1, 1), (200, 30, 30)).save(docs / "dot.png")
    Image.new("L", (3, 900), 255).save(docs / "hair.png")
    soundfile.write(docs / "click.wav", np.ones(1600) * 0.1, 16_000)
    soundfile.write(docs / "silence.wav", np.zeros(40_000), 16_000)
    odd = ["dot.png", "hair.png", "click.wav", "silence.wav"]
    broken = {
        "cut.png": (media / "wide.png").read_bytes()[:2000],
        "cut.mp4": (media / "clip.mp4").read_bytes()[:400],
        "cut.wav": (media / "tone.wav").read_bytes()[:30],
        "wrong.imu.npy": np_bytes(np.zeros((3, 7), np.float32)),
        "wrong.depth.npy": np_bytes(np.full((4, 4), np.nan, np.float32)),
    }
    for name, data in broken.items():
        (docs / name).write_bytes(data)
    with inline():
        report = ingest([docs], lake, spaces=["imagebind"])
    found = statuses(report, docs)
    assert {name for name, status in found.items() if status == "new"} == {*good, *odd}
    assert {name for name, status in found.items() if status == "quarantined"} == set(broken)
    assert all(source.error and source.error.hint for source in report.sources if source.status == "quarantined")
    rows = held(lake)
    assert {item.name for item in rows if item.row.view == "raw"} == {*good, *odd}
    assert np.isfinite([item.row.vector for item in rows]).all()


def test_of_recordings_that_are_cut_off_every_window_is_embedded(tmp_path: Path) -> None:
    docs, lake, made = tmp_path / "docs", tmp_path / "lake", tmp_path / "made"
    docs.mkdir()
    made.mkdir()
    sound = np.random.default_rng(0).normal(0, 0.1, 30 * 8000)
    soundfile.write(made / "a.flac", sound, 8000)
    soundfile.write(made / "a.mp3", sound, 8000)
    make_video(made / "a.m4a", 30.0, codec=None, sound="aac", form="mp4", early_index=True)
    make_video(made / "a.mp4", 30.0, codec="libx264", early_index=True)
    for path in made.iterdir():
        cut(path, docs / path.name, 0.85 if path.suffix == ".mp4" else 0.6)
    soundfile.write(docs / "four-samples.wav", sound[:4], 16_000)
    report = ingest([docs], lake, spaces=["imagebind"])
    assert set(statuses(report, docs).values()) == {"new"}, [source.error for source in report.sources]
    told = " ".join(report.warnings)
    assert all(f"{path.name}" in told for path in made.iterdir()) and told.count("it may be cut off") == 4
    rows = [item.name for item in held(lake) if item.row.view == "raw"]
    assert {name: rows.count(name) for name in rows} == {
        "a.flac": 2, "a.mp3": 2, "a.m4a": 2, "a.mp4": 3, "four-samples.wav": 1,
    }  # fmt: skip


def np_bytes(array: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    np.save(buffer, array)
    return buffer.getvalue()


def test_worker_processes_give_the_same(lake: Path, media: Path, tmp_path: Path) -> None:
    ingest([media], tmp_path / "lake", spaces=["imagebind"])
    ours, theirs = (
        {(item.name, item.row.item, item.row.window): item.row for item in held(x)} for x in (tmp_path / "lake", lake)
    )
    assert ours.keys() == theirs.keys()
    for key, row in ours.items():
        assert row.box == theirs[key].box
        np.testing.assert_allclose(row.vector, theirs[key].vector, atol=1e-5)


def test_a_picture_that_kills_its_worker_costs_itself_alone(media: Path) -> None:
    def call(function: Callable[..., Any], *args: Any) -> Any:
        if any("face" in str(part) for argument in args if isinstance(argument, list) for part in argument):
            raise DocumentError("crash", "the worker died", "it may be hostile")
        return function(*args)

    wanted = [Medium("image", str(media / name)) for name in ("square.png", "face.thermal.png", "wide.png")]
    first, bad, last = space().media_items(wanted, 9, call)
    assert isinstance(first, list) and isinstance(last, list) and (len(first), len(last)) == (1, 6)
    assert isinstance(bad, DocumentError) and bad.code == "crash"
    parts = [*first, *space().media_items([wanted[1]], 0)[0], *last]  # type: ignore[misc]
    found = space().embed_media(parts, call)
    assert [isinstance(vector, DocumentError) for vector in found] == ["face" in part.path for part in parts]


def test_each_part_of_a_long_recording_is_decoded_alone(media: Path) -> None:
    jobs: list[int] = []

    def call(function: Callable[..., Any], *args: Any) -> Any:
        jobs.append(len(args[0]))
        return function(*args)

    parts = [MediaItem("audio", str(media / "long.wav"), start=float(at), end=at + 2.0) for at in range(0, 20, 2)]
    views = space().media_items([Medium("image", str(media / "wide.png"))], 9)[0]
    assert isinstance(views, list)
    found = space().embed_media([*parts, *views], call)
    assert sorted(jobs) == [1] * 10 + [6] and not any(isinstance(vector, DocumentError) for vector in found)
