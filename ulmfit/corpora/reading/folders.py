"""What a folder holds: the files that are read, what is left and why, and the class that would be lost by that.

A folder holds tables, or documents (``.txt``). Left are: files of other formats; what is hidden (its name, or that of a folder around it,
begins with ``.`` or ``_``); notes about a corpus (``README``, ``LICENSE``); a ``.txt`` beside tables; links to folders.
"""

import os
import stat
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from ulmfit.corpora.reading.formats import FORMATS, format_of
from ulmfit.corpora.reading.paths import label_of
from ulmfit.corpora.reading.reading_errors import check_name
from ulmfit.errors import UserError
from ulmfit.store import filesystem

HIDDEN, NOTE, BESIDE, UNKNOWN = "hidden", "notes about the corpus", "texts beside tables", "formats that are not read"
LINK, EMPTY, SPECIAL = "links to folders", "empty folders", "neither file nor folder"
DOCUMENT = ".txt"
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
    found = survey(root)
    if not found.read:
        raise UserError(f"{root}: the folder holds no file of a known format ({', '.join(FORMATS)}, also .gz or .zst)")
    for name in found.read:
        check_name(name)
    return found


def survey(root: str) -> Contents:
    """What the folder ``root`` holds, which may be nothing; names may be no UTF-8. UserError for one that may not be read."""
    listing = _Listing(filesystem.files(root)) if filesystem.is_remote(root) else _listed(root)
    formats = {name: format_of(name) for name in listing.files if not _is_hidden(name) and not _is_note(name)}
    documents = {name for name, kind in formats.items() if kind == DOCUMENT}
    tables = {_folder(name) for name, kind in formats.items() if kind in FORMATS and kind != DOCUMENT}
    has_classes = bool(_classes(documents) - tables)
    beside = {name for name in documents if _folder(name) in tables and not (has_classes and label_of(name)[1])}
    read = sorted((name for name, kind in formats.items() if kind in FORMATS and name not in beside), key=lambda name: name.split("/"))
    left = {reason: list(names) for reason, names in listing.others.items()}
    for name in sorted(listing.files.keys() - read):
        reason = HIDDEN if _is_hidden(name) else NOTE if _is_note(name) else BESIDE if name in beside else UNKNOWN
        left.setdefault(reason, []).append(name)
    lost = next(_lost(read, documents - beside, tables, [*listing.files, *left.get(SPECIAL, ())], left.get(LINK, ())), "")
    return Contents({name: listing.files[name] for name in read}, {reason: sorted(left[reason]) for reason in sorted(left)}, lost)


def _listed(root: str) -> _Listing:
    """The files of a local folder; links to files are followed, those to folders are not."""
    listing = _Listing({})
    for parent, folders, names in os.walk(root, onerror=_refuse):
        inside = os.path.relpath(parent, root)
        links = [folder for folder in folders if os.path.islink(os.path.join(parent, folder))]
        found = {LINK: links, SPECIAL: []}
        for name in names:
            try:
                entry = os.stat(os.path.join(parent, name))
            except PermissionError as error:
                raise _may_not_be_read(parent, error) from error
            except OSError:  # a link to nothing or to itself, or moved away meanwhile
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


def _refuse(error: OSError) -> None:
    raise _may_not_be_read(error.filename, error) from error


def _may_not_be_read(folder: str, error: OSError) -> UserError:
    return UserError(f"{folder}: the folder may not be read ({error.strerror}); change its permissions")


def _is_hidden(name: str) -> bool:
    return name.startswith((".", "_")) or "/." in name or "/_" in name


def _is_note(name: str) -> bool:
    return name.rpartition("/")[2].partition(".")[0].lower() in NOTES


def _folder(name: str) -> str:
    return name.rpartition("/")[0]


def _classes(documents: Iterable[str]) -> set[str]:
    """The folders of documents that are classes."""
    return {_folder(name) for name in documents if label_of(name)[1]}


def _lost(read: Iterable[str], documents: set[str], tables: set[str], there: list[str], links: Iterable[str]) -> Iterator[str]:
    """What would be a class beside those that are read, but is none, in words. ``documents``: those that are read; ``there``: all that is no folder."""
    classes = _classes(documents)
    beside = {_folder(folder) for folder in classes}  # where the classes stand
    if not classes:
        return
    for folder in links:
        yield f"{folder} is a link to a folder, which is not followed; put the folder itself in its place, or take the link away"
    for folder in sorted(classes & tables):
        yield f"{folder}/ holds documents (.txt) and tables; give each a folder of their own"
    for folder, split in sorted({(_folder(name), label_of(name)[0]) for name in documents if not label_of(name)[1]}):
        if split not in (None, "unlabelled") and _folder(folder) in beside:
            yield f"{folder}/ is taken for the split {split}, but stands beside classes; rename it if it is one, else give it a folder per class"
    for folder in sorted(_around(there) - _around(read)):
        if _folder(folder) in beside and (why := _unread(folder, there)):
            yield f"{folder}/ stands beside classes, but {why}, or take it away"


def _unread(folder: str, files: Iterable[str]) -> str:
    """Why a folder of which no file is read may be a class, and what to do; "" where it is none."""
    name = folder.rpartition("/")[2]
    inside = [file for file in files if file.startswith(f"{folder}/")]
    if name in TOOLS:
        return ""
    if name.startswith((".", "_")):
        own = [file.removeprefix(f"{folder}/") for file in inside]
        documents = any(format_of(file) == DOCUMENT and not _is_hidden(file) and not _is_note(file) for file in own)
        return f"is hidden, for its name begins with {name[0]!r}; rename it" if documents else ""
    if all(_is_note(file) or file.endswith("/.DS_Store") for file in inside):
        return ""
    return f"holds no document that is read ({inside[0].rpartition('/')[2]}); write its documents as .txt"


def _around(names: Iterable[str]) -> set[str]:
    """All folders around the files, without the root."""
    found: set[str] = set()
    for folder in {_folder(name) for name in names}:
        while folder and folder not in found:
            found.add(folder)
            folder = _folder(folder)
    return found
