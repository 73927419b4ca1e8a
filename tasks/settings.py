"""One frozen settings object, read from flags, environment (`BINDERY_*`), `bindery.toml` and defaults, in that order.

Each stage's group is exactly what enters that stage's key, so a changed value restages what it touches. `Limits`
bound the work and never change what comes out of it; they are not part of any key.
"""

from __future__ import annotations

import os
import re
import tomllib
from decimal import Decimal
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, SecretStr, ValidationError, model_validator
from pydantic_settings import (
    BaseSettings,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    SettingsError,
    TomlConfigSettingsSource,
)

from tasks import model_files
from tasks.errors import MissingCapabilityError, UsageError
from tasks.rows import Kind

Profile = Literal["local", "openai"]
Lane = Literal["live", "batch"]
DEFAULT_LAKE = "data/lake"


class Group(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class HiResSettings(Group):
    """The models of the route hi_res. Where they lie is in no key; what they are is."""

    layout_model: str | None = Field(None, description="YOLOX as .onnx; default: hi_res/yolox_l0.05.onnx in `models`")
    table_model: str | None = Field(None, description="a table transformer's folder; default: hi_res/table-transformer")
    dpi: int = Field(200, ge=72, le=400, description="resolution at which pages are shown to them")


class PartitionSettings(Group):
    """What partitioning looks for."""

    route: Literal["default", "hi_res"] = Field(
        "default", description="of PDFs and pictures; hi_res: by the layout and table models of unstructured"
    )
    hi_res: HiResSettings = HiResSettings()
    ocr: bool = Field(True, description="read pages and pictures that have no text layer")
    ocr_engine: Literal["rapidocr", "tesseract"] = Field(
        "rapidocr", description="reads Chinese and English; tesseract: the program of this name, where it is installed"
    )
    ocr_languages: str = Field(
        "eng", pattern=r"^\w[\w/-]*(\+\w[\w/-]*)*$", description="that tesseract reads, as in eng+chi_sim"
    )
    ocr_dpi: int = Field(150, ge=72, le=600, description="resolution at which pages are rendered for OCR")
    min_picture_px: int = Field(48, ge=1, description="pictures with a shorter side are decoration")
    max_pixels: int = Field(100_000_000, ge=1, description="pictures larger than this are refused before decoding")
    figure_dpi: int = Field(150, ge=36, le=600, description="resolution at which drawn figures of a PDF are rendered")
    figure_pixels: int = Field(4_000_000, ge=10_000, description="a rendered figure has at most so many pixels")


class ChunkSettings(Group):
    """How text and recordings become retrieval units; sizes of text are o200k tokens."""

    max_tokens: int = Field(256, ge=32, le=8192)
    soft_tokens: int = Field(192, ge=16, description="start a new chunk once this is reached")
    combine_under_tokens: int = Field(48, ge=0, description="merge sections smaller than this into the next")
    audio_seconds: float = Field(10.0, ge=2, description="a longer recording is cut into windows of this length")
    video_seconds: float = Field(10.0, ge=2, description="a longer video is cut into windows of this length")
    max_windows: int = Field(5000, ge=1, description="longer windows where one recording would give more")


class SummarizeSettings(Group):
    """Which kinds of chunk get a summary; the local profile writes extractive ones."""

    kinds: tuple[Kind, ...] = ("table", "image", "audio", "video", "depth", "thermal", "imu")
    max_characters: int = Field(600, ge=80)


class KeyedGroup(Group):
    """Settings with an endpoint's `api_key`."""

    def __getstate__(self) -> dict[Any, Any]:
        """Without the key: settings travel with tasks, and what travels may be kept. `tasks.llm.key` finds it again."""
        state = super().__getstate__()
        return {**state, "__dict__": {**state["__dict__"], "api_key": None}}


class EmbeddingEndpoint(KeyedGroup):
    """The OpenAI-compatible endpoint of the spaces `endpoint:MODEL`. What is counted for a model is by its name.

    Only `dimensions` and `input_tokens` decide vectors; the address, the key and the limits are in no key.
    """

    base_url: str | None = Field(None, pattern=r"^https?://", description="default: llm.base_url, or OpenAI's own")
    api_key: SecretStr | None = Field(
        None, exclude=True, repr=False, description="default: llm's, at the same address; OPENAI_API_KEY, at OpenAI's"
    )
    dimensions: dict[str, int] = Field({}, description="model -> length to shorten its vectors to, where it can")
    input_tokens: int = Field(8191, ge=16, description="what the models read at once; longer texts are cut")
    batch_inputs: int = Field(128, ge=1, le=2048, description="texts in one request, at most")
    batch_tokens: int = Field(32_000, ge=1, le=300_000, description="their tokens: what a kill can lose at most")
    requests_per_minute: float | None = Field(None, gt=0, description="default: learnt from the endpoint's answers")
    tokens_per_minute: float | None = Field(None, gt=0, description="default: learnt from the endpoint's answers")
    max_in_flight: int = Field(16, ge=1)
    timeout_seconds: float = Field(120.0, gt=0, description="for one request")


class EmbedSettings(Group):
    """The spaces that chunks and summaries are embedded in, and what of a picture they see."""

    spaces: tuple[str, ...] = Field((), description="empty: every space whose model is at hand")
    image_tiles: int = Field(9, ge=0, le=64, description="parts of a large or wide picture with a vector of their own")
    endpoint: EmbeddingEndpoint = Field(default_factory=EmbeddingEndpoint)


def _usable_cores() -> int:
    """The cores that this process may use, which in a container can be fewer than the machine has."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


class Limits(Group):
    """Bounds on the work: they decide whether a document is finished, never what its rows are."""

    workers: int = Field(default_factory=_usable_cores, ge=1, description="partition processes")
    seconds_per_page: float = Field(60.0, gt=0)
    seconds_per_document: float = Field(120.0, gt=0, description="added once per document or part")
    memory_mb: int = Field(4096, ge=256, description="per partition process")
    part_pages: int = Field(8, ge=1, description="pages of a PDF that one work item covers")
    container_depth: int = Field(3, ge=1, description="archives in mail in archives ...")
    container_members: int = Field(10_000, ge=1)
    container_bytes: int = Field(2 * 1024**3, ge=1, description="unpacked size of one container")
    max_file_bytes: int = Field(4 * 1024**3, ge=1)


class TagSettings(Group):
    """Zero-shot tags of pictures, by a space that embeds text and pictures; off unless asked for."""

    enabled: bool = False
    space: str = "imagebind"
    labels: dict[str, tuple[str, ...]] = Field(
        {
            "chart": ("a chart", "a graph with axes", "a bar chart", "a line plot", "a pie chart"),
            "table": ("a table of numbers", "a screenshot of a spreadsheet"),
            "photo": ("a photo", "a photograph of people", "a photograph of a place"),
            "diagram": ("a diagram", "a flow chart", "a technical drawing", "a map"),
            "logo": ("a logo", "a company's emblem"),
            "decoration": ("a decoration", "a plain background", "an ornament", "an icon"),
        },
        description="label -> the texts that describe it",
    )


class ComputeSettings(Group):
    """Where models run. It changes no vector beyond rounding, so it is in no key."""

    device: str = Field("auto", pattern=r"^(auto|cpu|mps|cuda(:\d+)?(,cuda:\d+)*)$", description="or cuda:0,cuda:1")
    precision: Literal["auto", "float32", "bfloat16"] = Field("auto", description="auto: bfloat16 on a GPU that has it")
    decoders: int = Field(default_factory=_usable_cores, ge=1, description="media decoded at the same time")


class Price(Group):
    """What a model costs, in dollars for a million tokens, or for a minute of sound."""

    input: Decimal = Field(Decimal(0), ge=0)
    output: Decimal = Field(Decimal(0), ge=0)
    cached: Decimal | None = Field(None, ge=0, description="input read from the endpoint's cache; default: as input")
    batch: Decimal = Field(Decimal("0.5"), ge=0, description="what the same costs in a batch, as a share of it")
    minute: Decimal | None = Field(None, ge=0, description="of sound, for models that are billed by its length")

    @model_validator(mode="after")
    def _says_something(self) -> Self:
        if not {"input", "minute"} & self.model_fields_set:
            raise ValueError("a price has `input` (a million tokens) or `minute` (of sound)")
        return self


_OWN_LIMITS = ("requests_per_minute", "tokens_per_minute", "max_in_flight", "timeout_seconds")


class LlmSettings(KeyedGroup):
    """The OpenAI-compatible endpoint of the openai profile, its limits, and what it is asked for.

    Only the models and what shapes a request decide summaries; the endpoint, its limits and prices are in no key.
    """

    base_url: str | None = Field(None, pattern=r"^https?://", description="default: OpenAI's own")
    api_key: SecretStr | None = Field(
        None, exclude=True, repr=False, description="default: OPENAI_API_KEY; in no dump, so in no report"
    )
    api_key_block: str | None = Field(
        None, min_length=1, description="Prefect Secret block that holds the key; read when a run starts"
    )
    model: str | None = Field(None, min_length=1)
    vision_model: str | None = Field(None, min_length=1, description="for pictures; default: model")
    requests_per_minute: float | None = Field(None, gt=0, description="of each model; default: learnt from its answers")
    tokens_per_minute: float | None = Field(None, gt=0, description="of each model; default: learnt from its answers")
    max_in_flight: int = Field(64, ge=1, description="of each model")
    shared_limit: str | None = Field(
        None, min_length=1, description="Prefect global concurrency limit by which processes share these limits"
    )
    timeout_seconds: float = Field(120.0, gt=0, description="for one request")
    temperature: Annotated[float | None, BeforeValidator(lambda value: None if value == "none" else value)] = Field(
        0.0, ge=0, le=2, description="none: the model's own, as some models demand"
    )
    max_output_tokens: int = Field(700, ge=64, description="of one answer")
    max_characters: int = Field(1200, ge=80, description="of one summary with its keywords and data")
    image_px: int = Field(1024, ge=64, le=4096, description="long side of pictures as they are sent")
    skip_tags: tuple[str, ...] = Field(("decoration", "logo"), description="pictures so tagged are not sent")
    batch_requests: int = Field(50_000, ge=1, description="of one batch, at most")
    batch_bytes: int = Field(200_000_000, ge=1, description="of one batch's file, at most")
    batch_poll_seconds: float = Field(30.0, gt=0, description="between two looks at the batches that are waited for")
    batch_wait_hours: float = Field(
        26.0, ge=0, description="how long a run waits for its batches; 0: a later run collects them"
    )
    prices: dict[str, Price] = Field({}, description="model -> price, instead of the published one")
    allow_unknown_price: bool = False

    def serving_speech(self, transcribe: TranscribeSettings) -> LlmSettings:
        """These settings for the endpoint that transcribes; where it is another one, only its own key goes to it."""
        if transcribe.base_url is None:
            return self
        key = transcribe.api_key or SecretStr("none")  # what is sent to endpoints that ask for none
        theirs = {"base_url": transcribe.base_url, "api_key": key, "api_key_block": None, "shared_limit": None}
        return self.model_copy(update=theirs)

    def serving_embeddings(self, own: EmbeddingEndpoint) -> LlmSettings:
        """These settings for the endpoint that embeds, with its limits; where it is another one, only its own key goes
        to it."""
        theirs: dict[str, Any] = own.model_dump(include={*_OWN_LIMITS})
        if own.api_key is not None:
            theirs |= {"api_key": own.api_key}
        elif own.base_url not in (None, self.base_url):
            theirs |= {"api_key": SecretStr("none")}  # what is sent to endpoints that ask for none
        return self.model_copy(update={**theirs, "base_url": own.base_url or self.base_url})

    def key(self) -> SecretStr | None:
        """The endpoint's key, if it is known without asking Prefect: the setting, or what OpenAI's own tools use."""
        theirs = os.environ.get("OPENAI_API_KEY")
        return self.api_key or (SecretStr(theirs) if theirs else None)

    def model_of(self, kind: Kind) -> str:
        """The model that is asked about chunks of this kind. Raises MissingCapabilityError where none is configured."""
        found = (self.vision_model if kind == "image" else None) or self.model
        if found is None:
            raise MissingCapabilityError("the openai profile needs a model", "set llm.model (BINDERY_LLM__MODEL)")
        return found


class TranscribeSettings(KeyedGroup):
    """Speech in recordings, put into words by an endpoint's /audio/transcriptions; off unless asked for.

    The model, language, prompt and windows decide the transcripts; where they are asked for is in no key.
    """

    enabled: bool = False
    model: str = Field("whisper-1", min_length=1)
    language: str | None = Field(None, pattern=r"^[a-z]{2,3}$", description="ISO 639-1; default: the model's own guess")
    prompt: str | None = Field(None, max_length=2000, description="names and spellings that occur")
    window_seconds: float = Field(
        600.0, ge=10, le=720, description="longest sound of one request; models without segments want about 60"
    )
    base_url: str | None = Field(None, pattern=r"^https?://", description="default: llm.base_url")
    api_key: SecretStr | None = Field(
        None, exclude=True, repr=False, description="for transcribe.base_url; llm's goes to llm.base_url only"
    )


class Settings(BaseSettings):
    """Everything a run was asked to do; stored in its report."""

    model_config = SettingsConfigDict(
        env_prefix="BINDERY_",
        env_nested_delimiter="__",
        frozen=True,
        extra="forbid",
        toml_file="bindery.toml",
        hide_input_in_errors=True,  # one of them may be a key
    )

    lake: str = DEFAULT_LAKE
    profile: Profile = "local"
    models: str | None = Field(None, description="folder of installed models; default: the user's data folder")
    partition: PartitionSettings = PartitionSettings()
    chunk: ChunkSettings = ChunkSettings()
    summarize: SummarizeSettings = SummarizeSettings()
    embed: EmbedSettings = EmbedSettings()
    tag: TagSettings = Field(default_factory=TagSettings)
    transcribe: TranscribeSettings = Field(default_factory=TranscribeSettings)
    compute: ComputeSettings = Field(default_factory=ComputeSettings)
    llm: LlmSettings = Field(default_factory=LlmSettings)
    limits: Limits = Field(default_factory=Limits)

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        return init_settings, env_settings, TomlConfigSettingsSource(settings_cls)


def load_settings(**overrides: Any) -> Settings:
    """The settings of this process; `overrides` with the value None are ignored.

    Raises UsageError naming the setting that is not valid.
    """
    _refuse_unknown_variables()
    given = {name: value for name, value in overrides.items() if value is not None}
    try:
        settings = Settings(**given)
    except tomllib.TOMLDecodeError as error:
        raise UsageError(f"bindery.toml cannot be read: {error}", "mend the file, or move it away") from error
    except SettingsError as error:  # a list or table in a variable is JSON; pydantic names the field, not the variable
        found = re.search(r'field "(\w+)"', str(error))
        name = f"BINDERY_{found[1].upper()}" if found else "a BINDERY_ variable"
        raise UsageError(
            f"{name} or one that begins with {name}__ is no JSON", """such as BINDERY_SUMMARIZE__KINDS='["text"]'"""
        ) from error
    except ValidationError as error:
        first = error.errors()[0]
        name = ".".join(str(part) for part in first["loc"])
        raise UsageError(
            f"setting {name!r} is not valid: {first['msg']}", "see `bindery.toml`, BINDERY_* or the flags"
        ) from error
    if settings.profile == "openai":
        _check_endpoint(settings.llm)
    if settings.transcribe.enabled and not (
        settings.transcribe.base_url or settings.llm.base_url or settings.llm.key() or settings.llm.api_key_block
    ):
        raise MissingCapabilityError(
            "transcribe.enabled needs an endpoint: llm.base_url, transcribe.base_url or a key (OPENAI_API_KEY)",
            "configure it, or set BINDERY_TRANSCRIBE__ENABLED=false",
        )
    if "://" not in settings.lake:
        settings = settings.model_copy(update={"lake": str(Path(settings.lake).expanduser().absolute())})
    return settings.model_copy(update={"partition": _with_models(settings.partition, settings.models)})


def _with_models(partition: PartitionSettings, models: str | None) -> PartitionSettings:
    """With absolute paths of the models of hi_res, where that is the route: a worker may start elsewhere."""
    if partition.route != "hi_res":
        return partition
    folder = model_files.root(models) / "hi_res"
    given = partition.hi_res
    paths = {
        "layout_model": given.layout_model or str(folder / "yolox_l0.05.onnx"),
        "table_model": given.table_model or str(folder / "table-transformer"),
    }
    absolute = {name: str(Path(path).expanduser().absolute()) for name, path in paths.items()}
    return partition.model_copy(update={"hi_res": given.model_copy(update=absolute)})


def _check_endpoint(llm: LlmSettings) -> None:
    missing = [] if llm.model else ["a model (llm.model, BINDERY_LLM__MODEL)"]
    if not llm.base_url and not llm.key() and not llm.api_key_block:
        missing.append("an endpoint: a key (OPENAI_API_KEY, BINDERY_LLM__API_KEY, llm.api_key_block) or llm.base_url")
    if missing:
        raise MissingCapabilityError(
            f"the openai profile needs {' and '.join(missing)}", "configure it, or use --profile local"
        )


def _refuse_unknown_variables() -> None:
    """A misspelt BINDERY_ variable would be ignored silently."""
    for name in os.environ:
        known = {*Settings.model_fields, "debug", "scratch"}
        if name.startswith("BINDERY_") and name.removeprefix("BINDERY_").split("__")[0].lower() not in known:
            raise UsageError(f"environment variable {name} is not a setting", f"known: {', '.join(sorted(known))}")
