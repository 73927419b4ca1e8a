"""What the command shows a person: answers on stdout; progress, notes and errors on stderr.

Text that comes from documents is printed without control characters, so that it cannot drive the terminal.
"""

from __future__ import annotations

import collections
import contextlib
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import orjson

from tasks.errors import BinderyError
from tasks.progress import Event, listening

if TYPE_CHECKING:
    from tasks.answer import Answer
    from tasks.classify import Classified, Classifier
    from tasks.evaluate.evaluation import Evaluation, Measure
    from tasks.inspect import Inspection
    from tasks.report.run import RunReport
    from tasks.retrieve import SearchResult

_PLAIN_SECONDS = 10.0
_EXCERPT = 240


def print_json(value: Mapping[str, Any]) -> None:
    """One JSON object, with `schema_version` first."""
    sys.stdout.write(orjson.dumps({"schema_version": 1, **value}, option=orjson.OPT_NON_STR_KEYS).decode() + "\n")
    sys.stdout.flush()


def note(text: str) -> None:
    print(_clean(text), file=sys.stderr)


def say(text: str) -> None:
    """A line of the answer, whatever is in it."""
    print(_clean(text))


def print_error(error: BinderyError) -> None:
    note(f"bindery: {error.message}")
    if error.hint:
        note(f"  → {error.hint}")


def print_run(report: RunReport) -> None:
    """The closing report: what readers see now, what was lost and why."""
    for source in report.sources:
        if source.error is not None:
            again = " (known; `bindery quarantine retry` tries again)" if source.known else ""
            note(f"! {source.source}: {source.stage}: {source.error.message}{again}")
            if source.error.hint and not source.known:
                note(f"  → {source.error.hint}")
        elif source.status == "skipped":
            note(f". {source.source}: skipped, {source.reason}")
    for warning in report.warnings:
        note(f"  {warning}")
    if report.left:
        reasons = Counter(source.reason for source in report.sources if source.status == "left")
        for reason, count in reasons.items():
            note(f"… {_plural(count, 'source')} left for the next run: {reason}")
        note("  → what is answered is kept: run again to go on, with more or no budget, or --lane batch to wait")
    if report.counts["restage_pending"]:
        note(f"^ {report.counts['restage_pending']} documents are behind the settings; --restage redoes them")
    for line in report.summary:
        print(_clean(line))


def print_hits(result: SearchResult) -> None:
    if not result.hits:
        note("no hits")
    for number, hit in enumerate(result.to_json()["hits"], start=1):
        part = f", matched in the {_part(hit['located'])}" if hit["located"] else ""
        tag = f", a {hit['picture_tag']['label']}" if hit["picture_tag"] else ""
        print(f"{number:2d}. {_clean(_place(hit))}{part}  [{hit['kind']}{_clean(tag)}, {hit['score']:.4f}]")
        print(f"    {_clean(_excerpt(hit['text']))}")


def print_classes(names: Sequence[str], classifier: Classifier, files: Iterable[Classified]) -> list[Classified]:
    """A line for each file as it comes: the probability of each label, in columns, or why there is none."""
    for line in classifier.notes:
        note(line)
    labels = [_clean(label) for label in classifier.labels]
    wide = max(len(_clean(name)) for name in ("file", *names))
    print("  ".join([f"{'file':<{wide}}", *(f"{label:>6}" for label in labels)]), flush=True)
    found: list[Classified] = []
    for file in files:
        found.append(file)
        name = f"{_clean(file.file):<{wide}}"
        if file.error is not None:
            print(f"{name}  ! {_clean(file.error.message)}", flush=True)
            continue
        shares = zip(labels, file.probabilities, strict=True)
        print("  ".join([name, *(f"{share:>{max(6, len(label))}.3f}" for label, share in shares)]), flush=True)
    for line in classifier.doubts(found):
        note(line)
    return found


def print_inspection(found: Inspection) -> None:
    """A line for each page: what was read there, and what was dropped."""
    from tasks.report.inspect import characters, facts

    name = found.source.rsplit("/", 1)[-1]
    what = f"{name}: {found.title}" if found.title else name
    print(_clean(f"{what} ({found.media_type}, {_plural(found.total, 'page')})"))
    for page in found.pages:
        name = f"page {page.number}" if page.number is not None else "all"
        said = [f"{_plural(len(page.elements), 'element')}, {characters(page)}"]
        kinds = collections.Counter(element.category for element in page.elements)
        said += [f"{n} {kind}" for kind, n in sorted(kinds.items()) if kind in ("Table", "Image", "Figure")]
        said += [f"{what} {text}" for what, text in facts(dict(page.counts)) if what not in kinds]
        print(f"{name:>9}  {_clean('; '.join(said))}")
        for warning in page.warnings:
            note(f"  {warning}")


def print_answer(answer: Answer) -> None:
    print(_clean(answer.answer, keep_lines=True))
    found = answer.to_json()
    for number, citation in enumerate(found["citations"], start=1):
        print(f"  [{number}] {_clean(_place(citation))}: {_clean(_excerpt(citation['quote']))}")
    if not answer.found:
        for near in answer.nearest:
            note(f"  nearest: {_place(near.to_json())}")


