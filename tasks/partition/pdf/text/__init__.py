"""The text layer of a PDF page: words and spans with boxes, and how they are set."""
