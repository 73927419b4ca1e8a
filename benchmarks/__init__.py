"""What is measured, one command each; each prints a table with peers side by side (see README.md)."""
