"""The splits of a corpus, their numbers, and which of them judges the others."""

SPLITS = ("train", "valid", "test", "unlabelled")
TRAIN, VALID, TEST, UNLABELLED = range(len(SPLITS))
DROPPED = -1  # in place of a split: the document is left out
JUDGES = (TEST, VALID, TRAIN, UNLABELLED)  # documents of a split are removed from those behind it


def judge_of(pair: str) -> str:
    """The split of ``train/test`` and the like whose documents are removed from the other."""
    return min(pair.split("/"), key=lambda split: JUDGES.index(SPLITS.index(split)))
