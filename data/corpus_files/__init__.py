"""The files of the sample corpus: one function writes one file, and every number comes from `facts`."""
