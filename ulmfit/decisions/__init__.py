"""Decisions: what was decided about the versions of a model, by whom and why; and when a model is to be trained again."""
