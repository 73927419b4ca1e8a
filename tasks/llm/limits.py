"""The limits of an account: what is configured, and what the headers of an endpoint's answers say, as numbers."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Mapping

FIELDS = {"requests": "requests_per_minute", "tokens": "tokens_per_minute"}  # as headers name them: as we do
_NUMBER = re.compile(r"\d{1,12}(?:\.\d{0,6})?")


@dataclasses.dataclass(frozen=True, slots=True)
class RateLimits:
    """What the account has; None is not known, and may be learnt from the endpoint's headers."""

    requests_per_minute: float | None = None
    tokens_per_minute: float | None = None
    max_in_flight: int = 256

    def __post_init__(self) -> None:
        for name in ("requests_per_minute", "tokens_per_minute", "max_in_flight"):
            value = getattr(self, name)
            if value is not None and value <= 0:
                raise ValueError(f"{name} is above zero, not {value}")


def configured(limits: RateLimits, name: str) -> float | None:
    found: float | None = getattr(limits, FIELDS[name])
    return found


def stated(headers: Mapping[str, str], name: str) -> float | None:
    """The limit per minute, as the endpoint says it is."""
    return _number(headers.get(f"x-ratelimit-limit-{name}"))


def remaining(headers: Mapping[str, str], name: str) -> float | None:
    """What the endpoint says is left of it now."""
    return _number(headers.get(f"x-ratelimit-remaining-{name}"))


def _number(value: str | None) -> float | None:
    return float(value) if value is not None and _NUMBER.fullmatch(value.strip()) else None
