"""What was measured as Markdown that can be committed as it is."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

from benchmarks.imagebind.compiled import Compiled
from benchmarks.imagebind.measure import Case
from benchmarks.imagebind.model_only import SHORT, Parity

H200_TFLOPS = 790.0  # measured once on such a card with random values; the targets are shares of it


@dataclasses.dataclass(slots=True)
class Report:
    """All figures of one run."""

    date: str
    device: str
    machine: str
    torch: str
    model: str
    precision: str
    on_gpu: bool
    roofline: float = 0.0
    seconds: float = 0.0
    others_cpu_seconds: float = 0.0
    model_only: list[Case] = dataclasses.field(default_factory=list)
    from_files: list[Case] = dataclasses.field(default_factory=list)
    parity: list[Parity] = dataclasses.field(default_factory=list)
    compiled: list[Compiled] = dataclasses.field(default_factory=list)
    left_out: list[str] = dataclasses.field(default_factory=list)

    def to_json(self) -> dict[str, Any]:
        return dataclasses.asdict(self)

    def markdown(self) -> str:
        lines = [
            f"# ImageBind ({self.model}, random weights): {self.device}, {self.date}",
            "",
            f"- {self.machine}",
            f"- torch {self.torch}; ours in {self.precision}, the plain way in float32",
            f"- a large matrix product in {self.precision}: {self.roofline / 1e12:.2f} TFLOP/s, the roofline below",
            f"- {self.seconds:.0f} s in all; other processes used {self.others_cpu_seconds:.0f} s of the processors "
            "meanwhile: where that is much, trust the ratios more than the rates",
            "",
            "## Model only: prepared inputs in memory, vectors back in memory",
            "",
            "TFLOP/s are those of whole towers, by formula; ours computes of the last block only what leaves it.",
            "",
            *self._cases(self.model_only, not self.on_gpu),
        ]
        if self.from_files:
            lines += ["", "## From files and strings", "", *self._cases(self.from_files, False)]
        if self.compiled:
            lines += ["", "## With torch.compile", "", *self._compilations()]
        if self.parity:
            lines += ["", "## Agreement with the plain way in float32", "", *self._parities()]
        lines += ["", "## Targets", "", *self._targets()]
        if self.left_out:
            lines += ["", "Not measured: " + "; ".join(self.left_out) + "."]
        return "\n".join(lines) + "\n"

    def _cases(self, cases: Sequence[Case], cpu_time: bool) -> list[str]:
        header = ["modality", "items", "batch", "ours /s", "ms each", "plain /s", "ratio"]
        header += ["ratio of CPU time"] if cpu_time else []
        header += ["peak MB ours", "plain", "TFLOP/s", "of roofline"]
        rows = []
        for case in cases:
            row = [
                case.modality,
                case.kind,
                str(case.batch),
                _digits(case.ours.rate),
                _digits(case.ours.per_item * 1e3),
            ]
            row += [_digits(case.plain.rate) if case.plain else "–", _times(case.ratio)]
            row += [_times(case.cpu_ratio)] if cpu_time else []
            row += [f"{case.ours.peak_mb:.0f}", f"{case.plain.peak_mb:.0f}" if case.plain else "–"]
            speed = case.flop * case.ours.rate
            row += [_digits(speed / 1e12), f"{speed / self.roofline:.0%}" if self.roofline else "–"]
            rows.append(row)
        return _table(header, rows)

    def _compilations(self) -> list[str]:
        header = ["modality", "items", "batch", "without /s", "with /s", "gain", "of roofline", "first call, s"]
        rows = [
            [
                found.modality,
                found.kind,
                str(found.batch),
                _digits(found.plain_rate),
                _digits(found.compiled_rate),
                f"{found.compiled_rate / found.plain_rate - 1:+.0%}",
                f"{found.flop * found.compiled_rate / self.roofline:.0%}",
                f"{found.first_seconds:.0f}",
            ]
            for found in self.compiled
        ]
        return _table(header, rows)

    def _parities(self) -> list[str]:
        rows = [[p.modality, p.kind, p.precision, str(p.items), f"{p.one_minus_cosine:.1e}"] for p in self.parity]
        return _table(["modality", "items", "precision", "number", "largest 1 − cosine"], rows)

    def _targets(self) -> list[str]:
        found = self._gpu_targets() if self.on_gpu else self._cpu_targets()
        rows = [[what, value, "yes" if met else "NO"] for what, value, met in found]
        return _table(["target", "measured", "met"], rows)

    def _cpu_targets(self) -> list[tuple[str, str, bool]]:
        found = []
        for modality, kind, least in (("text", SHORT, 3.0), ("image", "224 × 224", 1.0)):
            cases = [case for case in self.model_only if (case.modality, case.kind) == (modality, kind)]
            for case in cases[-1:]:  # the largest batch
                if case.ratio is not None:
                    name = f"{modality} {kind}, batch {case.batch}: ≥ {least:.1f} × plain"
                    found.append((name, _times(case.ratio), case.ratio >= least))
        return found

    def _gpu_targets(self) -> list[tuple[str, str, bool]]:
        found: list[tuple[str, str, bool]] = []
        image, text = self._best("image", "224 × 224"), self._best("text", SHORT)
        audio = self._best("audio", "2 s clip")
        if image:
            rate, case = image
            found.append(("images ≥ 1,770 /s", _digits(rate), rate >= 1770))
            share = rate * case.flop / (H200_TFLOPS * 1e12)
            found.append((f"images ≥ 75% of {H200_TFLOPS:.0f} TFLOP/s", f"{share:.0%}", share >= 0.75))
            if case.plain:
                times = rate / case.plain.rate
                found.append(("images ≥ 10 × plain", _times(times), times >= 10))
            for files in self.from_files:
                if files.modality == "image":
                    share = files.ours.rate / case.ours.rate
                    found.append(("images from JPEG ≥ 80% of model only", f"{share:.0%}", share >= 0.8))
        if text:
            found.append(("texts of ≤ 20 tokens ≥ 30,000 /s", _digits(text[0]), text[0] >= 30_000))
        if audio:
            share = audio[0] * audio[1].flop / self.roofline
            found.append(("audio ≥ 70% of the roofline", f"{share:.0%}", share >= 0.7))
        if self.parity:
            worst = max(p.one_minus_cosine for p in self.parity)
            found.append(("1 − cosine ≤ 1e-4", f"{worst:.1e}", worst <= 1e-4))
        return found

    def _best(self, modality: str, kind: str) -> tuple[float, Case] | None:
        """The highest rate, compiled or not, and the case that is beside it."""
        cases = [case for case in self.model_only if (case.modality, case.kind) == (modality, kind)]
        if not cases:
            return None
        case = max(cases, key=lambda case: case.ours.rate)
        compiled = [c.compiled_rate for c in self.compiled if (c.modality, c.kind) == (modality, kind)]
        return max([case.ours.rate, *compiled]), case


def _table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    def line(cells: Sequence[str]) -> str:
        return "| " + " | ".join(cells) + " |"

    return [line(header), line(["---"] * len(header)), *map(line, rows)]


def _digits(value: float) -> str:
    """Three that count."""
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


def _times(value: float | None) -> str:
    return "–" if value is None else f"{value:.2f} ×"
