"""Recordings in windows of time, and what sensors measured."""

from __future__ import annotations

import numpy as np
from hypothesis import example, given, settings
from hypothesis import strategies as st

from tasks.recordings import clock, windows
from tasks.rows import content_id
from tasks.settings import ChunkSettings
from tasks.stage import StageInfo
from tests.chunk.made import chunks_of, element, recording


def test_a_long_recording_is_cut_into_windows_of_time() -> None:
    call = recording(3661.3)
    rows = chunks_of(call, info=StageInfo(title="Earnings call"), settings=ChunkSettings())
    assert len(rows) == 366 and {row.kind for row in rows} == {"audio"}
    assert {(row.media, row.media_type, row.context) for row in rows} == {(call.media, "audio/any", "Earnings call")}
    assert [(row.time_start, row.time_end) for row in rows[:2]] == [(0.0, 10.0), (10.0, 20.0)]
    assert (rows[-1].time_start, rows[-1].time_end) == (3650.0, 3661.3)  # 1.3 s are no window of their own
    assert [row.text for row in (rows[0], rows[1], rows[360], rows[-1])] == [
        "Audio, told in full",
        "Earnings call, 0:10–0:20 of 1:01:01",
        "Earnings call, 1:00:00–1:00:10 of 1:01:01",
        "Earnings call, 1:00:50–1:01:01 of 1:01:01",
    ]
    assert len({row.chunk_id for row in rows}) == len({row.text for row in rows}) == 366
    assert rows[1].chunk_id == content_id(
        "doc", "audio", rows[1].text, None, call.media, (), 10.0, 20.0
    )  # of content alone: the same whatever comes before
    assert [row.ordinal for row in rows] == list(range(366))


def test_windows_are_as_long_as_the_settings_say() -> None:
    settings = ChunkSettings(audio_seconds=5, video_seconds=20)
    rows = chunks_of(recording(12.0), recording(45.0, "Video"), settings=settings, info=StageInfo())
    assert [(row.kind, row.time_start, row.time_end, row.text) for row in rows] == [
        ("audio", 0.0, 5.0, "Audio, told in full"),
        ("audio", 5.0, 10.0, "Recording, 0:05–0:10 of 0:12"),
        ("audio", 10.0, 12.0, "Recording, 0:10–0:12 of 0:12"),
        ("video", 0.0, 20.0, "Video, told in full"),
        ("video", 20.0, 40.0, "Video, 0:20–0:40 of 0:45"),
        ("video", 40.0, 45.0, "Video, 0:40–0:45 of 0:45"),
    ]
    few = chunks_of(recording(3600.0), settings=ChunkSettings(max_windows=7))
    assert [row.time_end for row in few] == [515.0, 1030.0, 1545.0, 2060.0, 2575.0, 3090.0, 3600.0]


def test_a_recording_of_unknown_length_or_without_bytes_is_one_chunk() -> None:
    for row in (recording(30.0, time_end=None), recording(30.0, media=None, media_type=None)):
        (chunk,) = chunks_of(row)
        assert (chunk.kind, chunk.text, chunk.time_end) == ("audio", "Audio, told in full", row.time_end)


def test_what_sensors_measured_has_kinds_of_its_own() -> None:
    types = {"depth": "image/x-depth", "thermal": "image/x-thermal", "imu": "application/x-imu"}
    rows = chunks_of(
        *(
            element(
                "Imu" if kind == "imu" else "Image", f"of {kind}", None, media=f"blobs/{kind}", media_type=media_type
            )
            for kind, media_type in types.items()
        )
    )
    assert [(row.kind, row.text, row.media, row.media_type) for row in rows] == [
        (kind, f"of {kind}", f"blobs/{kind}", media_type) for kind, media_type in types.items()
    ]


@settings(max_examples=200, deadline=None)
@given(st.floats(0, 1e6), st.floats(2, 100), st.integers(1, 50))
@example(12.0, 10.0, 5000)
@example(11.99, 10.0, 5000)
@example(0.1, 10.0, 5000)
def test_windows_cover_a_recording_without_gaps(seconds: float, window: float, most: int) -> None:
    found = windows(seconds, window, most)
    assert 1 <= len(found) <= most
    assert [start for start, _ in found] == [0.0, *(end for _, end in found[:-1])]
    assert found[-1][1] == max(0.001, round(seconds, 3))  # a window of nothing could not be embedded
    assert all(end - start >= window - 0.01 for start, end in found[:-1])
    longest = window if seconds <= window * most else np.ceil(seconds / most)
    assert all(end - start < longest + 2.01 for start, end in found)
    assert len(found) == 1 or found[-1][1] - found[-1][0] > 1.99


def test_clock() -> None:
    assert [clock(seconds) for seconds in (0, 7.4, 59.6, 3599, 3600, 90061)] == [
        "0:00",
        "0:07",
        "1:00",
        "59:59",
        "1:00:00",
        "25:01:01",
    ]
