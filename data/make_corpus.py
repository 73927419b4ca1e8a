"""Write the sample corpus: the papers of a company that does not exist, in every format that bindery reads.

    pip install -e '.[corpus]'                # reportlab; the rest comes with bindery
    python data/make_corpus.py [OUT_DIR]      # default: data/corpus; the questions go beside it, to questions.jsonl

    facts ──► one function per file ──► OUT_DIR, questions.jsonl

With the same versions of the libraries, a second run writes the same bytes: dates are fixed, noise is seeded. Another
version of Pillow (JPEG, PNG, font), zlib, reportlab, PyAV or the Office libraries may change bytes, never what a file
says.
"""

import argparse
import json
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path

from corpus_files import annual_report, media, office, recorded, texts
from corpus_files.questions import QUESTIONS

FILES: dict[str, Callable[[], bytes]] = {
    "reports/annual-report-2025.pdf": annual_report.annual_report,
    "reports/shipments-2025.xlsx": office.shipments_workbook,
    "reports/board-memo-2025-q1.txt": texts.board_memo,
    "reports/board-memo-2025-q1.txt.meta.json": texts.board_memo_sidecar,
    "sales/harborview-roadmap.pptx": office.roadmap_slides,
    "sales/TG-400-产品说明.md": texts.chinese_product_page,
    "support/tg-400-handbook.docx": office.handbook,
    "support/hl-9-error-codes.html": texts.support_page,
    "support/harborview-runbook.md": texts.runbook,
    "network/stations.csv": texts.station_list,
    "mail/order-po-7718.eml": texts.order_mail,
    "media/caution-sign.jpg": media.warning_sign,
    "media/harborview-dashboard.png": media.dashboard,
    "media/surge-alarm.wav": media.surge_alarm,
    "media/siren.png": recorded.siren_picture,
    "media/siren.wav": recorded.siren_sound,
    "media/bell.png": recorded.bell_picture,
    "media/bell.wav": recorded.bell_sound,
    "media/clock.png": recorded.clock_picture,
    "media/clock.wav": recorded.clock_sound,
    "media/mooring-buoy.mp4": recorded.buoy_video,
    "media/mooring-buoy.imu.csv": recorded.buoy_motion,
    "media/quay.depth.png": recorded.quay_depth,
    "media/pump-motor.thermal.png": recorded.motor_thermal,
}


def make_corpus(folder: Path) -> None:
    for name, content in FILES.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content())


def write_questions(path: Path) -> None:
    unknown = {source for question in QUESTIONS for source in question.sources} - FILES.keys()
    if unknown:
        raise ValueError(f"questions.py cites files that the corpus lacks: {sorted(unknown)}; add them to FILES")
    lines = [json.dumps(asdict(question), ensure_ascii=False) for question in QUESTIONS]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")


def main() -> None:
    parser = argparse.ArgumentParser(description="Write the sample corpus and its questions.")
    parser.add_argument("out_dir", nargs="?", type=Path, default=Path(__file__).parent / "corpus")
    folder: Path = parser.parse_args().out_dir
    make_corpus(folder)
    write_questions(folder.parent / "questions.jsonl")
    print(f"wrote {len(FILES)} files to {folder} and {len(QUESTIONS)} questions beside it")


if __name__ == "__main__":
    main()
