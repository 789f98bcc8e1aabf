"""How good the text of a corpus is: measured on workers, summed up in ``quality.json``, held against thresholds."""
