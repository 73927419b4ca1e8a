"""Three things by their names, pictures and sounds, each told from the others by each: ImageBind's own demonstration.

    bindery models add imagebind imagebind_huge.pth      # or: bindery models fetch imagebind
    python data/examples/three_things.py [--models FOLDER]

    names, pictures, sounds ──► ImageBind ──► softmax tables: vision x text, audio x text, vision x audio

A row is a picture or sound, a column what it is compared with; each row sums to 1. Outputs are compared as the model
scales them. The files are drawn and synthesised (data/make_corpus.py): to a trained model they are no typical pictures.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import numpy as np

from tasks import model_files
from tasks.embed.imagebind import installed
from tasks.embed.imagebind.config import HUGE
from tasks.embed.imagebind.probe import classify
from tasks.errors import BinderyError, DocumentError, MissingCapabilityError
from tasks.settings import load_settings

MEDIA = Path(__file__).parent.parent / "corpus" / "media"
THINGS = ("bell", "clock", "siren")


def tables(models: Path) -> dict[str, np.ndarray]:
    """The three tables, (3, 3) each, by what is compared with what."""
    from tasks.embed.imagebind.api import ImageBind

    model = ImageBind.open(models)
    texts = model.embed_texts([f"A {thing}" for thing in THINGS], normalize=False)
    pictures = model.embed_images([MEDIA / f"{thing}.png" for thing in THINGS], normalize=False)
    sounds = model.embed_audio([MEDIA / f"{thing}.wav" for thing in THINGS], normalize=False)
    return {
        "vision x text": classify(pictures, texts, temperature=1),
        "audio x text": classify(sounds, texts, temperature=1),
        "vision x audio": classify(pictures, sounds, temperature=1),
    }


def show(name: str, table: np.ndarray) -> None:
    print(f"\n{name:<16}" + "".join(f"{thing:>10}" for thing in THINGS))
    for thing, row in zip(THINGS, table, strict=True):
        print(f"{thing:<16}" + "".join(f"{share:>10.4f}" for share in row))


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--models", help="folder of installed models; default: as bindery has it")
    models = model_files.root(load_settings(models=parser.parse_args().models).models)
    try:
        model = installed.require(models)
    except MissingCapabilityError as error:
        print(f"{error.message}; get it with: {error.hint}, or bindery models fetch imagebind", file=sys.stderr)
        return 2
    if model.config != HUGE:
        print(f"{model.source} is a toy with random weights, not the published model: these figures mean nothing.")
    try:
        found = tables(models)
    except (BinderyError, DocumentError) as error:
        print(f"{error.message}: {error.hint}", file=sys.stderr)
        return 1
    for name, table in found.items():
        show(name, table)
    return 0


if __name__ == "__main__":
    sys.exit(main())
