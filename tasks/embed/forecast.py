"""What embedding documents by an endpoint would take: their chunks and summaries in; texts, calls, tokens, dollars out.

Nothing is asked. Each document is counted as if it were embedded alone, while a run puts texts of several in a request:
calls are at most so many. A summary that a model has yet to write counts as long as it may be.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from decimal import Decimal

from tasks import stage, tokens
from tasks.embed.endpoint import EndpointSpace
from tasks.embed.items import items_of
from tasks.embed.spaces import Spaces
from tasks.llm.prices import Usage, price
from tasks.rows import ChunkRow, SummaryRow, from_table
from tasks.settings import Settings
from tasks.space_names import ENDPOINT
from tasks.stage import Recipe, StageRef
from tasks.storage import Storage

Known = Callable[[Iterable[str]], set[str]]  # keys of vectors → those that are kept
_CHARACTERS_PER_TOKEN = 2  # of a summary that is not written yet: English has four, Chinese one or two


def paid_spaces(settings: Settings, spaces: Spaces) -> list[EndpointSpace]:
    """Those of the settings that cost money."""
    opened = (spaces.open(name) for name in settings.embed.spaces if name.startswith(ENDPOINT))
    return [space for space in opened if isinstance(space, EndpointSpace)]


class Forecast:
    """Of one space."""

    def __init__(self, space: EndpointSpace, recipe: Recipe, settings: Settings, known: Known) -> None:
        self.texts = self.calls = self.tokens = 0
        self.dollars: Decimal | None = Decimal(0)
        self._space, self._recipe, self._settings, self._known = space, recipe, settings, known
        self._counted: set[str] = set()

    def add(
        self, storage: Storage, chunks: StageRef, written: StageRef | None, summaries: Sequence[SummaryRow] | None
    ) -> None:
        """A document; `summaries` are None where nobody knows them yet, `written` is the stage file that has them."""
        if written and stage.find(storage, self._recipe.stage, self._recipe.key(chunks.digest, written.digest)):
            return
        rows = from_table(stage.load(storage, chunks), ChunkRow)
        items = items_of(rows, summaries or [], self._space, {})
        keys = {self._space.asked.key(item.text): item.text for item in items}
        missing = keys.keys() - self._counted - self._known(keys)
        self._counted |= missing
        counts = [tokens.count(keys[key]) for key in sorted(missing)]
        if summaries is None:
            unwritten = sum(row.kind in self._settings.summarize.kinds for row in rows)
            counts += [self._settings.llm.max_characters // _CHARACTERS_PER_TOKEN] * unwritten
        self._count(counts)

    def _count(self, counts: Sequence[int]) -> None:
        calls = self._space.settings
        for batch in _batches(counts, self._space.asked.batch_inputs, self._space.asked.batch_tokens):
            self.calls += 1
            self.texts += len(batch)
            self.tokens += sum(batch)
            cost = price(self._space.asked.model, Usage(sum(batch)), calls.prices, calls.base_url)
            self.dollars = None if cost is None or self.dollars is None else self.dollars + cost


def _batches(counts: Sequence[int], most_inputs: int, most_tokens: int) -> list[list[int]]:
    batches: list[list[int]] = []
    for count in counts:
        if batches and len(batches[-1]) < most_inputs and sum(batches[-1]) + count <= most_tokens:
            batches[-1].append(count)
        else:
            batches.append([count])
    return batches
