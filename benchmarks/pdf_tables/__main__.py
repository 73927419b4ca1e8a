"""python -m benchmarks.pdf_tables [--each N] [--kinds K ...] [--only ours] [--filings FOLDER]

generated PDFs with known tables → each system in turn → a Markdown table per kind: detection, cells, GriTS, prose
"""

from benchmarks.pdf_tables.run import main

if __name__ == "__main__":
    main()
