"""`bindery classify`: which label fits a file, of any modality, by words alone or by examples."""

from __future__ import annotations

from typing import Annotated, Literal

from cyclopts import Parameter

from flows import terminal
from tasks.errors import UsageError

NONE, PARTLY = 1, 3
Json = Annotated[bool, Parameter(negative=(), help="Print one JSON object on stdout.")]


def classify(
    *files: str,
    labels: Annotated[str | None, Parameter(help="The labels to choose from, between commas: dog,car,bird.")] = None,
    examples: Annotated[
        str | None,
        Parameter(help="Learn from a folder of files, FOLDER/LABEL/FILE; --labels picks some labels."),
    ] = None,
    prompt: Annotated[str | None, Parameter(help="Text around a label: 'a photo of a {}'. [default: {}]")] = None,
    temperature: Annotated[
        float | None, Parameter(help="How evenly to choose; the model learnt 0.01. [default: 0.01]")
    ] = None,
    modality: Annotated[
        Literal["image", "audio", "video", "depth", "thermal", "imu"] | None,
        Parameter(help="What all files are. [default: by their names, as with `search --plus`]"),
    ] = None,
    json: Json = False,
) -> int:
    """Say for each file how probable each label is. Nothing is ingested, and no lake is needed.

    By words alone (--labels): the softmax of the cosine between file and label in the space imagebind / temperature.
    From examples (--examples): a linear probe on the embeddings.

    Parameters
    ----------
    files
        Pictures, recordings, videos, depth and thermal maps, IMU data. Exit code 3 where some of them cannot be read,
        1 where none can.
    """
    if not files:
        raise UsageError("no FILE given", "bindery classify FILE... --labels dog,car,bird")
    chosen = [label.strip() for label in labels.split(",")] if labels is not None else []
    if not chosen and examples is None:
        raise UsageError("there are no labels to choose from", "--labels dog,car,bird, or --examples FOLDER")
    if examples is not None and (prompt is not None or temperature is not None):
        raise UsageError("--prompt and --temperature are of labels in words; --examples learns without them")
    from tasks import classify as task
    from tasks.embed.spaces import embeds_media, open_space

    known = task.read_examples(examples, chosen) if examples is not None else {}
    space = open_space("imagebind")
    assert embeds_media(space)
    with terminal.lines(shown=not json):
        if examples is not None:
            classifier = task.few_shot(space, known, modality)
        else:
            scale = task.TEMPERATURE if temperature is None else temperature
            classifier = task.zero_shot(space, chosen, task.PROMPT if prompt is None else prompt, scale)
        rows = task.classify(space, files, classifier, modality)
        if json:
            found = list(rows)
            terminal.print_json(classifier.to_json(found))
            for line in classifier.doubts(found):
                terminal.note(line)
        else:
            found = terminal.print_classes(files, classifier, rows)
    failed = sum(file.error is not None for file in found)
    return 0 if not failed else PARTLY if failed < len(found) else NONE
