"""From a source of text to a corpus: scan, decide, assemble."""
