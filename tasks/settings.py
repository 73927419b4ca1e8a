"""One frozen settings object, read from flags, environment (`BINDERY_*`), `bindery.toml` and defaults, in that order.

Each stage's group is exactly what enters that stage's key, so a changed value restages what it touches. `Limits`
bound the work and never change what comes out of it; they are not part of any key.
"""

from __future__ import annotations

import os
import tomllib
from decimal import Decimal
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, SecretStr, ValidationError
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict, TomlConfigSettingsSource

from tasks.errors import MissingCapabilityError, UsageError
from tasks.rows import Kind

Profile = Literal["local", "openai"]
DEFAULT_LAKE = "data/lake"


class Group(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class PartitionSettings(Group):
    """What partitioning looks for."""

    ocr: bool = Field(True, description="read pages and pictures that have no text layer")
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


class EmbedSettings(Group):
    """The spaces that chunks and summaries are embedded in, and what of a picture they see."""

    spaces: tuple[str, ...] = Field((), description="empty: every space whose model is at hand")
    image_tiles: int = Field(9, ge=0, le=64, description="parts of a large or wide picture with a vector of their own")


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
    """What a model costs, in dollars for a million tokens."""

    input: Decimal = Field(ge=0)
    output: Decimal = Field(Decimal(0), ge=0)
    cached: Decimal | None = Field(None, ge=0, description="input read from the endpoint's cache; default: as input")


class LlmSettings(Group):
    """The OpenAI-compatible endpoint of the openai profile, its limits, and what it is asked for.

    Only the models and what shapes a request decide summaries; the endpoint, its limits and prices are in no key.
    """

    base_url: str | None = Field(None, pattern=r"^https?://", description="default: OpenAI's own")
    api_key: SecretStr | None = Field(
        None, exclude=True, repr=False, description="default: OPENAI_API_KEY; in no dump, so in no report"
    )
    model: str | None = Field(None, min_length=1)
    vision_model: str | None = Field(None, min_length=1, description="for pictures; default: model")
    requests_per_minute: float | None = Field(None, gt=0, description="default: learnt from the endpoint's answers")
    tokens_per_minute: float | None = Field(None, gt=0, description="default: learnt from the endpoint's answers")
    max_in_flight: int = Field(64, ge=1)
    timeout_seconds: float = Field(120.0, gt=0, description="for one request")
    temperature: Annotated[float | None, BeforeValidator(lambda value: None if value == "none" else value)] = Field(
        0.0, ge=0, le=2, description="none: the model's own, as some models demand"
    )
    max_output_tokens: int = Field(700, ge=64, description="of one answer")
    max_characters: int = Field(1200, ge=80, description="of one summary with its keywords and data")
    image_px: int = Field(1024, ge=64, le=4096, description="long side of pictures as they are sent")
    skip_tags: tuple[str, ...] = Field(("decoration", "logo"), description="pictures so tagged are not sent")
    prices: dict[str, Price] = Field({}, description="model -> price, instead of the published one")
    allow_unknown_price: bool = False

    def key(self) -> SecretStr | None:
        """The endpoint's key: the setting, or what OpenAI's own tools use."""
        theirs = os.environ.get("OPENAI_API_KEY")
        return self.api_key or (SecretStr(theirs) if theirs else None)

    def model_of(self, kind: Kind) -> str:
        """The model that is asked about chunks of this kind. Raises MissingCapabilityError where none is configured."""
        found = (self.vision_model if kind == "image" else None) or self.model
        if found is None:
            raise MissingCapabilityError("the openai profile needs a model", "set llm.model (BINDERY_LLM__MODEL)")
        return found


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
    except ValidationError as error:
        first = error.errors()[0]
        name = ".".join(str(part) for part in first["loc"])
        raise UsageError(
            f"setting {name!r} is not valid: {first['msg']}", "see `bindery.toml`, BINDERY_* or the flags"
        ) from error
    if settings.profile == "openai":
        _check_endpoint(settings.llm)
    if "://" not in settings.lake:
        settings = settings.model_copy(update={"lake": str(Path(settings.lake).expanduser().absolute())})
    return settings


def _check_endpoint(llm: LlmSettings) -> None:
    missing = [] if llm.model else ["a model (llm.model, BINDERY_LLM__MODEL)"]
    if not llm.base_url and not llm.key():
        missing.append("an endpoint: a key (OPENAI_API_KEY, BINDERY_LLM__API_KEY) or llm.base_url")
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
