"""The figures of a PDF page, embedded or drawn: found, told from decoration, cut out as pictures."""
