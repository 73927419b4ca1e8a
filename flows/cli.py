"""The `bindery` command: parses, calls a flow or a task, prints.

stdout carries only the answer, or with `--json` one JSON object with `schema_version`; everything else goes to stderr.
Exit codes: 0 done, 1 fatal, 2 usage, 3 done with documents in quarantine, 4 documents left for the next run (the budget
is reached, or a batch still at work), 5 lake busy, 6 requirement of `evaluate` not met.
Heavy libraries are imported by the command that needs them: `status` answers in a fraction of a second.
"""

from __future__ import annotations

import os
import signal
import sys
import time
from importlib import metadata
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Annotated, Any, Literal

from cyclopts import App, CycloptsError, Parameter

from flows import terminal
from flows.search_options import Json, Lake, Selection, Terms, lake_uri, retrieve_selected
from tasks.errors import BinderyError, UsageError

if TYPE_CHECKING:
    from tasks.report.run import RunReport

QUARANTINED = 3
BUDGET_REACHED = 4
INTERRUPTED = 130
_DEBUG = bool(os.environ.get("BINDERY_DEBUG"))

Profile = Literal["local", "openai"]


_ALL, _NONE = Selection(), Terms()

app = App(
    name="bindery",
    help="Turn folders of mixed documents into a searchable, citable index, and ask it questions.",
    version=lambda: f"bindery {metadata.version('bindery')}",
    help_epilogue="Start with:  bindery ingest FOLDER  and then  bindery ask 'a question'",
    result_action="return_value",
    suppress_keyboard_interrupt=False,  # `run` says what an interrupted run has kept
)
quarantine_app = App(name="quarantine", help="Documents that could not be processed: list them, or try them again.")
app.command(quarantine_app)
# Loaded when they are asked for.
app.command("flows.classify_cli:classify", name="classify", help="Say which of several labels fits a file.")
app.command("flows.cost_cli:cost", name="cost", help="What an ingest would pay to models, or what was paid so far.")
app.command("flows.evaluate_cli:evaluate", name="evaluate", help="Measure how well retrieval finds known pages.")
app.command("flows.inspect_cli:inspect", name="inspect", help="Show what is found in one document, page by page.")
app.command("flows.models_cli:models_app", name="models", help="What models are installed, and getting what is not.")


@app.command
def ingest(
    *sources: str,
    lake: Lake = None,
    profile: Annotated[
        Profile | None, Parameter(help="local needs no key, server or download; openai: summaries by a model.")
    ] = None,
    dry_run: Annotated[bool, Parameter(negative=(), help="Print the plan and stop; nothing is changed.")] = False,
    checksum: Annotated[bool, Parameter(negative=(), help="Read every file; do not trust size and time.")] = False,
    restage: Annotated[bool, Parameter(negative=(), help="Redo documents whose settings or software changed.")] = False,
    prune: Annotated[bool, Parameter(help="Remove sources that are gone from below SOURCE.")] = True,
    allow_mass_delete: Annotated[bool, Parameter(negative=(), help="Allow removing over 20% of a root.")] = False,
    space: Annotated[
        list[str] | None,
        Parameter(
            negative=(),
            help="Embed in these spaces only: minilm, imagebind, endpoint:MODEL, path:FOLDER. [default: all whose "
            "models are installed]",
        ),
    ] = None,
    max_spend: Annotated[float | None, Parameter(help="Dollars that calls of models by this run may cost.")] = None,
    max_tokens: Annotated[int | None, Parameter(help="Tokens that calls of models by this run may take.")] = None,
    lane: Annotated[
        Literal["live", "batch"], Parameter(help="batch: ask through the Batch API, at half the price, within a day.")
    ] = "live",
    json: Json = False,
    changed_only: Annotated[bool, Parameter(negative=(), help="With --json: leave out what did not change.")] = False,
) -> int:
    """Bring the index up to date with files and folders, and publish a release.

    Only what changed is worked on; a run that was killed goes on where it stopped.

    Parameters
    ----------
    sources
        Files and folders. What was published from below them and is no longer there is removed.
    """
    if not sources:
        raise UsageError("no SOURCE given", "bindery ingest FOLDER")
    from tasks.report.run import plan_lines, preview_report

    if dry_run:
        from tasks import ingest as run
        from tasks.report.spend import caps

        started = time.monotonic()
        caps(max_spend, max_tokens)  # a preview spends nothing, and says all the same what no run would take
        options = run.plan_options(checksum, restage, prune, allow_mass_delete, None)
        with terminal.progress():
            plan, release = run.preview(sources, options, lake=lake, profile=profile, spaces=space, lane=lane)
        report = preview_report(plan, release, time.monotonic() - started)
        if json:
            terminal.print_json(_ingest_json(report, changed_only))
        else:
            print("\n".join(plan_lines(plan)))
        return 0
    report = _run_ingest(
        list(sources), lake=lake, profile=profile, checksum=checksum, restage=restage, prune=prune,
        allow_mass_delete=allow_mass_delete, spaces=space, max_spend=max_spend, max_tokens=max_tokens,
        lane=lane,
    )  # fmt: skip
    if json:
        terminal.print_json(_ingest_json(report, changed_only))
    else:
        terminal.print_run(report)
    return _exit_code(report)


