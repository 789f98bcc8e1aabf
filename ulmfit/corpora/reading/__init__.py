"""Rows out of files: formats, compression, archives."""
