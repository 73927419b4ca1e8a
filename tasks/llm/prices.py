"""What a call costs: a model and its `Usage` in, dollars out, by the tables of genai-prices or the settings' own.

Nothing is fetched: the prices are those of the installed package. Each call is priced by itself, since some models cost
more for long prompts.
"""

from __future__ import annotations

import contextlib
import dataclasses
import math
from collections.abc import Mapping
from decimal import Decimal
from typing import TYPE_CHECKING

from tasks.errors import UsageError
from tasks.llm.speech import TOKENS_PER_SECOND
from tasks.settings import LlmSettings, Price

if TYPE_CHECKING:
    from genai_prices.types import PriceCalculation

_MILLION = 1_000_000
_BATCH = Decimal("0.5")
_PROVIDER = "openai"  # whose names are looked up where neither the endpoint's address nor the name alone tells


@dataclasses.dataclass(frozen=True, slots=True)
class Usage:
    """Tokens of one call; of those of the prompt, `cached` are what the endpoint had in its own cache, and `audio` are
    of sound. `seconds` of sound are what some models are billed by instead."""

    prompt: int = 0
    completion: int = 0
    cached: int = 0
    audio: int = 0
    seconds: float = 0.0

    @property
    def total(self) -> int:
        return self.prompt + self.completion


def price(
    model: str,
    usage: Usage,
    prices: Mapping[str, Price] | None = None,
    base_url: str | None = None,
    batch: bool = False,
) -> Decimal | None:
    """Dollars for a call; None where nobody knows the model's price.

    `prices` come first (of a batch, their share). A published price without one for batches counts half there, as with
    all who sell both. `base_url` tells whose price list counts where several sell a model.
    """
    cached = min(usage.cached, usage.prompt)
    own = (prices or {}).get(model)
    if own is not None:
        for_cached = own.input if own.cached is None else own.cached
        total = (usage.prompt - cached) * own.input + cached * for_cached + usage.completion * own.output
        sound = (own.minute or Decimal(0)) * Decimal(str(usage.seconds)) / 60
        return (total / _MILLION + sound) * (own.batch if batch else 1)
    usage = dataclasses.replace(usage, cached=cached)
    live = _total(_published(model, usage, base_url, batch=False))
    if live is None or not batch:
        return live
    found = _total(_published(model, usage, base_url, batch=True))
    return live * _BATCH if found is None or found == live else found


def _total(found: PriceCalculation | None) -> Decimal | None:
    return None if found is None else found.total_price


def of_sound(seconds: float, timed: bool) -> Usage:
    """The most that so many seconds can come to; in tokens only where a model is not known to be billed by time."""
    if timed:
        return Usage(seconds=seconds)
    tokens = math.ceil(seconds * TOKENS_PER_SECOND)
    return Usage(tokens, tokens, audio=tokens, seconds=seconds)


def by_time(model: str, prices: Mapping[str, Price] | None = None, base_url: str | None = None) -> bool:
    """Whether a model is known to be billed by the length of the sound that it is given."""
    own = (prices or {}).get(model)
    if own is not None:
        return own.minute is not None
    found = _published(model, Usage(), base_url, batch=False)
    return found is not None and getattr(found.model_price, "audio_hours", None) is not None


def priced(settings: LlmSettings, model: str, usage: Usage, batch: bool = False) -> Decimal:
    """`price` under the settings; what has no known price is free if `allow_unknown_price` says so.

    Raises UsageError otherwise, so ask once before the first call: `priced(settings, model, Usage())`.
    """
    found = price(model, usage, settings.prices, settings.base_url, batch)
    if found is None and not settings.allow_unknown_price:
        raise UsageError(
            f"no price is known for model {model!r}, so its cost can be neither told nor capped",
            f'set llm.prices (dollars for a million tokens): BINDERY_LLM__PRICES=\'{{"{model}": {{"input": 0.15, '
            f'"output": 0.6}}}}\'; or llm.allow_unknown_price (BINDERY_LLM__ALLOW_UNKNOWN_PRICE=true)',
            "unknown_price",
        )
    return found or Decimal(0)


def _published(model: str, usage: Usage, base_url: str | None, batch: bool) -> PriceCalculation | None:
    """By the endpoint's own provider, else by the model's name anywhere, else among OpenAI's."""
    import genai_prices  # 0.2 s, which commands that only read need not spend

    spent = genai_prices.Usage(
        input_tokens=usage.prompt, output_tokens=usage.completion, cache_read_tokens=usage.cached
    )
    if usage.seconds or usage.audio:
        spent.input_audio_tokens = min(usage.audio, usage.prompt)  # more of them would make no sense, and raise
        spent.audio_seconds = spent.input_audio_seconds = Decimal(str(usage.seconds))
    context = {"processing": "batch"} if batch else None
    if base_url:
        with contextlib.suppress(LookupError):
            return genai_prices.calc_price(spent, model, provider_api_url=base_url, price_context=context)
    with contextlib.suppress(LookupError):
        return genai_prices.calc_price(spent, model, price_context=context)
    with contextlib.suppress(LookupError):
        return genai_prices.calc_price(spent, model, provider_id=_PROVIDER, price_context=context)
    return None
