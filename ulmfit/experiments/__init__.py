"""Experiments: methods beside ours, forecasts of learning curves, what to label next, which labels may be wrong. Pure functions."""
