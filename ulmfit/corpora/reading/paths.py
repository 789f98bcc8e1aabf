"""The splits and labels that the paths of files in a folder tell."""

from functools import lru_cache
from pathlib import PurePosixPath

SPLIT_NAMES = {
    "train": "train",
    "training": "train",
    "valid": "valid",
    "validation": "valid",
    "val": "valid",
    "dev": "valid",
    "test": "test",
    "unsup": "unlabelled",
    "unlabelled": "unlabelled",
    "unlabeled": "unlabelled",
    "unsupervised": "unlabelled",
}


def split_of(name: str) -> str | None:
    """The split that a path inside a folder tells: by its innermost folder that names one, or else the start of the file's name."""
    path = PurePosixPath(name)
    named = [SPLIT_NAMES[part.lower()] for part in path.parts[:-1] if part.lower() in SPLIT_NAMES]
    if named:
        return named[-1]
    word = path.name.lower()
    for cut in "-_. ":
        word = word.split(cut)[0]
    return SPLIT_NAMES.get(word)


def label_of(name: str) -> tuple[str | None, str | None]:
    """(split, label) that the folders of a document tell: the innermost that names a split, and the innermost that names none."""
    return _told_by(name.rpartition("/")[0])


@lru_cache(maxsize=1 << 12)
def _told_by(folder: str) -> tuple[str | None, str | None]:
    folders = PurePosixPath(folder).parts
    splits = [SPLIT_NAMES[folder.lower()] for folder in folders if folder.lower() in SPLIT_NAMES]
    labels = [folder for folder in folders if folder.lower() not in SPLIT_NAMES]
    return splits[-1] if splits else None, labels[-1] if labels else None


def outer_folders(name: str) -> list[str]:
    """The folders of a document that are neither splits nor its label, but stand between these."""
    folders = PurePosixPath(name).parts[:-1]
    last = max((place for place, folder in enumerate(folders) if folder.lower() in SPLIT_NAMES), default=-1)
    return list(folders[last + 1 : -1])
