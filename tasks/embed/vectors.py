"""Items in, their vectors out: each distinct item is embedded once, in parts, and one item's failure stays its own.

A part is small enough to take seconds on the machine at hand, so that a killed run loses little and an ended one ends
soon. What fails because the model or its device is broken ends the run; nothing else does.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

import numpy as np

from tasks import progress
from tasks.embed.items import Item
from tasks.embed.media import Call
from tasks.embed.recent import recent_of
from tasks.embed.spaces import PaidSpace, Space, embeds_media
from tasks.errors import BinderyError, DocumentError, ModelError
from tasks.llm.errors import BudgetReachedError, LlmError
from tasks.rows import Modality
from tasks.work import LEFT

_log = logging.getLogger(__name__)
BLOCK_ITEMS = 512  # no call of the model gets more, whatever they cost: enough to sort by length
# What an item costs, about, in units of a text window: where several modalities are to share the model's time.
_COST: dict[Modality, int] = {"text": 1, "imu": 1, "depth": 1, "thermal": 2, "image": 16, "audio": 10, "video": 240}
_PART_SECONDS = 20.0
_LEAST_COST, _FIRST_COST, _MOST_COST = 16, 512, 1 << 18
_PROBE = "a text that every model can embed"
Lookup = Callable[[Sequence[str]], Mapping[str, np.ndarray]]
Found = np.ndarray | DocumentError


class Vectors:
    """The vectors of a shard's items by item hash, made on demand.

    `lookup` may know vectors of earlier runs. `check` is called before each call of the model; what it raises ends
    the work. `call` opens media.
    """

    def __init__(self, space: Space, call: Call, lookup: Lookup, check: Callable[[], object]) -> None:
        self._space, self._call, self._lookup, self._check = space, call, lookup, check
        self._recent = recent_of(space)
        self._found: dict[str, Found] = {}
        self._part_cost = _FIRST_COST

    def blocks(self, work: Sequence[tuple[int, list[Item]]]) -> Iterator[list[tuple[int, list[Item]]]]:
        """Documents to be embedded and saved together."""
        block: list[tuple[int, list[Item]]] = []
        items = cost = 0
        for entry in work:
            block.append(entry)
            items += len(entry[1])
            cost += sum(map(_cost, entry[1]))
            if items >= BLOCK_ITEMS or cost >= self._part_cost:
                yield block
                block, items, cost = [], 0, 0
        if block:
            yield block

    def add(self, documents: Sequence[Sequence[Item]]) -> None:
        """Make the vectors of these documents' items; what cannot be embedded is said by `vector`.

        Raises ModelError where the model itself does not work any more.
        """
        items = {item.item: item for wanted in documents for item in wanted if item.item not in self._found}
        self._found.update(self._recent.get(items))
        self._found.update(self._lookup([name for name in items if name not in self._found]))
        missing = [item for item in items.values() if item.item not in self._found]
        media, texts = [item for item in missing if item.media], [item for item in missing if not item.media]
        for part in self._parts(media):
            self._try(part, [[item] for item in part], self._embed_media)
        for part in self._parts(texts):
            chosen = {item.item for item in part}
            of_documents = [
                list({item.item: item for item in wanted if item.item in chosen}.values()) for wanted in documents
            ]
            self._try(part, [wanted for wanted in of_documents if wanted], self._embed_texts)

    def vector(self, item: Item) -> np.ndarray:
        """The item's vector, if it is one: NaN or zero would make its row invisible, or the whole index unreadable."""
        found = self._found.get(item.item)
        if isinstance(found, DocumentError):
            raise DocumentError(found.code, f"{item}: {found.message}", found.hint)
        if found is not None and _is_unit(found):
            return found
        what = "no vector" if found is None else "a vector that is not of unit length"
        raise DocumentError("embed_failed", f"{item}: space {self._space.name} gave {what}", "please report it")

    def _embed_texts(self, items: Sequence[Item]) -> Iterable[Found]:
        texts = [item.text for item in items]
        if isinstance(self._space, PaidSpace):
            return self._space.embed_texts_for(texts, [item.chunk.doc_id for item in items])
        return self._space.embed_texts(texts)

    def _embed_media(self, items: Sequence[Item]) -> Iterable[Found]:
        if not embeds_media(self._space):
            raise TypeError(f"space {self._space.name} embeds no media")
        return self._space.embed_media([item.media for item in items if item.media], self._call)

    def _parts(self, items: Sequence[Item]) -> Iterator[list[Item]]:
        """Items for one call each; how many follows from how long the last call took."""
        start = 0
        while start < len(items):
            part: list[Item] = []
            cost = 0
            for item in items[start : start + BLOCK_ITEMS]:
                cost += _cost(item)
                if part and cost > self._part_cost:
                    break
                part.append(item)
            start += len(part)
            began = time.monotonic()
            yield part
            took = max(1e-3, time.monotonic() - began)
            fitting = sum(map(_cost, part)) * _PART_SECONDS / took
            self._part_cost = int(min(_MOST_COST, max(_LEAST_COST, fitting)))

    def _try(
        self,
        part: Sequence[Item],
        groups: Sequence[Sequence[Item]],
        embed: Callable[[Sequence[Item]], Iterable[Found]],
    ) -> None:
        """Embed all at once; if that fails group by group, and then one by one: what several documents have in common
        must not fail with one of them."""
        if self._attempt(part, embed) is None:
            return
        for group in groups:
            missing = [item for item in group if item.item not in self._found]
            error = self._attempt(missing, embed)
            if error is not None:
                for item in missing:
                    self._alone(item, error if len(missing) == 1 else self._attempt([item], embed))

    def _alone(self, item: Item, error: Exception | None) -> None:
        """The item is to blame, unless it is the model."""
        if error is None:
            return
        if not isinstance(error, DocumentError):
            self._require_working(error)
        self._found[item.item] = error if isinstance(error, DocumentError) else _flaw(self._space, error)

    def _attempt(self, items: Sequence[Item], embed: Callable[[Sequence[Item]], Iterable[Found]]) -> Exception | None:
        self._check()
        try:
            found = dict(zip([item.item for item in items], embed(items) if items else (), strict=True))
        except BudgetReachedError as error:
            return DocumentError(LEFT, error.message, error.hint)
        except LlmError as error:
            if error.fatal:
                raise
            return DocumentError("endpoint_failed", error.message, error.hint)
        except BinderyError:
            raise
        except Exception as error:  # noqa: BLE001  whatever the model's library raises
            _log.warning("space %s could not embed %d items: %s", self._space.name, len(items), error)
            return error
        self._found.update(found)
        vectors = {name: vector for name, vector in found.items() if not isinstance(vector, DocumentError)}
        self._recent.put({name: vector for name, vector in vectors.items() if _is_unit(vector)})
        progress.report("vectors", "embed", len(found))
        return None

    def _require_working(self, error: Exception) -> None:
        """Raises ModelError where not even a harmless text can be embedded: it is not the document that failed."""
        try:
            working = _is_unit(self._space.embed_texts([_PROBE])[0])
        except Exception as broken:  # as above
            raise _model_error(self._space, error) from broken
        if not working:
            raise _model_error(self._space, error)


def _cost(item: Item) -> int:
    return _COST[item.modality]


def _flaw(space: Space, error: Exception) -> DocumentError:
    what = " ".join(f"{type(error).__name__}: {error}".split())[:300]
    return DocumentError("embed_failed", f"space {space.name} failed: {what}", "please report it")


def _model_error(space: Space, error: Exception) -> ModelError:
    what = " ".join(f"{type(error).__name__}: {error}".split())[:300]
    return ModelError(
        f"the model of space {space.name} does not work any more: {what}",
        "what is finished is kept; check the device and run again",
    )


def _is_unit(vector: np.ndarray) -> bool:
    return bool(np.isfinite(vector).all() and 0.99 < float(np.linalg.norm(vector)) < 1.01)
