"""What a folder holds: the files that are read, what is left and why, and the class that would be lost by that.

A folder holds tables, or documents (``.txt``). Left are: files of other formats; what is hidden (its name, or that of a folder around it,
begins with ``.`` or ``_``); notes about a corpus (``README``, ``LICENSE``); a ``.txt`` beside tables; links to folders.
"""

import os
import stat
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import PurePosixPath

from ulmfit.corpora.reading.formats import FORMATS, format_of
from ulmfit.corpora.reading.paths import label_of
from ulmfit.corpora.reading.reading_errors import check_name
from ulmfit.errors import UserError
from ulmfit.store import filesystem

HIDDEN, NOTE, BESIDE, UNKNOWN = "hidden", "notes about the corpus", "texts beside tables", "formats that are not read"
LINK, EMPTY, SPECIAL = "links to folders", "empty folders", "neither file nor folder"
NOTES = frozenset(["readme", "license", "licence", "copying", "notice", "authors", "contributors", "changelog", "citation"])
TOOLS = frozenset((".git", ".svn", ".hg", ".cache", ".ipynb_checkpoints", ".idea", ".vscode", "__MACOSX", "__pycache__"))


@dataclass(frozen=True)
class Contents:
    """``read``: name in the folder -> bytes, in the order in which the files are read. ``left``: reason -> names.

    ``lost``: which class would be lost, why, and what to do; "" where none would.
    """

    read: dict[str, int]
    left: dict[str, list[str]]
    lost: str


@dataclass
class _Listing:
    """Names below a folder: files (-> bytes), and what else there is by the reason why it is left."""

    files: dict[str, int]
    others: dict[str, list[str]] = field(default_factory=dict)


def contents(root: str) -> Contents:
    """What the folder ``root`` holds. UserError for one without a file to read, one that may not be read, or a name that is no UTF-8."""
    listing = _Listing(filesystem.files(root)) if filesystem.is_remote(root) else _listed(root)
    left = {reason: list(names) for reason, names in listing.others.items()}
    read = []
    tables = {_folder(name) for name in listing.files if _is_read(name) and not _is_document(name)}
    classes = _classes(name for name in listing.files if _is_read(name) and _folder(name) not in tables)
    for name in listing.files:
        if reason := _reason(name, tables, bool(classes)):
            left.setdefault(reason, []).append(name)
        else:
            check_name(name)
            read.append(name)
    if not read:
        raise UserError(f"{root}: the folder holds no file of a known format ({', '.join(FORMATS)}, also .gz or .zst)")
    read.sort(key=lambda name: name.split("/"))
    lost = next(_lost(read, left, listing, tables), "")
    return Contents({name: listing.files[name] for name in read}, {reason: sorted(left[reason]) for reason in sorted(left)}, lost)


def _listed(root: str) -> _Listing:
    """The files of a local folder; links to files are followed, those to folders are not."""
    listing = _Listing({})
    for parent, folders, names in os.walk(root, onerror=_may_not_be_read):
        inside = os.path.relpath(parent, root)
        links = [folder for folder in folders if os.path.islink(os.path.join(parent, folder))]
        found = {LINK: links, SPECIAL: []}
        for name in names:
            try:
                entry = os.stat(os.path.join(parent, name))
            except FileNotFoundError:  # a link to nothing, or moved away meanwhile
                found[SPECIAL].append(name)
                continue
            if stat.S_ISREG(entry.st_mode):
                listing.files[os.path.normpath(os.path.join(inside, name))] = entry.st_size
            else:
                found[SPECIAL].append(name)
        if not folders and not names and inside != ".":
            found[EMPTY] = ["."]
        for reason, those in found.items():
            for name in those:
                path = os.path.normpath(os.path.join(inside, name))
                listing.others.setdefault(HIDDEN if _is_hidden(path) else reason, []).append(path)
    listing.files = dict(sorted(listing.files.items()))
    return listing


def _may_not_be_read(error: OSError) -> None:
    raise UserError(f"{error.filename}: the folder may not be read ({error.strerror}); change its permissions") from error


def _reason(name: str, tables: set[str], has_classes: bool) -> str:
    """Why a file is left; "" for one that is read."""
    if _is_hidden(name):
        return HIDDEN
    if _is_note(name):
        return NOTE
    if format_of(name) not in FORMATS:
        return UNKNOWN
    if _is_document(name) and _folder(name) in tables and not (has_classes and label_of(name)[1]):
        return BESIDE
    return ""


def _is_hidden(name: str) -> bool:
    return any(part.startswith((".", "_")) for part in name.split("/"))


def _is_note(name: str) -> bool:
    return PurePosixPath(name).name.split(".")[0].lower() in NOTES


def _is_read(name: str) -> bool:
    return not _is_hidden(name) and not _is_note(name) and format_of(name) in FORMATS


def _is_document(name: str) -> bool:
    return format_of(name) == ".txt"


def _folder(name: str) -> str:
    return name.rpartition("/")[0]


def _classes(names: Iterable[str]) -> set[str]:
    """The folders of documents that are classes."""
    return {_folder(name) for name in names if _is_document(name) and label_of(name)[1]}


def _lost(read: list[str], left: Mapping[str, list[str]], listing: _Listing, tables: set[str]) -> Iterator[str]:
    """What would be a class beside those that are read, but is none, in words."""
    classes = _classes(read)
    beside = {_folder(folder) for folder in classes}  # where the classes stand
    if not classes:
        return
    for folder in left.get(LINK, ()):
        yield f"{folder} is a link to a folder, which is not followed; put the folder itself in its place, or take the link away"
    for folder in sorted(classes & tables):
        yield f"{folder}/ holds documents (.txt) and tables; give each a folder of their own"
    for folder, split in sorted({(_folder(name), label_of(name)[0]) for name in read if _is_document(name) and not label_of(name)[1]}):
        if split not in (None, "unlabelled") and _folder(folder) in beside:
            yield f"{folder}/ is taken for the split {split}, but stands beside classes; rename it if it is one, else give it a folder per class"
    holds = {parent for name in read for parent in _parents(name)}
    for folder in sorted({parent for name in listing.files for parent in _parents(name)} - holds):
        if _folder(folder) in beside and (why := _unread(folder, listing.files)):
            yield f"{folder}/ stands beside classes, but {why}, or take it away"


def _unread(folder: str, files: Iterable[str]) -> str:
    """Why a folder of which no file is read may be a class, and what to do; "" where it is none."""
    name = folder.rpartition("/")[2]
    inside = [file for file in files if file.startswith(f"{folder}/")]
    if name in TOOLS:
        return ""
    if name.startswith((".", "_")):
        documents = any(_is_read(file.removeprefix(f"{folder}/")) and _is_document(file) for file in inside)
        return f"is hidden, for its name begins with {name[0]!r}; rename it" if documents else ""
    if all(_is_note(file) or PurePosixPath(file).name == ".DS_Store" for file in inside):
        return ""
    return f"holds no document that is read ({PurePosixPath(inside[0]).name}); write its documents as .txt"


def _parents(name: str) -> Iterator[str]:
    """The folders around a file, without the root."""
    while name := _folder(name):
        yield name
