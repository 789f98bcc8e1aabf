"""Labels: of a corpus, of a classifier, and as a program gives them."""