def _run_ingest(sources: list[str], **options: Any) -> RunReport:
    """Fail on what can be known before a server is started, then run the flow in this process."""
    from tasks.ingest import preflight

    given = ("lake", "profile", "spaces", "max_spend", "max_tokens", "lane")
    preflight(sources, **{name: options[name] for name in given if name in options})
    # What goes wrong is raised and told once, by `run`; Prefect would also log it with a trace.
    os.environ.setdefault("PREFECT_LOGGING_LEVEL", "INFO" if _DEBUG else "CRITICAL")
    with terminal.progress():
        from flows.ingest import ingest as flow
        from flows.server import start_embedded_server

        start_embedded_server()
        report: RunReport = flow(sources, **options)
    return report


@app.command
def search(query: str | None = None, *, terms: Terms = _NONE, selection: Selection = _ALL, json: Json = False) -> int:
    """Find the chunks of the corpus that match a query, best first.

    A query is words, files, or a weighted sum of both: bindery search "tide gauge" --image buoy.jpg --minus 0.5*radar.
    Files and weights need a lake with the space imagebind.

    Parameters
    ----------
    query
        Words, in English or Chinese.
    """
    result = retrieve_selected(query or "", terms, selection)
    if json:
        terminal.print_json(result.to_json())
    else:
        terminal.print_hits(result)
    return 0


@app.command
def ask(
    question: str,
    *,
    terms: Terms = _NONE,
    selection: Selection = _ALL,
    json: Json = False,
    html: Annotated[Path | None, Parameter(help="Also write the answer as a page with its evidence.")] = None,
) -> int:
    """Answer a question from the corpus, with citations; says so when the corpus does not hold the answer.

    Evidence is looked for by the words of the question, in spaces of text, and by the files and terms that are given.

    Parameters
    ----------
    question
        A question, in English or Chinese.
    """
    from tasks.synthesize import synthesize

    if html is not None and (html.is_dir() or not html.parent.is_dir()):
        raise UsageError(f"--html {html} is not the name of a file in a folder that exists")
    if not question.strip():
        raise UsageError("the question is empty", "bindery ask 'a question'")
    result = retrieve_selected(question, terms, selection, asks=True)
    answer = synthesize(question, result)
    if html is not None:
        from tasks.lake import open_lake
        from tasks.report.answer import render_answer

        html.write_text(render_answer(open_lake(lake_uri(selection.lake)), answer, result), encoding="utf-8")
        terminal.note(f"wrote {html}")
    if json:
        terminal.print_json(answer.to_json())
    else:
        terminal.print_answer(answer)
    return 0


@app.command
def status(
    *,
    document: Annotated[
        str | None, Parameter(help="What became of one document: its source, a glob, or its doc_id.")
    ] = None,
    lake: Lake = None,
    json: Json = False,
) -> int:
    """What the lake holds, what is in quarantine, and how the last run ended."""
    from tasks.status import document_status, lake_status

    if document is not None:
        documents = document_status(lake_uri(lake), document)
        if json:
            terminal.print_json({"documents": documents})
        else:
            terminal.print_documents(documents)
        return 0
    found = lake_status(lake_uri(lake))
    if json:
        terminal.print_json(found)
    else:
        terminal.print_status(found)
    return 0


