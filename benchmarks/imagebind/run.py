"""One run: for each tower, made on the device, model only by batch size, from files, agreement; then the report."""

from __future__ import annotations

import argparse
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
from benchmarks.imagebind.towers import MODELS, make_pair
from tasks.embed.imagebind.config import tower_of
from tasks.embed.imagebind.lane import find_device, find_dtype

_ON_CPU, _ON_GPU = ("text", "image", "audio"), ("text", "image", "audio", "video", "depth", "thermal", "imu")
_SECONDS = 400.0  # of measuring; making the weights comes on top
# The share of the time that a modality gets for the model alone, its files, and compiling.
_WEIGHTS = {"image": 4.0, "text": 2.0, "audio": 2.0}


def main(arguments: Sequence[str] | None = None) -> None:
    options = _parser().parse_args(arguments)
    device = find_device(options.device)
    dtype = find_dtype(options.precision, device)
    modalities = options.modalities or (_ON_GPU if device.type == "cuda" else _ON_CPU)
    model = MODELS[options.model]
    report = _report(options.model, device, dtype)
    clock, others = Clock(options.seconds), _others_cpu_seconds()
    report.roofline = roofline(device, dtype)
    weights = sum(_WEIGHTS.get(modality, 1.0) for modality in modalities)
    for name in dict.fromkeys(tower_of(modality) for modality in modalities):
        _say(f"making the {name} tower")
        pair = make_pair(model, name, device, dtype)
        kinds = [kind for kind in KINDS if kind.tower == name and kind.modality in modalities]
        for kind in kinds:
            share = options.seconds * _WEIGHTS.get(kind.modality, 1.0) / weights
            share /= sum(other.modality == kind.modality for other in kinds)
            _kind(report, kind, model, pair, device, options, clock, share)
        del pair
        gc.collect()
        if device.type == "cuda":
            torch.cuda.empty_cache()
    report.seconds, report.others_cpu_seconds = clock.spent, _others_cpu_seconds() - others
    print(report.markdown())
    if options.json:
        Path(options.json).write_text(json.dumps(report.to_json(), indent=1), encoding="utf-8")


def _kind(
    report: Report,
    kind: Kind,
    model: model_only.ModelConfig,
    pair: model_only.Pair,
    device: torch.device,
    options: argparse.Namespace,
    clock: Clock,
    seconds: float,
) -> None:
    """Everything about one kind of item, in about so long."""
    _say(f"{kind.modality}, {kind.label}: {clock.left:.0f} s left")
    precision, gpu = options.precision, device.type == "cuda"
    report.parity.append(model_only.parity(kind, model, pair, device, precision))
    cases = model_only.measure(kind, model, pair, device, precision, clock, seconds * 0.55)
    report.model_only += cases
    done = {case.batch for case in cases}
    report.left_out += [
        f"{kind.modality}, {kind.label}, batch {batch} (no time left)"
        for batch in kind.batches(device)
        if batch not in done
    ]
    if kind.modality in ("text", "image", "audio") and kind.label != model_only.FULL:
        _from_files(report, kind, model, pair, device, options, clock, seconds * 0.4)
        if gpu and clock.left > 30:
            try:
                flop = model_only.flop_of(kind, model, model_only.items_of(kind, 64))
                report.compiled.append(compiled.measure(kind, model, pair, device, precision, flop))
            except Exception as error:  # noqa: BLE001  a machine without what torch.compile needs has the other figures
                report.left_out.append(f"{kind.modality} compiled ({type(error).__name__})")


def _from_files(
    report: Report,
    kind: Kind,
    model: model_only.ModelConfig,
    pair: model_only.Pair,
    device: torch.device,
    options: argparse.Namespace,
    clock: Clock,
    seconds: float,
) -> None:
    lacking = from_files.missing(kind.modality)
    if lacking or clock.left < seconds / 2:
        report.left_out.append(
            f"{kind.modality} from files ({lacking + ' is not installed' if lacking else 'no time'})"
        )
        return
    precision = options.precision
    if kind.modality == "text":
        report.from_files.append(from_files.texts(model, pair, device, precision, seconds / 2))
        report.from_files.append(from_files.repeated_texts(model, pair, device, precision, seconds / 2))
        return
    with tempfile.TemporaryDirectory() as folder:
        case = from_files.media(kind.modality, model, pair, device, precision, Path(folder), options.decoders, seconds)
    report.from_files.append(case)


def _report(model: str, device: torch.device, dtype: torch.dtype) -> Report:
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else f"{machine.cores()} CPU cores"
    threads = f"{torch.get_num_threads()} threads of torch"
    return Report(
        date=datetime.date.today().isoformat(),
        device=name,
        machine=f"{machine.describe()}, {threads}",
        torch=torch.__version__,
        model=model,
        precision=str(dtype).removeprefix("torch."),
        on_gpu=device.type == "cuda",
    )


def _others_cpu_seconds() -> float:
    """What processes other than this one and its children have used."""
    own = psutil.Process().cpu_times()
    return machine.busy_seconds() - sum(own[:4])


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
