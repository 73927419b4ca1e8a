"""The options that `bindery search` and `bindery ask` share: what to search by, and where; and the search itself."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Annotated, Literal

from cyclopts import Parameter

from flows import terminal
from tasks.errors import UsageError

if TYPE_CHECKING:
    from tasks.retrieve import SearchResult
    from tasks.rows import Modality

Kind = Literal["text", "table", "image", "audio", "video", "depth", "thermal", "imu"]
Lake = Annotated[str | None, Parameter(help="Folder of the lake. [default: data/lake, or BINDERY_LAKE]")]
_FILE = "A file to search by"


@Parameter(name="*")
@dataclasses.dataclass(frozen=True, kw_only=True)
class Selection:
    """Where to search and for what kind of hit: the options that `search` and `ask` share."""

    lake: Lake = None
    k: Annotated[int, Parameter(name=["-k", "--limit"], help="How many hits.")] = 10
    kind: Annotated[list[Kind] | None, Parameter(negative=(), help="Only these kinds of chunk.")] = None
    source: Annotated[list[str] | None, Parameter(negative=(), help="Only sources matching this glob.")] = None
    tag: Annotated[list[str] | None, Parameter(negative=(), help="Only documents with this tag.")] = None
    picture_tag: Annotated[
        list[str] | None, Parameter(negative=(), help="Only pictures that the ingest gave this label: chart, photo.")
    ] = None
    group: Annotated[list[str] | None, Parameter(negative=(), help="Only documents of this access group.")] = None
    page: Annotated[list[int] | None, Parameter(negative=(), help="Only chunks on this page.")] = None
    since: Annotated[str | None, Parameter(help="Only documents dated on or after YYYY-MM-DD.")] = None
    until: Annotated[str | None, Parameter(help="Only documents dated on or before YYYY-MM-DD.")] = None
    space: Annotated[
        list[str] | None, Parameter(negative=(), help="Only these embedding spaces of the lake, beside full text.")
    ] = None


@Parameter(name="*")
@dataclasses.dataclass(frozen=True, kw_only=True)
class Terms:
    """What to search by besides words: options that `search` and `ask` share. Each can be given several times."""

    image: Annotated[list[str] | None, Parameter(negative=(), help=f"{_FILE}: a picture.")] = None
    audio: Annotated[list[str] | None, Parameter(negative=(), help=f"{_FILE}: a recording.")] = None
    video: Annotated[list[str] | None, Parameter(negative=(), help=f"{_FILE}: a video.")] = None
    depth: Annotated[list[str] | None, Parameter(negative=(), help=f"{_FILE}: a depth map (PNG, TIFF, npy).")] = None
    thermal: Annotated[list[str] | None, Parameter(negative=(), help=f"{_FILE}: a thermal picture.")] = None
    imu: Annotated[list[str] | None, Parameter(negative=(), help=f"{_FILE}: motion of six axes (npy, csv).")] = None
    plus: Annotated[
        list[str] | None,
        Parameter(
            negative=(),
            help="Add TERM to the query: [WEIGHT*]WORDS or [WEIGHT*]@FILE, as in '0.5*@gull.wav'. The name of a file "
            "says what it is: NAME.depth.png, NAME.thermal.tif, NAME.imu.csv, or one of the usual extensions.",
        ),
    ] = None
    minus: Annotated[list[str] | None, Parameter(negative=(), help="Take TERM away from the query.")] = None


def lake_uri(lake: str | None) -> str:
    """The lake that is meant: the option's, or that of the settings."""
    from tasks.settings import load_settings

    return load_settings(lake=lake).lake


def retrieve_selected(words: str, terms: Terms, selection: Selection, asks: bool = False) -> SearchResult:
    """Search. A question (`asks`) of words alone is put to the spaces of text, unless the asker chose others."""
    if selection.k < 1:
        raise UsageError("-k must be at least 1")
    from tasks.embed.spaces import Spaces
    from tasks.lake import current_release, open_lake
    from tasks.query import MODALITIES, Query
    from tasks.retrieve import retrieve, text_spaces

    files: dict[Modality, list[str]] = {m: getattr(terms, m) or [] for m in MODALITIES if m != "text"}
    query = Query.of(words, files, terms.plus or (), terms.minus or ())
    query.check()
    lake = open_lake(lake_uri(selection.lake))
    release = current_release(lake.storage)
    chosen = tuple(selection.space or ())
    with Spaces.for_queries(lake.storage) as spaces:
        result = retrieve(
            lake,
            query,
            k=selection.k,
            kinds=tuple(selection.kind or ()),
            sources=tuple(selection.source or ()),
            tags=tuple(selection.tag or ()),
            picture_tags=tuple(selection.picture_tag or ()),
            groups=tuple(selection.group or ()),
            pages=tuple(selection.page or ()),
            since=selection.since,
            until=selection.until,
            release=release,
            spaces=chosen or (text_spaces(release, spaces.open) if asks and not query.needs_media_space else ()),
            open_space=spaces.open,
        )
    if not result.hits and (labels := _picture_labels(selection)):
        wanted = " ".join(f"--picture-tag {label}" for label in labels)
        said = f"--tag is of documents; what the ingest found in pictures is asked by: {wanted}"
        result = dataclasses.replace(result, notes=(*result.notes, said))
    for line in result.notes:
        terminal.note(line)
    return result


def _picture_labels(selection: Selection) -> list[str]:
    """Tags that are asked of documents and are labels of pictures."""
    from tasks.settings import load_settings

    return [tag for tag in selection.tag or () if tag in load_settings().tag.labels]
