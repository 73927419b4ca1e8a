"""The tables of a PDF page, by geometry alone: found, cut into cells, joined over pages, written out as elements."""
