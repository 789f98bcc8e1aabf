"""Corpora that are known by name: where each is fetched from, and how its files are read."""
