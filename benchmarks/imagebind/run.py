"""One run: for each tower, made on the device, model only by batch size, from files, agreement; then the report."""

from __future__ import annotations

import argparse
import dataclasses
import datetime
import gc
import json
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

import psutil
import torch

from benchmarks import machine
from benchmarks.imagebind import compiled, from_files, model_only
from benchmarks.imagebind.measure import Clock, roofline
from benchmarks.imagebind.model_only import KINDS, Kind
from benchmarks.imagebind.report import Report
from benchmarks.imagebind.towers import MODELS, Towers, make_towers
from tasks.embed.imagebind.config import tower_of
from tasks.embed.imagebind.lane import find_device, find_dtype
from tasks.rows import Modality

_ON_CPU: tuple[Modality, ...] = ("text", "image", "audio")
_ON_GPU: tuple[Modality, ...] = ("text", "image", "audio", "video", "depth", "thermal", "imu")
_SECONDS = 400.0  # of measuring; making the weights comes on top
# The share of the time that modalities get: those that are also measured from files, and others.
_WEIGHTS = {"image": 4.0, "text": 2.0, "audio": 2.0}
_COMPILING = 40.0  # seconds that have to be left for it


def main(arguments: Sequence[str] | None = None) -> None:
    options = _parser().parse_args(arguments)
    device = find_device(options.device)
    modalities: Sequence[Modality] = options.modalities or (_ON_GPU if device.type == "cuda" else _ON_CPU)
    clock, others = Clock(options.seconds), _others_cpu_seconds()
    run = Run(options, clock, _report(options, device))
    weights = sum(_WEIGHTS.get(modality, 1.0) for modality in modalities)
    for name in dict.fromkeys(tower_of(modality) for modality in modalities):
        # before each tower, and the best of them: on a machine that others use one alone can be far too low
        run.report.roofline = max(run.report.roofline, roofline(device, find_dtype(options.precision, device)))
        _say(f"making the {name} tower")
        towers = make_towers(MODELS[options.model], name, device, options.precision)
        kinds = [kind for kind in KINDS if kind.tower == name and kind.modality in modalities]
        for kind in kinds:
            share = options.seconds * _WEIGHTS.get(kind.modality, 1.0) / weights
            run.measure(kind, towers, share / sum(other.modality == kind.modality for other in kinds))
        del towers
        gc.collect()
        if device.type == "cuda":
            torch.cuda.empty_cache()
    run.report.seconds, run.report.others_cpu_seconds = clock.spent, max(0.0, _others_cpu_seconds() - others)
    print(run.report.markdown())
    if options.json:
        Path(options.json).write_text(json.dumps(run.report.to_json(), indent=1), encoding="utf-8")


@dataclasses.dataclass(frozen=True, slots=True)
class Run:
    """What all measurements of one run share."""

    options: argparse.Namespace
    clock: Clock
    report: Report

    def measure(self, kind: Kind, towers: Towers, seconds: float) -> None:
        """Everything about one kind of item, in about so long."""
        _say(f"{kind.modality}, {kind.label}: {self.clock.left:.0f} s left")
        self.report.parity.append(model_only.parity(kind, towers))
        cases = model_only.measure(kind, towers, self.clock, seconds * 0.55)
        self.report.model_only += cases
        for batch in kind.batches(towers.device)[len(cases) :]:
            self.report.left_out.append(f"{kind.modality}, {kind.label}, batch {batch} (no time)")
        if kind.modality in _WEIGHTS and kind.label != model_only.FULL:
            self._from_files(kind, towers, seconds * 0.4)
            if towers.device.type == "cuda":
                self._compiled(kind, towers)

    def _from_files(self, kind: Kind, towers: Towers, seconds: float) -> None:
        lacking = from_files.missing(kind.modality)
        if lacking or self.clock.left < seconds / 2:
            reason = f"{lacking} is not installed" if lacking else "no time"
            self.report.left_out.append(f"{kind.modality} from files ({reason})")
        elif kind.modality == "text":
            self.report.from_files.append(from_files.texts(towers, seconds / 2))
            self.report.from_files.append(from_files.texts(towers, seconds / 2, copies=4))
        else:
            with tempfile.TemporaryDirectory() as folder:
                case = from_files.media(kind.modality, towers, Path(folder), self.options.decoders, seconds)
            self.report.from_files.append(case)

    def _compiled(self, kind: Kind, towers: Towers) -> None:
        if self.clock.left < _COMPILING:
            self.report.left_out.append(f"{kind.modality} with torch.compile (no time)")
            return
        try:
            self.report.compiled.append(compiled.measure(kind, towers))
        except Exception as error:  # noqa: BLE001  a machine that lacks what it needs has the other figures
            self.report.left_out.append(f"{kind.modality} with torch.compile ({type(error).__name__})")


def _report(options: argparse.Namespace, device: torch.device) -> Report:
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else f"{machine.cores()} CPU cores"
    threads = f"{torch.get_num_threads()} threads of torch"
    return Report(
        date=datetime.date.today().isoformat(),
        device=name,
        machine=f"{machine.describe()}, {threads}",
        torch=torch.__version__,
        model=options.model,
        precision=str(find_dtype(options.precision, device)).removeprefix("torch."),
        on_gpu=device.type == "cuda",
    )


def _others_cpu_seconds() -> float:
    """What processes other than this one and its children have used."""
    own = psutil.Process().cpu_times()
    return machine.busy_seconds() - float(sum(own[:4]))


def _say(text: str) -> None:
    print(f"… {text}", file=sys.stderr, flush=True)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.imagebind", description=__doc__)
    parser.add_argument("--device", default="auto", help="auto, cpu, cuda, cuda:1")
    parser.add_argument("--precision", default="auto", help="auto, float32, bfloat16")
    parser.add_argument("--model", default="huge", choices=sorted(MODELS))
    parser.add_argument("--modalities", nargs="+", choices=_ON_GPU)
    parser.add_argument("--decoders", type=int, default=machine.cores(), help="decoding processes")
    parser.add_argument("--seconds", type=float, default=_SECONDS, help="about how long to measure")
    parser.add_argument("--json", help="a file for all figures")
    return parser