def print_documents(documents: Sequence[Mapping[str, Any]]) -> None:
    """The loss ledger of each document, one line for pages, text, tables and each kind of picture."""
    for document in documents:
        held = document["losses"]
        print(_clean(document["sources"][0]) + (" (degraded)" if document["degraded"] else ""))
        lines = {
            "pages": _counted(held, "pages", {"out": "with elements", "blank": "blank", "ocr": "read by OCR"}),
            "text": f"{held['characters_layer']:,} characters in the layer" if "characters_layer" in held else "",
            "chunks": f"{document['chunks']:,}, {held['coverage']:.2%} of the text in them",
            "tables": f"{held.get('tables', 0):,}",
            "pictures": _found(held, "pictures") or f"{held.get('images', 0):,}",
            "figures": _found(held, "figures"),
            "cost": f"{held['seconds']:.1f} s, {held['peak_mb']:,} MB" if "seconds" in held else "",
        }
        for name, line in lines.items():
            if line:
                print(f"  {name:<9} {line}")
        for warning in document["warnings"]:
            print(f"  ! {_clean(warning)}")


def _counted(held: Mapping[str, Any], name: str, parts: Mapping[str, str]) -> str:
    if not held.get(name):
        return ""
    counts = (f"{held[key]:,} {said}" for part, said in parts.items() if held.get(key := f"{name}_{part}"))
    return ", ".join([f"{held[name]:,}", *counts])


def _found(held: Mapping[str, Any], what: str) -> str:
    """`12 found, 3 kept, 9 dropped (5 tiny, 4 repeated)`."""
    if f"{what}_found" not in held:
        return ""
    start = f"{what}_dropped_"
    dropped = {name.removeprefix(start): count for name, count in held.items() if name.startswith(start)}
    reasons = ", ".join(f"{count:,} {name.replace('_', ' ')}" for name, count in sorted(dropped.items()))
    line = f"{held[f'{what}_found']:,} found, {held.get(f'{what}_kept', 0):,} kept"
    return line + (f", {sum(dropped.values()):,} dropped ({reasons})" if dropped else "")


_SHOWN_MEASURES = ("hit@1", "hit@5", "hit@10", "recall@10", "mrr@10", "ndcg@10", "document.hit@5")


def print_evaluation(found: Evaluation, changes: Sequence[Measure]) -> None:
    """A row for all questions and for each group, the intervals of all, and what differs from an earlier evaluation."""
    groups = list(dict.fromkeys(measure.group for measure in found.measures))
    width = max(len(_clean(group)) for group in groups)
    print(f"{'':{width}} {'questions':>9} " + " ".join(f"{name:>{max(7, len(name))}}" for name in _SHOWN_MEASURES))
    for group in groups:
        held = {measure.name: measure for measure in found.measures if measure.group == group}
        cells = (
            f"{held[name].value:{max(7, len(name))}.3f}" if name in held else f"{'':{max(7, len(name))}}"
            for name in _SHOWN_MEASURES
        )
        print(f"{_clean(group):{width}} {held['document.hit@1'].questions:9d} {' '.join(cells)}")
    intervals = (measure for measure in found.measures if measure.group == "all" and measure.name in _SHOWN_MEASURES)
    print("95 % of all: " + ", ".join(f"{each.name} {each.low:.2f}–{each.high:.2f}" for each in intervals))
    for each in changes:
        if each.name in _SHOWN_MEASURES:
            sure = "" if each.low <= 0 <= each.high else " *"
            print(f"change of {each.name}: {each.value:+.3f} ({each.low:+.3f} to {each.high:+.3f}){sure}")


def print_status(found: Mapping[str, Any]) -> None:
    print(f"lake       {found['lake']}")
    print(f"release    {found['release']}  ({found['created'] or 'nothing published yet'})")
    counts = found["counts"]
    print(f"documents  {counts.get('documents', 0)}, from {counts.get('sources', 0)} sources")
    kinds = ", ".join(f"{counts[name]} {name.removeprefix('chunks_')}" for name in counts if name.startswith("chunks_"))
    print(f"chunks     {counts.get('chunks', 0)}" + (f"  ({kinds})" if kinds else ""))
    print(f"spaces     {', '.join(found['spaces']) or '-'}")
    print(f"quarantine {found['quarantine']}")
    if found["writer"]:
        print(f"writer     {found['writer']}")
    if found["spend"]:
        from tasks.report.spend import Spending, spend_line

        print(f"spent      {spend_line([Spending.model_validate(each) for each in found['spend']])}")
    for batch in found["batches"]:
        print(_clean(f"batch      {batch['requests']:,} requests of {batch['model']} since {batch['created'][:16]}"))
    if found["last_run"]:
        print(f"last run   {found['last_run']['run']}: {found['last_run']['headline']}")


