"""Texts in, their vectors out: from what is kept if it is there, else from the endpoint in batches, each text once.

A batch that the endpoint rejects is cut in two until what it cannot take stands alone; so one text spoils no other's
vector, and an endpoint that takes fewer texts at once than others is served with fewer from then on.
"""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from tasks import tokens
from tasks.llm import embedding_reply, embeddings
from tasks.llm.embeddings import Embeddings
from tasks.llm.errors import DimensionError, EndpointError, LlmError, RejectedError
from tasks.llm.exchange import Exchange, Paid, Retries
from tasks.llm.spend import Settle, Share, Spend
from tasks.llm.transport import Endpoint, Failure

if TYPE_CHECKING:
    from tasks.llm.pacer import Pacer
    from tasks.llm.pacers import Pacers

MOST_INPUTS, MOST_TOKENS = 2048, 300_000  # of one request, as OpenAI has it
PROBE = "a text that every model can embed"
Room = Callable[[int], contextlib.AbstractAsyncContextManager[Settle]]  # the tokens of a request → room in the budget


@dataclasses.dataclass(frozen=True, slots=True)
class Asked:
    """The model and how it is asked. `dimensions` shortens vectors where a model can; None leaves them."""

    model: str
    dimensions: int | None = None
    batch_inputs: int = 128
    batch_tokens: int = 32_000

    def key(self, text: str) -> str:
        return embeddings.key(self.model, self.dimensions, text)


@dataclasses.dataclass(frozen=True, slots=True)
class _Input:
    key: str
    text: str
    owner: str
    tokens: int


