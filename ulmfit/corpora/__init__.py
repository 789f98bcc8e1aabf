"""Corpora: where text comes from, how it is read, checked, split and written, and how good it is."""