def print_quarantine(documents: Sequence[Mapping[str, Any]]) -> None:
    if not documents:
        note("quarantine is empty")
    for document in documents:
        print(_clean(f"{document['sources'][0]}  ({document['stage']}, {_plural(document['attempts'], 'attempt')})"))
        for other in document["sources"][1:]:
            print(_clean(f"  also {other}"))
        print(_clean(f"  {document['error']['code']}: {document['error']['message']}"))
        if document["error"]["hint"]:
            print(_clean(f"  → {document['error']['hint']}"))


def _place(item: Mapping[str, Any]) -> str:
    where = item["sources"][0] if item["sources"] else "?"
    pages = item["pages"]
    if pages:
        where += f", page {pages[0]}" if len(pages) == 1 else f", pages {pages[0]}–{pages[-1]}"
    if item["time_range"]:
        where += f", {item['time_range'][0]:.0f}–{item['time_range'][1]:.0f} s"
    return where


def _part(box: Mapping[str, float]) -> str:
    """Where a part of a picture is, by the third that its middle lies in: `upper left`, `right`, `middle`."""
    x, y = (box["x0"] + box["x1"]) / 2, (box["y0"] + box["y1"]) / 2
    names = (("upper", "", "lower")[min(2, int(3 * y))], ("left", "", "right")[min(2, int(3 * x))])
    return " ".join(name for name in names if name) or "middle"


def _plural(count: int, noun: str) -> str:
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"


def _excerpt(text: str) -> str:
    flat = " ".join(text.split())
    return flat if len(flat) <= _EXCERPT else flat[: _EXCERPT - 1] + "…"


def _clean(text: str, keep_lines: bool = False) -> str:
    return "".join(c if c.isprintable() or (keep_lines and c in "\n\t") else "�" for c in text)


@contextlib.contextmanager
def progress() -> Iterator[None]:
    """Show the run's progress on stderr: bars where it is a terminal, a line now and then where it is not."""
    if sys.stderr.isatty():
        with _bars():
            yield
    else:
        with listening(_Lines()):
            yield


@contextlib.contextmanager
def lines(shown: bool) -> Iterator[None]:
    """Say on stderr now and then how far a command is, unless a person sees its rows as they come (`shown`)."""
    with contextlib.nullcontext() if shown and sys.stdout.isatty() else listening(_Lines()):
        yield


class _Lines:
    """A line at each phase, and at most every few seconds while documents finish."""

    def __init__(self) -> None:
        self._done: dict[str, int] = {}  # by stage, in the order in which they were planned
        self._planned: Counter[str] = Counter()
        self._scanned = 0
        self._last = time.monotonic()
        self._lock = threading.Lock()

    def __call__(self, event: Event) -> None:
        with self._lock:
            if event.kind == "phase":
                note(f"bindery: {event.label}")
                self._last = time.monotonic()
            elif event.kind == "note":
                note(event.label)
            elif event.kind == "planned":
                self._planned[event.stage] += event.amount
                self._done.setdefault(event.stage, 0)
            elif event.kind == "scanned":
                self._scanned += 1
            elif event.kind in ("done", "failed"):
                self._done[event.stage] = self._done.get(event.stage, 0) + event.amount
            if time.monotonic() - self._last > _PLAIN_SECONDS:
                self._last = time.monotonic()
                if self._planned:
                    stages = (f"{stage} {count} of {self._planned[stage]}" for stage, count in self._done.items())
                    note(f"bindery: {', '.join(stages)}")
                elif self._scanned:
                    note(f"bindery: {self._scanned} sources")


@contextlib.contextmanager
def _bars() -> Iterator[None]:
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TextColumn, TimeRemainingColumn
    from rich.progress import Task as RichTask

    class Rate(TextColumn):
        def render(self, task: RichTask) -> Any:
            from rich.text import Text

            return Text(f"{task.speed:.1f}/s" if task.speed else "", style="dim")

    bars = Progress(
        SpinnerColumn(),
        TextColumn("{task.description:<10}"),
        BarColumn(),
        MofNCompleteColumn(),
        Rate(""),
        TimeRemainingColumn(),
        TextColumn("[dim]{task.fields[note]}"),
        console=Console(stderr=True),
        transient=True,
    )
    names: dict[str, Any] = {}
    phase = bars.add_task("starting", total=None, note="")

    def show(event: Event) -> None:
        if event.kind == "phase":
            bars.update(phase, description=event.label)
        elif event.kind == "note":
            bars.console.print(_clean(event.label), markup=False, highlight=False)
        elif event.kind == "scanned":
            bars.advance(phase)
        elif event.kind == "planned" and event.stage in names:
            bars.update(names[event.stage], total=(bars.tasks[names[event.stage]].total or 0) + event.amount)
        elif event.kind == "planned" and event.amount:
            names[event.stage] = bars.add_task(event.stage, total=event.amount, note="")
        elif event.kind in ("done", "failed") and event.stage in names:
            bars.advance(names[event.stage], event.amount)
        elif event.kind == "pages" and event.stage in names:
            pages = bars.tasks[names[event.stage]].fields.get("pages", 0) + event.amount
            bars.update(names[event.stage], pages=pages, note=f"{pages} pages")

    with bars, listening(show):
        yield