class Embedder(Exchange):
    """Belongs to one event loop, and asks one model."""

    def __init__(
        self,
        endpoint: Endpoint,
        asked: Asked,
        kept: Embeddings,
        pacer: Pacer | Pacers,
        on_spend: Callable[[Spend], None],
        *,
        room: Room,
        retries: Retries | None = None,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        super().__init__(endpoint, pacer, on_spend, retries, sleep)
        self._asked, self._kept, self._room = asked, kept, room
        self._most_inputs = min(asked.batch_inputs, MOST_INPUTS)
        self._base64 = True  # until the endpoint refuses it: a third of the bytes, and no digits to read
        self._understood = False  # whether it has embedded anything yet
        self._probing = asyncio.Lock()
        self._expected: dict[str, asyncio.Future[np.ndarray]] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    async def vectors(self, wanted: Mapping[str, str]) -> dict[str, np.ndarray]:
        """The vector of each text, as the endpoint gives it. `wanted`: text → who pays for it.

        Raises LlmError where one is not to be had, once the others have arrived and are kept.
        """
        keys = {text: self._asked.key(text) for text in wanted}
        known = self._kept.get(keys.values())
        self.counts.reused += len(known)
        missing: list[_Input] = []
        coming: dict[str, asyncio.Future[np.ndarray]] = {}
        for text, name in keys.items():
            if name in self._expected:
                self.counts.joined += 1
                coming[name] = self._expected[name]
            elif name not in known:
                missing.append(_Input(name, text, wanted[text], max(1, tokens.count(text))))
                coming[name] = self._expect(name)
        for batch in self._batches(missing):
            self._start(batch)
        found = dict(zip(coming, await asyncio.gather(*coming.values(), return_exceptions=True), strict=True))
        self._raise_worst(one for one in found.values() if isinstance(one, BaseException))
        known |= {name: vector for name, vector in found.items() if not isinstance(vector, BaseException)}
        return {text: known[name] for text, name in keys.items()}

    def _on_their_way(self) -> Iterable[asyncio.Task[None]]:
        return list(self._tasks)

    def _expect(self, name: str) -> asyncio.Future[np.ndarray]:
        future = self._expected[name] = asyncio.get_running_loop().create_future()
        future.add_done_callback(lambda done: (self._expected.pop(name), done.cancelled() or done.exception()))
        return future

    @staticmethod
    def _raise_worst(errors: Iterable[BaseException]) -> None:
        """What ends the run rather than what is wrong with one text."""
        found = list(errors)
        for error in found:
            if not isinstance(error, LlmError) or error.fatal:
                raise error
        if found:
            raise found[0]

    def _batches(self, inputs: Sequence[_Input]) -> Iterator[list[_Input]]:
        batch: list[_Input] = []
        size = 0
        for one in inputs:
            if batch and (len(batch) >= self._most_inputs or size + one.tokens > self._most_tokens):
                yield batch
                batch, size = [], 0
            batch.append(one)
            size += one.tokens
        if batch:
            yield batch

    @property
    def _most_tokens(self) -> int:
        return min(self._asked.batch_tokens, MOST_TOKENS)

    def _start(self, batch: Sequence[_Input]) -> None:
        task = asyncio.create_task(self._fetch(batch))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _fetch(self, batch: Sequence[_Input]) -> None:
        try:
            await self._embed(batch)
        except BaseException as error:  # noqa: BLE001  whoever waits is told
            for one in batch:
                future = self._expected.get(one.key)
                if future is not None and not future.done():
                    future.set_exception(error if isinstance(error, Exception) else asyncio.CancelledError())

    async def _embed(self, batch: Sequence[_Input]) -> bool:
        """Whether the batch was taken whole."""
        try:
            vectors = await self._ask(_Batch(self, batch))
        except (RejectedError, EndpointError) as error:
            if error.fatal:
                raise
            if isinstance(error, RejectedError):
                await self._require_understanding()
            if len(batch) == 1:
                raise
        else:
            self._understood = True
            for one in batch:
                future = self._expected.get(one.key)
                if future is not None and not future.done():
                    future.set_result(vectors[one.key])
            return True
        middle = (len(batch) + 1) // 2
        halves = (batch[:middle], batch[middle:])
        taken = await asyncio.gather(*(self._half(half) for half in halves), return_exceptions=True)
        self._raise_worst(one for one in taken if isinstance(one, BaseException))
        if all(taken):
            self._most_inputs = min(self._most_inputs, middle)  # it was only too much at once
        return False

    async def _half(self, batch: Sequence[_Input]) -> bool:
        """As `_embed`, but what is wrong with this half is told to those who wait for it."""
        try:
            return await self._embed(batch)
        except LlmError as error:
            for one in batch:
                future = self._expected.get(one.key)
                if future is not None and not future.done():
                    future.set_exception(error)
            return False

    async def _require_understanding(self) -> None:
        """Where nothing was embedded yet, a rejection may be about all that we shall ever send."""
        async with self._probing:
            if self._understood:
                return
            self._check()
            try:
                await self._ask(_Batch(self, [_Input(self._asked.key(PROBE), PROBE, "", tokens.count(PROBE))]))
            except RejectedError as again:
                hint = "check that it is a model of embeddings, and embed.endpoint.dimensions"
                fatal = RejectedError(again.message, hint)
                fatal.fatal = True
                self.stop(fatal)
                raise fatal from None
            self._understood = True


class _Batch:
    """Some texts as a job of the exchange."""

    path = "/embeddings"
    expected = 0
    stage = ""
    patience = 0.0

    def __init__(self, embedder: Embedder, inputs: Sequence[_Input]) -> None:
        self._embedder, self._inputs = embedder, inputs
        self.model, self.owner = embedder._asked.model, inputs[0].owner
        self.key = inputs[0].key
        self.prompt = sum(one.tokens for one in inputs)
        self._base64 = embedder._base64

    @property
    def shares(self) -> tuple[Share, ...]:
        shares: dict[str, int] = {}
        for one in self._inputs:
            shares[one.owner] = shares.get(one.owner, 0) + one.tokens
        return tuple(shares.items())

    def body(self) -> tuple[Mapping[str, Any], None]:
        self._base64 = self._embedder._base64
        # Half a surrogate pair, which broken documents hold, cannot be sent as UTF-8.
        texts = [one.text.encode("utf-8", "replace").decode("utf-8") for one in self._inputs]
        body: dict[str, Any] = {"model": self.model, "input": texts}
        if self._embedder._asked.dimensions is not None:
            body["dimensions"] = self._embedder._asked.dimensions
        if self._base64:
            body["encoding_format"] = "base64"
        return body, None

    def sound(self, raw: bytes) -> tuple[float, int]:
        return 0.0, 0

    def room(self) -> contextlib.AbstractAsyncContextManager[Settle]:
        return self._embedder._room(self.prompt)

    def relearn(self, said: str) -> bool:
        if self._base64 and any(word in said.casefold() for word in ("encoding_format", "base64")):
            self._embedder._base64 = False
            return True
        return False

    def read(self, raw: bytes) -> Paid[dict[str, np.ndarray]]:
        vectors, used = embedding_reply.read(raw, len(self._inputs))
        asked = self._embedder._asked

        def keep() -> dict[str, np.ndarray] | Failure:
            expected = asked.dimensions or self._embedder._kept.dimension(asked.model, None)
            if expected is not None and len(vectors[0]) != expected:
                hint = "this endpoint does not shorten them: take the model out of embed.endpoint.dimensions"
                error = DimensionError(
                    f"model {self.model} gives vectors of {len(vectors[0])} dimensions, not {expected}",
                    hint if asked.dimensions else "it is another model than the one that this lake was made with",
                )
                return Failure(error)
            found = {one.key: vector for one, vector in zip(self._inputs, vectors, strict=True)}
            self._embedder._kept.put(asked.model, asked.dimensions, found)
            return found

        return Paid(self.prompt if used is None else used, 0, 0, keep)
