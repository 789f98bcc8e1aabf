"""Classifiers of words, to stand beside ours on the same rows."""
