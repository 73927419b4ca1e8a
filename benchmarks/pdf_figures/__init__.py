"""Figures in PDFs: generated pages whose figures are known exactly, and the decks in a folder of real ones."""