@quarantine_app.command(name="list")
def quarantine_list(*, lake: Lake = None, json: Json = False) -> int:
    """Documents in quarantine: stage, error, attempts, and what to do."""
    from tasks.status import quarantine_status

    found = quarantine_status(lake_uri(lake))
    if json:
        terminal.print_json({"documents": found})
    else:
        terminal.print_quarantine(found)
    return 0


@quarantine_app.command(name="retry")
def quarantine_retry(*sources: str, lake: Lake = None, json: Json = False) -> int:
    """Try documents in quarantine again: those of the given sources, or all of them.

    Parameters
    ----------
    sources
        Sources as `bindery quarantine list` names them; globs work.
    """
    from tasks.status import release_known_failures

    roots, files = release_known_failures(lake_uri(lake), list(sources))
    if not files:
        terminal.note("nothing in quarantine matches")
        if json:
            terminal.print_json({"run": None, "sources": []})
        return 0
    report = _run_ingest(roots, lake=lake, only=files)
    if json:
        terminal.print_json(_ingest_json(report, changed_only=True))
    else:
        terminal.print_run(report)
    return _exit_code(report)


def _exit_code(report: RunReport) -> int:
    if report.left:
        return BUDGET_REACHED
    return QUARANTINED if report.quarantined else 0


def _ingest_json(report: RunReport, changed_only: bool) -> dict[str, Any]:
    found: dict[str, Any] = report.model_dump(mode="json", exclude={"settings", "capabilities"})
    if changed_only:
        found["sources"] = [s for s in found["sources"] if s["status"] not in ("unchanged", "skipped")]
    return found


def main() -> None:
    """Run the command and end the process with its exit code."""
    sys.exit(run(sys.argv[1:]))


def run(arguments: list[str]) -> int:
    """The exit code of a command line."""
    as_json = "--json" in arguments
    signal.signal(signal.SIGTERM, _interrupt)
    try:
        code = app(arguments, exit_on_error=False, print_error=False)
        return code if isinstance(code, int) else 0
    except CycloptsError as error:
        message = " ".join(str(error).split())
        return _fail(UsageError(message, "see: bindery --help"), as_json)
    except BinderyError as error:
        return _fail(error, as_json)
    except KeyboardInterrupt:
        if as_json:
            message, hint = "interrupted", "what is finished is kept; run the command again to go on"
            terminal.print_json({"error": {"code": "interrupted", "message": message, "hint": hint}})
        terminal.note("interrupted; what is finished is kept, run the command again to go on")
        return INTERRUPTED
    except BrokenPipeError:  # the reader of our output is gone: its choice, as with `| head`
        sys.stdout = open(os.devnull, "w")  # noqa: SIM115  # Python flushes it once more at exit
        return 0
    except OSError as error:
        if _DEBUG:
            raise
        where = f" ({error.filename})" if error.filename else ""
        hint = "check space and permissions and run it again; what is finished is kept"
        return _fail(BinderyError(f"{error.strerror or error}{where}", hint, "storage"), as_json)
    except Exception as error:
        if _DEBUG:
            raise
        message = " ".join(f"{type(error).__name__}: {error}".split())
        if "Failed to reach API" in message:
            hint = "start it with `prefect server start`, or unset PREFECT_API_URL to use an embedded one"
            return _fail(BinderyError("Prefect's server at PREFECT_API_URL does not answer", hint, "prefect"), as_json)
        return _fail(BinderyError(message, "BINDERY_DEBUG=1 shows the trace; please report it", "internal"), as_json)


def _interrupt(number: int, frame: FrameType | None) -> None:
    """End as with Ctrl-C when a service manager or `timeout` asks to."""
    raise KeyboardInterrupt


def _fail(error: BinderyError, as_json: bool) -> int:
    if as_json:
        terminal.print_json({"error": {"code": error.code, "message": error.message, "hint": error.hint}})
    terminal.print_error(error)
    return error.exit_code


if __name__ == "__main__":
    main()
