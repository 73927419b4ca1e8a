#!/bin/sh
# The demo: the sample corpus becomes a searchable index, and three questions are answered with citations:
# from a table in a spreadsheet, in Chinese, and from a page that is only a scan. No key, no server, no model download.
set -eu
cd "$(dirname "$0")/.."
lake=${1:-data/lake}
mkdir -p data/answers

say() { printf '\n\033[1m$ %s\033[0m\n' "$*"; }

say bindery ingest data/corpus --lake "$lake"
bindery ingest data/corpus --lake "$lake"

ask() {
    say bindery ask "'$2'" --lake "$lake" --html "data/answers/$1.html"
    bindery ask "$2" --lake "$lake" --html "data/answers/$1.html"
}
ask table "How many instruments went to East Asia in the second quarter of 2025?"
ask chinese "TG-400雷达验潮仪在中国区的价格是多少?"
ask scan "Which serial number does the instrument of calibration certificate HC-2025-0731 have?"
