"""Ingest, from a source of text to a corpus: scan (read and check), decide (duplicates, splits, samples), assemble (write)."""
