"""The endpoint's key, found by the process that asks when its run starts, and kept in that process alone.

It comes from `llm.api_key`, from the Prefect Secret block that `llm.api_key_block` names, or from OPENAI_API_KEY.
Settings that travel to another process travel without it (`KeyedGroup.__getstate__`); that one finds its own.
"""

from __future__ import annotations

from typing import Any

from pydantic import SecretStr

from tasks.errors import MissingCapabilityError, UsageError
from tasks.llm.transport import Endpoint
from tasks.settings import LlmSettings, Settings, load_settings


def find_key(settings: LlmSettings) -> SecretStr | None:
    """None for endpoints that ask for none. Raises MissingCapabilityError where a block is named and is not there."""
    if settings.api_key is not None:
        return _stripped(settings.api_key)
    if settings.api_key_block is not None:
        return _stripped(_from_block(settings.api_key_block))
    return _stripped(_here().llm.key())


def _stripped(key: SecretStr | None) -> SecretStr | None:
    """Without the line end that a file or a mounted secret leaves on it."""
    return SecretStr(key.get_secret_value().strip()) if key is not None else None


def speech_settings(settings: Settings) -> LlmSettings:
    """Those of the endpoint that transcribes; with the key of its own, which is found likewise, where it is another."""
    own = settings.transcribe
    key = own.api_key or (_here().transcribe.api_key if own.base_url else None)
    return settings.llm.serving_speech(own.model_copy(update={"api_key": key}))


def embedding_settings(settings: Settings) -> LlmSettings:
    """Those of the endpoint that embeds; with the key of its own, if there is one, which is found likewise."""
    own = settings.embed.endpoint
    key = own.api_key or _here().embed.endpoint.api_key
    if key is None and own.base_url is not None and Endpoint(own.base_url).of_openai:
        key = LlmSettings().key()  # what OpenAI's own tools use
    return settings.llm.serving_embeddings(own.model_copy(update={"api_key": key}))


def _here() -> Settings:
    """The settings of this process; all but its keys is not what is asked."""
    return load_settings(profile="local", transcribe={"enabled": False})


def _from_block(name: str) -> SecretStr:
    import httpx  # Prefect's own
    from prefect.blocks.system import Secret

    try:
        block: Any = Secret  # of two dispatched functions in one, which its types do not tell apart
        value = block.load(name, _sync=True).get()
    except ValueError as error:
        raise MissingCapabilityError(
            f"there is no Prefect Secret block {name!r} with the endpoint's key",
            f"make it in Prefect's UI (Blocks, Secret), or once in Python: from prefect.blocks.system import Secret; "
            f"Secret(value=KEY).save({name!r}); or name another as llm.api_key_block",
        ) from error
    except (httpx.HTTPError, OSError, RuntimeError) as error:
        raise MissingCapabilityError(
            f"the Prefect Secret block {name!r} cannot be read: {type(error).__name__}: {error}",
            "see that Prefect's server at PREFECT_API_URL answers, or give the key as OPENAI_API_KEY",
        ) from error
    if not isinstance(value, str) or not value:
        raise UsageError(f"the Prefect Secret block {name!r} holds no key", "it is one piece of text; save it again")
    return SecretStr(value)
