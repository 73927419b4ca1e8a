"""A query is a weighted sum of words and files; each space is asked what it can be asked, and the rest is refused."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest

from flows import terminal
from tasks.embed import spaces as embed_spaces
from tasks.embed.media import modality_of
from tasks.errors import BinderyError, MissingCapabilityError, UsageError
from tasks.index import Wanted
from tasks.lake import Lake, current_release
from tasks.partition.detect import detect
from tasks.query import Query, Term, modality_of_file, parse_term, query_vector, term_from_json
from tasks.result import SearchResult
from tasks.retrieve import retrieve, text_spaces
from tasks.rows import Box, Modality, TagRow
from tasks.synthesize import synthesize
from tests.files import encoded, picture
from tests.lakes import (
    MEDIA_SPACES,
    SPACES,
    FakeMediaSpace,
    FakeSpace,
    chunk,
    document,
    media_vector,
    new_lake,
    open_fake,
    publish_to,
    simple,
    source,
)

SPACE = FakeMediaSpace()
TILE = Box.of(1, 0.0, 0.0, 0.4, 0.5)


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        ("tide gauge", Term("tide gauge")),
        (" 2*tide gauge ", Term("tide gauge", weight=2)),
        (".5* radar", Term("radar", weight=0.5)),
        ("1*3*4 grid", Term("3*4 grid")),
        ("-3 degrees", Term("-3 degrees")),
        ("a*b", Term("a*b")),
        ("x*rain", Term("x*rain")),
        ("info*rain", Term("info*rain")),
        ("5e-1*rain", Term("rain", weight=0.5)),
        ("+2.*rain", Term("rain", weight=2)),
        ("-2*rain", Term("rain", weight=-2)),
        ("@a b.JPG", Term(path="a b.JPG", modality="image")),
        ("0.25*@/x/gull.wav", Term(path="/x/gull.wav", modality="audio", weight=0.25)),
        ("somebody@x.org", Term("somebody@x.org")),
    ],
)
def test_terms_as_they_are_written(written: str, expected: Term) -> None:
    assert parse_term(written) == expected


@pytest.mark.parametrize(
    ("written", "message"),
    [
        ("", "neither words nor a file"),
        (" 2* ", "neither words nor a file"),
        ("@", "neither words nor a file"),
        ("0*radar", "weight of 'radar' is 0"),
        ("nan*rain", "weight of 'rain' is nan"),
        ("1e400*rain", "weight of 'rain' is inf"),
        ("-Infinity*rain", "weight of 'rain' is -inf"),
        (f"{'9' * 400}*radar", "weight of 'radar' is inf"),
        ("@notes.txt", "name of notes.txt does not say which modality"),
        ("@room.npy", "name of room.npy does not say which modality"),
    ],
)
def test_terms_that_are_none(written: str, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        parse_term(written)


def test_the_name_of_a_file_says_what_it_is() -> None:
    named = {
        "image": ["a.png", "a.JPEG", "depth.png", "my.depth.jpg", "thermal.tif", "a.webp", "a.bmp"],
        "audio": ["a.wav", "x.depth/a.flac", "a.mp3", "a.m4a", "a.ogg", "a.opus"],
        "video": ["a.mp4", "a.MOV", "a.mkv", "a.webm", "a.avi"],
        "depth": ["room.depth.png", "room.DEPTH.tiff", "room.depth.npy"],
        "thermal": ["roof.thermal.tif", "roof.thermal.png", "roof.thermal.npy", "roof.thermal.jpg"],
        "imu": ["walk.imu.csv", "walk.imu.npy"],
    }
    assert {name: {modality_of_file(name) for name in names} for name, names in named.items()} == {
        name: {name} for name in named
    }


@pytest.mark.parametrize(
    "name", ["a.depth.png", "a.DEPTH.TIF", "a.depth.jpg", ".depth.png", "depth.png", "a.thermal.jpeg", "a.imu.csv"]
)
def test_a_query_takes_a_file_for_what_an_ingest_takes_it_for(name: str, tmp_path: Path) -> None:
    extension = name.rpartition(".")[2].lower()
    if extension == "csv":
        data = b"1,2,3,4,5,6\n" * 9
    else:
        data = encoded(picture(), {"jpg": "JPEG", "jpeg": "JPEG", "tif": "TIFF"}.get(extension, "PNG"))
    (tmp_path / name).write_bytes(data)
    media_type = detect(name, tmp_path / name).media_type
    assert media_type is not None and modality_of(media_type) == modality_of_file(str(tmp_path / name))


def test_a_query_reads_as_it_was_meant() -> None:
    files: dict[Modality, list[str]] = {"image": ["buoy.jpg"], "depth": ["odd.name"]}
    query = Query.of(" tide gauge ", files, ["2*@gull.wav"], ["0.5*radar", "@roof.thermal.png"])
    assert (
        str(query)
        == "tide gauge + image:buoy.jpg + depth:odd.name + 2*audio:gull.wav - 0.5*radar - thermal:roof.thermal.png"
    )
    assert query.words == "tide gauge"
    assert [term.weight for term in query.terms] == [1, 1, 1, 2, -0.5, -1]
    assert [term_from_json(term.to_json()) for term in query.terms] == list(query.terms)
    assert str(Query.of(minus=["radar"], plus=["gauge"])) == "gauge - radar"
    assert str(Query.of(minus=["radar"])) == "- radar"
    assert Query.of("gauge", plus=["buoy"]).words == "gauge buoy"
    assert not Query.of("gauge", plus=["buoy"]).needs_media_space
    for needing in (Query.of("gauge", minus=["buoy"]), Query.of("x", plus=["2*y"]), Query.of("", {"imu": ["a"]})):
        assert needing.needs_media_space


def test_terms_from_json() -> None:
    assert term_from_json({"path": "gull.wav"}) == Term(path="gull.wav", modality="audio")
    assert term_from_json({"text": "gull", "weight": -1}) == Term("gull", weight=-1)
    for bad in (
        {},
        {"txt": "gull"},
        {"text": "gull", "path": "a.png"},
        {"text": "gull", "weight": "much"},
        {"text": 3},
    ):
        with pytest.raises(UsageError):
            term_from_json(bad)
    for bad in ({"text": "gull", "modality": "image"}, {"path": "a.png", "modality": "smell"}):
        with pytest.raises(UsageError, match="cannot be of modality"):
            term_from_json(bad)


def written(folder: Path, name: str, words: str) -> str:
    (folder / name).write_text(words, encoding="utf-8")
    return str(folder / name)


def test_the_vector_is_the_normalised_sum(tmp_path: Path) -> None:
    gull, roof = written(tmp_path, "gull.wav", "gull"), written(tmp_path, "roof.png", "roof")
    query = Query.of("harbour", {"audio": [gull]}, ["0.5*rain"], [f"0.25*@{roof}"])
    total = SPACE.vector("text", "harbour").astype(float) + SPACE.vector("audio", "gull")
    total += 0.5 * SPACE.vector("text", "rain") - 0.25 * SPACE.vector("image", "roof")
    vector = query_vector(query, SPACE)
    assert vector.dtype == np.float32
    np.testing.assert_allclose(vector, total / np.linalg.norm(total), atol=1e-6)
    np.testing.assert_allclose(query_vector(Query.of("gull"), SPACE), SPACE.vector("text", "gull"), atol=1e-7)
    minus = query_vector(Query.of(minus=["gull"]), SPACE)
    np.testing.assert_allclose(minus, -SPACE.vector("text", "gull"), atol=1e-7)


def test_terms_that_cancel_out_are_refused(tmp_path: Path) -> None:
    gull = written(tmp_path, "gull.wav", "gull")
    for query in (
        Query.of("gull", minus=["gull"]),
        Query.of("2 gulls", minus=["0.999*2 gulls"]),
        Query.of("", {"audio": [gull, gull]}, minus=[f"2*@{gull}"]),
    ):
        with pytest.raises(UsageError, match=r"cancel out: .*gull"):
            query_vector(query, SPACE)


def test_a_modality_that_the_space_has_not_is_refused(tmp_path: Path) -> None:
    class Deaf(FakeMediaSpace):
        modalities = frozenset({"text", "image"})

    query = Query.of("", {"audio": [written(tmp_path, "gull.wav", "gull")]})
    with pytest.raises(UsageError, match=r"'fakebind' does not embed audio \(.*gull.wav\)"):
        query_vector(query, Deaf())


@pytest.fixture(scope="module")
def lake(tmp_path_factory: pytest.TempPathFactory) -> Lake:
    """A text, a wide picture whose upper left shows a gull, a tagged picture, and a recording; in both spaces."""
    lake = new_lake(tmp_path_factory.mktemp("query"))
    text = chunk("handbook", 0, "The harbour siren is tested at noon.", page=4)
    wide = chunk("wide", 0, "", "image", media="blobs/wide.png")
    chart = chunk("chart", 0, "", "image", media="blobs/chart.png")
    sound = chunk("sound", 0, "Recording, 2.0 s", "audio", media="blobs/sound.wav", seconds=(0.0, 2.0))
    media = {
        "handbook": [media_vector(text, "text", "harbour siren")],
        "wide": [
            media_vector(wide, "image", "quay with boats and a gull"),
            media_vector(wide, "image", "gull", 1, TILE),
            media_vector(wide, "image", "boats", 2, Box.of(1, 0.4, 0.5, 1, 1)),
        ],
        "chart": [media_vector(chart, "image", "revenue chart")],
        "sound": [media_vector(sound, "audio", "gull")],
    }
    rows = {"handbook": text, "wide": wide, "chart": chart, "sound": sound}
    tags = {"chart": [TagRow(chart.chunk_id, "chart", 0.93)]}
    documents = [
        document(lake.storage, doc, [row], media=media[doc], tags=tags.get(doc, ())) for doc, row in rows.items()
    ]
    models = {"fake": "fake:1", "fakebind": "fakebind:1"}
    publish_to(lake, Wanted([source(f"/data/{doc}", doc) for doc in rows], documents, MEDIA_SPACES, models))
    return lake


def search(lake: Lake, query: str | Query, **options: object) -> SearchResult:
    return retrieve(lake, query, open_space=open_fake, **options)  # type: ignore[arg-type]


def test_a_file_finds_media_and_says_where(lake: Lake, tmp_path: Path) -> None:
    result = search(lake, Query.of("", {"audio": [written(tmp_path, "gull.wav", "gull")]}))
    found = result.to_json()
    assert found["query"] == f"audio:{tmp_path}/gull.wav"
    assert found["terms"] == [
        {"weight": 1.0, "modality": "audio", "text": None, "path": f"{tmp_path}/gull.wav"}
    ]  # fmt: skip
    assert {signal.name for hit in result.hits for signal in hit.signals} == {"vector:fakebind"}
    by_source = {hit["sources"][0]: hit for hit in found["hits"]}
    assert [hit["sources"][0] for hit in found["hits"]][:2] == ["/data/sound", "/data/wide"]
    assert by_source["/data/wide"]["located"] == dataclasses.asdict(TILE)
    assert by_source["/data/wide"]["modality"] == "image"
    assert by_source["/data/sound"]["located"] is None and by_source["/data/sound"]["modality"] == "audio"
    assert by_source["/data/chart"]["picture_tag"] == {"label": "chart", "probability": 0.93}
    assert by_source["/data/handbook"]["picture_tag"] is None and by_source["/data/handbook"]["modality"] == "text"


def test_the_signal_says_which_vector_was_found(lake: Lake) -> None:
    (hit,) = [hit for hit in search(lake, "gull").hits if hit.chunk.media == "blobs/wide.png"]
    (signal,) = [signal for signal in hit.signals if signal.name == "vector:fakebind"]
    assert signal.score == pytest.approx(float(SPACE.vector("text", "gull") @ SPACE.vector("image", "gull")), abs=1e-5)
    assert signal.match is not None and signal.calibrated is not None
    assert (signal.match.modality, signal.match.view, signal.match.window) == ("image", "raw", 1)
    assert hit.located == TILE


def test_people_are_told_where_and_what(lake: Lake, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    terminal.print_hits(search(lake, Query.of("", {"audio": [written(tmp_path, "gull.wav", "gull")]})))
    lines = capsys.readouterr().out.splitlines()[::2]
    assert lines[1].startswith(" 2. /data/wide, page 1, matched in the upper left  [image, 0.0")
    assert [
        line for line in lines if line.startswith((" 3. /data/chart, page 1  [image, a chart, 0.0", " 4. /data/chart"))
    ]
    for box, said in {(0, 0, 1, 0.3): "upper", (0.7, 0.4, 1, 0.6): "right", (0.3, 0.3, 0.7, 0.7): "middle"}.items():
        assert terminal._part(dict(zip(("x0", "y0", "x1", "y1"), box, strict=True))) == said


def test_each_space_is_asked_what_it_can_be_asked(lake: Lake, tmp_path: Path) -> None:
    gull = written(tmp_path, "gull.wav", "gull")

    def names(query: str | Query, **options: object) -> set[str]:
        return {signal.name for hit in search(lake, query, **options).hits for signal in hit.signals}

    assert names("harbour siren") == {"text", "vector:fake", "vector:fakebind"}
    assert names(Query.of("harbour siren", {"audio": [gull]})) == {"text", "vector:fake", "vector:fakebind"}
    assert names(Query.of("", {"audio": [gull]})) == {"vector:fakebind"}
    assert names(Query.of(minus=["harbour"])) == {"vector:fakebind"}
    assert names("harbour siren", spaces=("fake",)) == {"text", "vector:fake"}
    assert names("harbour siren", spaces=("fakebind",)) == {"text", "vector:fakebind"}


def test_a_text_space_answers_as_if_it_were_alone(lake: Lake) -> None:
    """What is said in an answer, and whether, does not depend on a space whose cosines lie on another scale."""
    question = "When is the harbour siren tested?"
    release = current_release(lake.storage)
    assert text_spaces(release, open_fake) == ("fake",)
    alone, both = search(lake, question, spaces=("fake",)), search(lake, question)
    assert {hit.chunk.chunk_id: hit.similarity for hit in alone.hits} == {
        hit.chunk.chunk_id: hit.similarity for hit in both.hits
    }
    assert (
        min(hit.similarity for hit in both.hits)
        < 0.5
        < max(signal.score for hit in both.hits for signal in hit.signals if signal.name == "vector:fakebind")
    )
    assert synthesize(question, both).answer == synthesize(question, alone).answer

    def only_text(name: str) -> FakeSpace:
        if name == "fakebind":
            raise MissingCapabilityError("the model is not installed")
        return FakeSpace()

    assert text_spaces(release, only_text) == ("fake",)
    assert text_spaces(release, lambda name: FakeMediaSpace()) == ()


def test_what_cannot_be_asked_is_said(lake: Lake, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    gull, broken = written(tmp_path, "gull.wav", "gull"), written(tmp_path, "bad.wav", "broken")
    files = Query.of("", {"audio": [gull]})

    def refused(query: Query, error: type[BinderyError] = UsageError, **options: object) -> BinderyError:
        with pytest.raises(error) as caught:
            retrieve(options.pop("lake", lake), query, **{"open_space": open_fake, **options})  # type: ignore[arg-type]
        return caught.value

    assert "is empty" in refused(Query.of(" ")).message
    assert refused(Query.of("x", {"image": ["nowhere.png"]})).message == "there is no file nowhere.png"
    assert f"{tmp_path} is a folder, not a file" == refused(Query.of("x", {"image": [str(tmp_path)]})).message
    error = refused(Query.of("", {"audio": [gull, broken]}))
    assert (error.message, error.hint, error.code) == (f"{broken}: it cannot be decoded", "fetch it again", "malformed")
    (tmp_path / "noise.tif").write_bytes(b"II*\x00 broken")
    for modality in ("audio", "depth", "image"):
        error = refused(Query.of("", {modality: [str(tmp_path / "noise.tif")]}))
        if modality == "audio":
            assert (
                error.message == f"{tmp_path}/noise.tif is a picture (TIFF), not audio" and error.hint == "use --image"
            )
        else:
            assert error.message == f"{tmp_path}/noise.tif: it cannot be decoded"
    assert "leave --space out" in refused(files, spaces=("fake",)).hint

    monkeypatch.setattr(embed_spaces, "at_hand", lambda: (("fake",), {}))
    monkeypatch.setattr(embed_spaces, "open_space", open_fake)
    words = new_lake(tmp_path)
    publish_to(words, Wanted([*simple(words.storage, ["a"]).sources], simple(words.storage, ["a"]).documents, SPACES))
    error = refused(files, lake=words)
    assert error.message == "the lake has no space that can be asked by files; its spaces: fake"
    assert "bindery models add imagebind" in error.hint
    monkeypatch.setattr(embed_spaces, "at_hand", lambda: (("fake", "fakebind"), {}))
    assert refused(files, lake=words).hint.startswith("the model of space fakebind is installed: bindery ingest SOURCE")
    assert "weights and --minus" in refused(Query.of("x", minus=["y"]), lake=words).message

    def missing(name: str) -> FakeSpace:
        if name == "fakebind":
            raise MissingCapabilityError("its model is not installed", "install it")
        return FakeSpace()

    error = refused(Query.of("x"), MissingCapabilityError, open_space=missing)
    assert error.hint == "install it; or search without it: --space fake"
    assert refused(files, MissingCapabilityError, open_space=missing).hint == "install it"
    assert retrieve(lake, "siren", spaces=("fake",), open_space=missing).hits


def test_the_query_flow_takes_spaces_and_terms(tmp_path: Path) -> None:
    from flows.query import query

    lake = new_lake(tmp_path)
    rows = [chunk("pay", 0, "Salaries of divers: 77 euros"), chunk("pay", 1, "The harbour siren is tested at noon.")]
    documents = [document(lake.storage, "pay", rows, embed=False)]
    publish_to(lake, Wanted([source("/pay.txt", "pay")], documents, {}))
    question = "What are the salaries of divers?"
    answer = query.fn(question, lake=lake.uri, terms=[{"text": "siren"}])
    assert answer.answer.startswith("Salaries of divers: 77 euros")
    with pytest.raises(UsageError, match="no space 'nope'"):
        query.fn(question, lake=lake.uri, spaces=["nope"])
    with pytest.raises(UsageError, match=r"no file nowhere\.png"):
        query.fn(question, lake=lake.uri, terms=[{"path": "nowhere.png"}])
    with pytest.raises(UsageError, match="no space that can be asked by files; its spaces: none"):
        query.fn(question, lake=lake.uri, terms=[{"path": written(tmp_path, "a.png", "gull")}])
