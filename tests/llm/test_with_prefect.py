"""What runs share through a real Prefect server: the endpoint's key in a Secret block, and its limits."""

from __future__ import annotations

import json
import os
import pickle
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr

from tasks.context import RunSpec
from tasks.llm.key import find_key, speech_settings
from tasks.settings import LlmSettings, Settings, TranscribeSettings
from tests.conftest import PrefectHome
from tests.llm.endpoint import Behaviour, FakeEndpoint
from tests.prefect_server import PREFECT, ROOT, call, serving

CANARY = "sk-canary-0b5e77"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory, prefect_home: PrefectHome) -> Iterator[Mapping[str, str]]:
    with serving(tmp_path_factory.mktemp("server"), prefect_home) as environment:
        yield {name: value for name, value in environment.items() if name != "OPENAI_API_KEY"}


_SAVE = """
import sys
from prefect.blocks.system import Secret
Secret(value=sys.argv[1]).save("llm-key")
Secret(value={"key": sys.argv[1]}).save("no-key")
"""

_ASK = """
import asyncio, json, sys
from tasks.errors import BinderyError
from tasks.llm.account import Account
from tasks.llm.ledger import Budget
from tasks.llm.request import Message, Request, Text
from tasks.settings import LlmSettings
from tasks.storage import LocalStorage

lake, base_url, *blocks = sys.argv[1:]

def said(block):
    settings = LlmSettings(model="small", base_url=base_url, api_key_block=block)
    try:
        account = Account(LocalStorage(lake), "run", "summarize", settings, Budget())
    except BinderyError as error:
        return [type(error).__name__, error.message, error.hint]
    request = Request("small", (Message("user", (Text("What is it?"),)),))
    try:
        return asyncio.run(account.answers_for("d")(request)).text
    finally:
        account.close()

print(json.dumps([said(block) for block in blocks]))
"""


def test_the_key_is_read_from_a_secret_block_and_written_nowhere(server: Mapping[str, str], tmp_path: Path) -> None:
    call(server, sys.executable, "-c", _SAVE, CANARY)
    with FakeEndpoint(Behaviour(api_key=CANARY)) as endpoint:
        blocks = ("llm-key", "nowhere", "no-key")
        told = call(server, sys.executable, "-c", _ASK, str(tmp_path / "lake"), endpoint.base_url, *blocks)
    answer, missing, unfit = json.loads(told)
    assert answer == "What is it" and endpoint.statuses() == {200: 1}
    assert missing[:2] == [
        "MissingCapabilityError", "there is no Prefect Secret block 'nowhere' with the endpoint's key",
    ]  # fmt: skip
    assert "Secret(value=KEY).save('nowhere')" in missing[2]
    assert unfit[:2] == ["UsageError", "the Prefect Secret block 'no-key' holds no key"]
    kept = [path for path in (tmp_path / "lake").rglob("*") if path.is_file()]
    assert kept and CANARY not in told
    home = [path for path in Path(server["PREFECT_HOME"]).parent.rglob("*") if path.is_file()]  # logs, database
    assert [path for path in kept + home if CANARY.encode() in path.read_bytes()] == []


_SHARE = """
import asyncio, sys
from tasks.llm import shares
from tasks.llm.account import Account
from tasks.llm.errors import LlmError
from tasks.llm.ledger import Budget
from tasks.llm.request import Message, Request, Text
from tasks.settings import LlmSettings
from tasks.storage import LocalStorage

shares.LOOK_SECONDS, shares.GRACE_SECONDS = 1.0, 3.0
lake, base_url, name, limit, count, per_minute = sys.argv[1:]
settings = LlmSettings(
    model="small", base_url=base_url, api_key="sk-fake", shared_limit=limit, requests_per_minute=float(per_minute)
)
try:
    account = Account(LocalStorage(lake), name, "summarize", settings, Budget())
except LlmError as error:
    sys.exit(f"{type(error).__name__}: {error.message}; {error.hint}")
print("ready", flush=True)
sys.stdin.readline()
answer = account.answers_for("d")

async def main():
    texts = (Text(f"{name} {number}") for number in range(int(count)))
    await asyncio.gather(*(answer(Request("small", (Message("user", (text,)),))) for text in texts))

asyncio.run(main())
account.close()
print("done", flush=True)
"""


