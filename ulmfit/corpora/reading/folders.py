"""Folders of data files: which files are read, and the splits and labels that their paths tell."""

from pathlib import Path, PurePosixPath

from ulmfit.corpora.reading.formats import FORMATS, format_of
from ulmfit.errors import UserError
from ulmfit.store import filesystem, s3

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


def data_files(location: str | Path) -> list[str]:
    """The files that ``read_rows`` reads of a file or folder, in its order: the same on S3 as in a local folder."""
    root = str(location)
    if not filesystem.is_folder(root):
        if not filesystem.exists(root):
            raise _missing(root)
        return [root]
    names = [name for name in filesystem.files(root) if not _hidden(name) and format_of(name) in FORMATS]
    if not names:
        raise UserError(f"{root}: the folder holds no file of a known format ({', '.join(FORMATS)}, also .gz or .zst)")
    return [filesystem.join(root, name) for name in sorted(names, key=lambda name: name.split("/"))]


def name_in(root: str | Path, file: str) -> str:
    """How rows name a file of ``data_files(root)``: by its path inside the folder, or its own name where it is the root."""
    if file == str(root):
        return file.rstrip("/").rpartition("/")[2]
    return file.removeprefix(filesystem.join(root, ""))


def _missing(location: str) -> UserError:
    if filesystem.is_remote(location) and not s3.has_bucket(location):
        return UserError(f"{location}: there is no bucket {s3.parts(location)[0]!r}; correct the name, or check AWS_ENDPOINT_URL")
    return UserError(f"{location}: there is no such file or folder; give a file, a folder or the name of a corpus")


def _hidden(name: str) -> bool:
    return any(part.startswith((".", "_")) for part in name.split("/"))


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
    folders = PurePosixPath(name).parts[:-1]
    splits = [SPLIT_NAMES[folder.lower()] for folder in folders if folder.lower() in SPLIT_NAMES]
    labels = [folder for folder in folders if folder.lower() not in SPLIT_NAMES]
    return splits[-1] if splits else None, labels[-1] if labels else None
