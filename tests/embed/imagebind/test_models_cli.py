"""`bindery models`, and downloads from a real server on this machine that can hang up, forget and change its mind."""

from __future__ import annotations

import dataclasses
import hashlib
import io
import json
import re
import shutil
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from flows.models_cli import models_app
from tasks.embed.imagebind import fetch, installed
from tasks.embed.imagebind.fetch import FILE
from tasks.errors import BinderyError, UsageError
from tasks.progress import Event, listening
from tests.embed.imagebind.tiny import constructor, install_tiny, write_tiny_checkpoint


class FakeServer(ThreadingHTTPServer):
    """Serves one file. `script` says what happens to each next request: "hang up" in the middle, or a status."""

    daemon_threads = True

    def __init__(self, content: bytes) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.content, self.script = content, list[str | int]()
        self.headers_sent: dict[str, str] = {"ETag": '"one"'}
        self.ranges, self.tells_size = True, True
        self.requests: list[tuple[str, dict[str, str]]] = []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}/{FILE}"


class _Handler(BaseHTTPRequestHandler):
    server: FakeServer

    def do_GET(self) -> None:
        asked = {name.lower(): value for name, value in self.headers.items()}
        self.server.requests.append((self.path, asked))
        step = self.server.script.pop(0) if self.server.script else "serve"
        if isinstance(step, int):
            self.send_response(step)
            if step in (301, 302):
                self.send_header("Location", "/elsewhere")
            self.send_header("Content-Length", "0")
            self.end_headers()
            return
        content, start = self.server.content, 0
        span = re.fullmatch(r"bytes=(\d+)-", asked.get("range", ""))
        same = asked.get("if-range") in (None, *self.server.headers_sent.values())
        if span and same and self.server.ranges:
            start = int(span[1])
            if start >= len(content):
                self.send_error(416)
                return
            self.send_response(206)
            self.send_header("Content-Range", f"bytes {start}-{len(content) - 1}/{len(content)}")
        else:
            self.send_response(200)
        for name, value in self.server.headers_sent.items():
            self.send_header(name, value)
        if self.server.tells_size:
            self.send_header("Content-Length", str(len(content) - start))
        self.end_headers()
        if step == "hang up":
            self.wfile.write(content[start : start + (len(content) - start) // 2])
            self.wfile.flush()
            self.connection.shutdown(socket.SHUT_RDWR)
        else:
            self.wfile.write(content[start:])

    def log_message(self, format: str, *arguments: Any) -> None:
        pass


CONTENT = hashlib.shake_256(b"a file").digest(3_000_001)


@pytest.fixture
def server() -> Iterator[FakeServer]:
    with FakeServer(CONTENT) as running:
        thread = threading.Thread(target=running.serve_forever, args=(0.01,), daemon=True)
        thread.start()
        yield running
        running.shutdown()
        thread.join()


@pytest.fixture
def models(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.delenv("RUN_SLOW", raising=False)  # the tests' own, and so no setting
    monkeypatch.setenv("BINDERY_MODELS", str(tmp_path / "models"))
    return tmp_path / "models"


@dataclasses.dataclass
class Pauses:
    """Counts instead of waiting."""

    seconds: list[float] = dataclasses.field(default_factory=list)

    def __call__(self, seconds: float) -> None:
        self.seconds.append(seconds)


def ranges(server: FakeServer) -> list[str | None]:
    return [headers.get("range") for _, headers in server.requests]


def test_download(server: FakeServer, models: Path) -> None:
    events: list[Event] = []
    with listening(events.append):
        path = fetch.fetch(server.url, models)
    assert path == models / "downloads" / FILE and path.read_bytes() == CONTENT
    assert sorted(entry.name for entry in path.parent.iterdir()) == [FILE, f"{FILE}.json"]
    assert ranges(server) == [None] and server.requests[0][1]["accept-encoding"] == "identity"
    labels = [event.label for event in events if event.kind == "phase"]
    assert labels and re.fullmatch(r"downloaded 0\.00 of 0\.00 GB, 100%, [\d.]+ MB/s", labels[-1])
    assert fetch.fetch(server.url, models) == path and len(server.requests) == 1  # it is there
    fetch.discard(models)
    assert not path.parent.exists()


def test_a_complete_file_of_another_address_is_not_taken(server: FakeServer, models: Path) -> None:
    path = fetch.fetch(server.url, models)
    other, server.content = f"{server.url}?other", CONTENT[::-1]
    server.script = ["hang up", 404]
    with pytest.raises(BinderyError, match="the server answered 404"):
        fetch.fetch(other, models, Pauses())
    assert not path.exists()  # the description is of the other one already
    assert fetch.fetch(other, models, Pauses()).read_bytes() == CONTENT[::-1]
    (models / "downloads" / f"{FILE}.json").unlink()  # whose file this is, nobody knows
    server.content, server.requests = CONTENT, []
    assert fetch.fetch(server.url, models).read_bytes() == CONTENT and len(server.requests) == 1


def test_a_broken_download_goes_on_where_it_stopped(server: FakeServer, models: Path) -> None:
    server.script = ["hang up", 503, "hang up", "serve"]
    pauses = Pauses()
    assert fetch.fetch(server.url, models, pauses).read_bytes() == CONTENT
    half = len(CONTENT) // 2
    three_quarters = half + (len(CONTENT) - half) // 2
    assert ranges(server) == [None, f"bytes={half}-", f"bytes={half}-", f"bytes={three_quarters}-"]
    assert {headers.get("if-range") for _, headers in server.requests} == {None, '"one"'}
    assert pauses.seconds == [2.0, 4.0, 2.0]  # longer each time that nothing comes


def test_a_later_command_goes_on(server: FakeServer, models: Path) -> None:
    server.script = ["hang up", *[503] * 9]
    pauses = Pauses()
    with pytest.raises(BinderyError, match="keeps failing: the server answered 503") as caught:
        fetch.fetch(server.url, models, pauses)
    assert caught.value.code == "download" and "goes on where it stopped" in caught.value.hint
    part = models / "downloads" / f"{FILE}.part"
    assert part.read_bytes() == CONTENT[: len(CONTENT) // 2] and len(pauses.seconds) == 5
    server.script, server.requests = [], []
    assert fetch.fetch(server.url, models, pauses).read_bytes() == CONTENT
    assert ranges(server) == [f"bytes={len(CONTENT) // 2}-"]


@pytest.mark.parametrize("what", ["tag", "address", "no ranges", "no version", "weak tag"])
def test_what_cannot_be_gone_on_with_begins_again(server: FakeServer, models: Path, what: str) -> None:
    if what == "no version":
        server.headers_sent = {}
    if what == "weak tag":
        server.headers_sent = {"ETag": 'W/"one"'}
    server.script = ["hang up", 404]
    with pytest.raises(BinderyError, match="the server answered 404"):
        fetch.fetch(server.url, models, Pauses())
    url = server.url
    if what == "tag":
        server.headers_sent, server.content = {"ETag": '"two"'}, CONTENT[::-1]
    elif what == "address":
        url, server.content = f"{url}?other", CONTENT[::-1]
    elif what == "no ranges":
        server.ranges = False
    assert fetch.fetch(url, models, Pauses()).read_bytes() == server.content


def test_the_time_of_change_is_a_version_too(server: FakeServer, models: Path) -> None:
    server.headers_sent = {"ETag": 'W/"weak"', "Last-Modified": "Wed, 21 Oct 2015 07:28:00 GMT"}
    server.script = ["hang up"]
    assert fetch.fetch(server.url, models, Pauses()).read_bytes() == CONTENT
    assert ranges(server) == [None, f"bytes={len(CONTENT) // 2}-"]


def test_a_complete_part_needs_no_request(server: FakeServer, models: Path) -> None:
    """The process was killed between the last byte and the rename."""
    server.script = ["hang up", 404]
    with pytest.raises(BinderyError):
        fetch.fetch(server.url, models, Pauses())
    (models / "downloads" / f"{FILE}.part").write_bytes(CONTENT)
    server.requests = []
    assert fetch.fetch(server.url, models).read_bytes() == CONTENT and server.requests == []


def test_a_part_that_is_too_long_begins_again(server: FakeServer, models: Path) -> None:
    server.script = ["hang up", 404]
    with pytest.raises(BinderyError):
        fetch.fetch(server.url, models, Pauses())
    (models / "downloads" / f"{FILE}.part").write_bytes(CONTENT + b"more")
    assert fetch.fetch(server.url, models, Pauses()).read_bytes() == CONTENT
    assert ranges(server)[2:] == [f"bytes={len(CONTENT) + 4}-", None]


def test_a_server_that_does_not_tell_the_size(server: FakeServer, models: Path) -> None:
    server.tells_size = False
    assert fetch.fetch(server.url, models).read_bytes() == CONTENT


def test_redirects_are_followed(server: FakeServer, models: Path) -> None:
    server.script = [302, "serve"]
    assert fetch.fetch(server.url, models).read_bytes() == CONTENT
    assert [path for path, _ in server.requests] == [f"/{FILE}", "/elsewhere"]


def test_what_is_not_tried_again(server: FakeServer, models: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pauses = Pauses()
    for status in (401, 403, 404, 410):
        server.script = [status]
        with pytest.raises(BinderyError, match=f"cannot be fetched: the server answered {status}"):
            fetch.fetch(server.url, models, pauses)
    server.script = [302] * 30
    with pytest.raises(BinderyError, match="cannot be fetched: Exceeded maximum allowed redirects"):
        fetch.fetch(server.url, models, pauses)
    server.script = []
    for url in ("file:///etc/passwd", "imagebind_huge.pth"):
        with pytest.raises(UsageError, match="is no http or https URL"):
            fetch.fetch(url, models, pauses)
    usage = shutil.disk_usage(models)
    monkeypatch.setattr(shutil, "disk_usage", lambda folder: usage._replace(free=64 * 2**20))
    with pytest.raises(BinderyError, match=r"the download needs 0\.0 GB more in .*downloads, which has 0\.1 GB free"):
        fetch.fetch(server.url, models, pauses)
    assert pauses.seconds == []


def test_nobody_answers(models: Path) -> None:
    with socket.socket() as taken:  # bound and not listening
        taken.bind(("127.0.0.1", 0))
        with pytest.raises(BinderyError, match="cannot be reached: the connection failed, ConnectError") as caught:
            fetch.fetch(f"http://127.0.0.1:{taken.getsockname()[1]}/", models, pauses := Pauses())
    assert pauses.seconds == [2.0] and "bindery models add imagebind" in caught.value.hint
    assert not (models / "downloads").exists()


def test_a_server_that_goes_away_is_waited_for(server: FakeServer, models: Path) -> None:
    server.script = ["hang up"]
    pauses = Pauses()

    def leave(seconds: float) -> None:
        pauses(seconds)
        server.socket.close()

    with pytest.raises(BinderyError, match="keeps failing: the connection failed, ConnectError"):
        fetch.fetch(server.url, models, leave)
    assert pauses.seconds == [2.0, 4.0, 8.0, 16.0, 30.0]
    assert (models / "downloads" / f"{FILE}.part").read_bytes() == CONTENT[: len(CONTENT) // 2]


def test_one_download_at_a_time(server: FakeServer, models: Path) -> None:
    with fetch._part(_made(models / "downloads")), pytest.raises(BinderyError, match="another bindery is downloading"):
        fetch.fetch(server.url, models)
    assert server.requests == []


def _made(folder: Path) -> Path:
    folder.mkdir(parents=True)
    return folder


class Command:
    """Runs `bindery models`; `out` is what it printed."""

    def __init__(self, capture: pytest.CaptureFixture[str]) -> None:
        self.capture, self.out, self.error = capture, "", ""

    def __call__(self, *arguments: str) -> None:
        try:
            assert models_app(arguments, exit_on_error=False, print_error=False) == 0
        finally:
            self.out, self.error = self.capture.readouterr()

    def json(self, *arguments: str) -> dict[str, Any]:
        self(*arguments, "--json")
        found: dict[str, Any] = json.loads(self.out)
        assert found["schema_version"] == 1
        return found


@pytest.fixture
def command(capsys: pytest.CaptureFixture[str]) -> Command:
    return Command(capsys)


def test_add_list_remove(command: Command, models: Path, tmp_path: Path) -> None:
    before = command.json("list")["models"]
    assert [(model["name"], model["installed"]) for model in before] == [("minilm", True), ("imagebind", False)]
    assert before[0]["built_in"] and before[0]["dimension"] == 384 and before[0]["bytes"] > 80_000_000
    assert before[1]["get"] == "bindery models add imagebind PATH.pth, or bindery models fetch imagebind"
    checkpoint = write_tiny_checkpoint(tmp_path)
    added = command.json("add", "imagebind", str(checkpoint), "--precision", "bfloat16")["model"]
    digest = hashlib.sha256(checkpoint.read_bytes()).hexdigest()
    assert (added["sha256"], added["precision"], added["dimension"]) == (digest, "bfloat16", 16)
    assert added["folder"] == str(models / "imagebind") and added["licence"] == "CC BY-NC-SA 4.0"
    assert added["towers"] == ["vision", "text", "audio", "depth", "thermal", "imu"]
    assert added["bytes"] == sum(path.stat().st_size for path in models.rglob("*.safetensors"))
    assert "bindery: converting the imu tower" in command.error
    assert command.json("list")["models"] == [before[0], added]
    command("list")
    assert f"imagebind  {digest[:12]}, bfloat16, 5 MB  (CC BY-NC-SA 4.0)\n" in command.out
    assert "minilm  53aa51172d14, float32," in command.out and "(Apache-2.0, built in)" in command.out
    assert "vision, text, audio, depth, thermal, imu; 16 dimensions" in command.out
    assert command.json("remove", "imagebind")["removed"] and installed.find(models) is None
    command("remove", "imagebind")
    assert "imagebind is not installed" in command.error
    command("list")
    assert "imagebind  not installed" in command.out and "→ bindery models add imagebind PATH.pth" in command.out


def test_listing_loads_nothing_heavy(models: Path, tmp_path: Path) -> None:
    install_tiny(models)
    script = (
        "import sys; from flows.models_cli import models_app; models_app(['list'])\n"
        "assert not {'torch', 'httpx', 'safetensors', 'onnxruntime', 'prefect'} & set(sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", script], cwd=Path(__file__).parents[3], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "imagebind  " in done.stdout and "not installed" not in done.stdout


def test_a_damaged_model_is_listed_as_such(command: Command, models: Path, tmp_path: Path) -> None:
    command("add", "imagebind", str(write_tiny_checkpoint(tmp_path)))
    installed.require(models).path("audio").unlink()
    found = command.json("list")["models"][1]
    assert not found["installed"] and "the audio tower of imagebind is missing or damaged" in found["flaw"]
    command("list")
    assert "the audio tower of imagebind is missing or damaged" in command.out


def test_another_folder_by_option(command: Command, models: Path, tmp_path: Path) -> None:
    command("add", "imagebind", str(write_tiny_checkpoint(tmp_path)), "--models", str(tmp_path / "other"))
    assert installed.find(models) is None and installed.find(tmp_path / "other") is not None


def test_errors_are_raised_for_the_command_to_tell(command: Command, models: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="there is no file"):
        command("add", "imagebind", str(tmp_path / "nowhere.pth"))
    with pytest.raises(UsageError, match="is a folder"):
        command("add", "imagebind", str(tmp_path))
    (tmp_path / "page.pth").write_text("<html>")
    with pytest.raises(BinderyError, match=r"page\.pth is not a checkpoint of ImageBind"):
        command("add", "imagebind", str(tmp_path / "page.pth"))
    assert not models.exists()


@pytest.fixture
def tiny_server(server: FakeServer, models: Path, tmp_path: Path) -> FakeServer:
    """Serves the tiny model; its sizes are where the download will be."""
    server.content = write_tiny_checkpoint(tmp_path).read_bytes()
    _made(models / "downloads")
    (models / "downloads" / "imagebind_huge.json").write_text(json.dumps(constructor()))
    return server


def test_fetch(command: Command, models: Path, tiny_server: FakeServer) -> None:
    found = command.json("fetch", "imagebind", "--url", tiny_server.url, "--accept-license")["model"]
    assert found["sha256"] == hashlib.sha256(tiny_server.content).hexdigest() and found["source"] == FILE
    assert "CC BY-NC-SA 4.0: https://creativecommons.org/licenses/by-nc-sa/4.0/" in command.error
    assert "non-commercial" in command.error and "bindery: downloaded" in command.error
    assert installed.require(models).sha256 == found["sha256"]
    assert [path.name for path in (models / "downloads").iterdir()] == ["imagebind_huge.json"]
    asked = len(tiny_server.requests)
    assert command.json("fetch", "imagebind", "--url", tiny_server.url)["model"] == found
    assert "imagebind is installed already" in command.error and len(tiny_server.requests) == asked
    command("fetch", "imagebind", "--url", tiny_server.url, "--accept-license", "--keep", "--force")
    assert (models / "downloads" / FILE).read_bytes() == tiny_server.content


class FakeTerminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize(
    ("answer", "accepted"), [("yes\n", True), (" YES \n", True), ("no\n", False), ("\n", False), ("", False)]
)
def test_the_licence_is_asked_for(
    command: Command,
    models: Path,
    tiny_server: FakeServer,
    monkeypatch: pytest.MonkeyPatch,
    answer: str,
    accepted: bool,
) -> None:
    monkeypatch.setattr(sys, "stdin", FakeTerminal(answer))
    if accepted:
        command("fetch", "imagebind", "--url", tiny_server.url)
        assert installed.find(models) is not None
    else:
        with pytest.raises(UsageError, match="the licence was not accepted, so nothing was downloaded"):
            command("fetch", "imagebind", "--url", tiny_server.url)
        assert tiny_server.requests == [] and installed.find(models) is None
    assert "Do you accept this licence?" in command.error and "Do you accept" not in command.out


def test_without_a_terminal_the_licence_must_be_accepted_by_option(
    command: Command, models: Path, tiny_server: FakeServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "stdin", io.StringIO("yes\n"))
    with pytest.raises(UsageError, match="not accepted") as caught:
        command("fetch", "imagebind", "--url", tiny_server.url)
    assert "--accept-license" in caught.value.hint and tiny_server.requests == []


def test_a_download_of_something_else_is_not_kept(command: Command, models: Path, tiny_server: FakeServer) -> None:
    tiny_server.content = b"<html>moved</html>"
    with pytest.raises(BinderyError, match="is not a checkpoint of ImageBind"):
        command("fetch", "imagebind", "--url", tiny_server.url, "--accept-license")
    assert [path.name for path in (models / "downloads").iterdir()] == ["imagebind_huge.json"]
