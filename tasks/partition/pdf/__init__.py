"""PDF pages as elements, by pdfium alone.

`reader` opens a file and goes through its pages; `page` puts one together from what `text`, `tables` and `figures` find
in its `content`: words, drawn rules and shapes, and pictures.
"""
