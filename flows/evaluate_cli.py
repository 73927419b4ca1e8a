"""`bindery evaluate`: how well a release answers to questions whose pages are known."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from flows import terminal
from flows.search_options import Json, Lake, lake_uri
from tasks.errors import UsageError

GATE = 6


def evaluate(
    *questions: str,
    lake: Lake = None,
    release: Annotated[int | None, Parameter(help="Number of the release. [default: the current one]")] = None,
    space: Annotated[list[str] | None, Parameter(negative=(), help="Only these embedding spaces.")] = None,
    require: Annotated[
        list[str] | None, Parameter(negative=(), help="MEASURE=NUMBER to reach, such as hit@5=0.8; else exit code 6.")
    ] = None,
    against: Annotated[
        Path | None, Parameter(help="An earlier --json output: also print paired differences from it.")
    ] = None,
    json: Json = False,
) -> int:
    """Ask questions whose pages are known, and measure how well retrieval finds them; no model answers them.

    Prints hit@k (is a gold page among the first k pages?), recall@k, MRR and nDCG with 95 % intervals, of all questions
    and of each group, by page and by document.

    Parameters
    ----------
    questions
        Files of JSON lines: {"question": "...", "doc": "report.pdf", "pages": [4], "groups": ["Table"]}
    """
    if not questions:
        raise UsageError("no FILE of questions given", "bindery evaluate QUESTIONS.jsonl")
    from tasks.evaluate import evaluation as results
    from tasks.evaluate.questions import read_questions
    from tasks.evaluate.run import evaluate as run
    from tasks.lake import current_release, open_lake, read_release

    requirements = results.required(require or ())
    asked = read_questions(questions)
    before = results.read(against) if against is not None else None
    opened = open_lake(lake_uri(lake))
    chosen = current_release(opened.storage) if release is None else read_release(opened.storage, release)
    with terminal.progress():
        found = run(opened, asked, chosen, tuple(space or ()))
    changes = results.differences(before, found) if before is not None else ()
    below = results.below(found, requirements)
    if json:
        terminal.print_json(
            {
                **found.model_dump(mode="json"),
                "differences": [change.model_dump(mode="json") for change in changes],
                "below": [measure.name for measure in below],
            }
        )
    else:
        terminal.print_evaluation(found, changes)
    for name in found.missing:
        terminal.note(f"the release does not hold {name}: questions about it count as not found")
    for measure in below:
        terminal.note(f"bindery: {measure.name} is {measure.value:.3f}, which is less than required")
    return GATE if below else 0