def test_two_processes_keep_to_one_limit_together(server: Mapping[str, str], tmp_path: Path) -> None:
    call(server, *PREFECT, "gcl", "create", "llm-shared", "--limit", "8")

    def process(name: str, limit: str = "llm-shared") -> subprocess.Popen[str]:
        arguments = [str(tmp_path / "lake"), endpoint.base_url, name, limit, str(count), str(per_minute)]
        return subprocess.Popen(
            [sys.executable, "-c", _SHARE, *arguments], cwd=ROOT, env=dict(server), text=True,
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        )  # fmt: skip

    count, per_minute = 60, 1200
    with FakeEndpoint(Behaviour(requests_per_minute=per_minute)) as endpoint:
        without = process("c", "nowhere")
        both = [process("a"), process("b")]
        for one in both:
            assert one.stdout and one.stdout.readline() == "ready\n"
        for one in both:
            _tell(one)
        told = [one.communicate() for one in both]
        assert [one.returncode for one in both] == [0, 0], told
        asked = without.communicate()[1].strip()
    assert asked == (
        "SharedLimitError: there is no global concurrency limit nowhere; prefect gcl create nowhere --limit 16"
    )
    assert endpoint.statuses() == {200: 2 * count}
    arrived = {name: [one.arrived for one in endpoint.calls if f"'{name} " in str(one.body)] for name in "ab"}
    assert [len(times) for times in arrived.values()] == [count, count]
    limits = json.loads(call(server, *PREFECT, "gcl", "inspect", "llm-shared", "--output", "json"))
    assert limits["active_slots"] == 0  # both have left their places


def _tell(process: subprocess.Popen[str]) -> None:
    assert process.stdin
    process.stdin.write("go\n")
    process.stdin.flush()


def test_a_server_that_does_not_answer_is_said(tmp_path: Path) -> None:
    environment = {
        **os.environ, "PREFECT_API_URL": "http://127.0.0.1:9/api", "PREFECT_HOME": str(tmp_path),
        "PREFECT_CLIENT_MAX_RETRIES": "0",
    }  # fmt: skip
    arguments = [sys.executable, "-c", _ASK, str(tmp_path / "lake"), "http://127.0.0.1:9/v1", "llm-key"]
    done = subprocess.run(arguments, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=240)
    assert done.returncode == 0, done.stderr
    ((kind, message, hint),) = json.loads(done.stdout)
    assert kind == "MissingCapabilityError" and "'llm-key' cannot be read" in message and "PREFECT_API_URL" in hint


def test_settings_travel_without_the_key_which_is_found_where_it_is_used(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    keyed: Any = {"api_key": SecretStr(CANARY), "base_url": "http://h/v1"}
    settings = Settings(profile="openai", llm=LlmSettings(model="m", **keyed), transcribe=TranscribeSettings(**keyed))
    packed = pickle.dumps(RunSpec("r", settings, {}))
    assert CANARY.encode() not in packed
    arrived: Settings = pickle.loads(packed).settings
    assert arrived == settings.model_copy(
        update={name: getattr(settings, name).model_copy(update={"api_key": None}) for name in ("llm", "transcribe")}
    )
    assert settings.llm.api_key and settings.model_copy(deep=True).llm.api_key  # where it was it still is
    assert find_key(arrived.llm) is None
    assert find_key(speech_settings(arrived)) == SecretStr("none")
    for name, value in (("OPENAI_API_KEY", "theirs"), ("BINDERY_LLM__API_KEY", CANARY)):
        monkeypatch.setenv(name, value)
        monkeypatch.setenv("BINDERY_PROFILE", "openai")  # though that process has no model configured
        found = find_key(arrived.llm)
        assert found and found.get_secret_value() == value
        # The other endpoint has a key of its own: this one does not go there.
        assert find_key(speech_settings(arrived)) == SecretStr("none")
    monkeypatch.setenv("BINDERY_TRANSCRIBE__API_KEY", "speech")
    assert find_key(speech_settings(arrived)) == SecretStr("speech")
