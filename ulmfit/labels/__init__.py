"""Labels: as strings in a corpus, as outputs of a classifier, and as a program gives them to ``fit``."""
