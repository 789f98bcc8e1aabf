"""What a folder holds: what is read, what is left and why, and classes that would be lost."""

import os
import stat

import pytest

from tests.corpora.corpus import ingest
from tests.corpora.test_rows import put, write
from ulmfit.corpora.quality import measuring
from ulmfit.corpora.reading import folders
from ulmfit.corpora.reading.folders import BESIDE, EMPTY, HIDDEN, LINK, NOTE, SPECIAL, UNKNOWN, contents
from ulmfit.corpora.reading.rows import read_rows
from ulmfit.corpora.source import CorpusSource, peek
from ulmfit.errors import UserError


@pytest.fixture(autouse=True)
def no_languages(monkeypatch):
    """Guessing languages takes a second to load, and is for other tests."""
    monkeypatch.setattr(measuring, "languages", lambda texts: {})


def classes(root, *names, count=3):
    """Class folders of documents."""
    put(root, {f"{name}/{number}.txt": f"{name} text {number}" for name in names for number in range(count)})
    return root


def lost(root, match):
    """Refused wherever labels are wanted, and by name; without labels the rest is read."""
    with pytest.raises(UserError, match=match) as error:
        peek(CorpusSource(str(root)))
    assert str(root) in str(error.value) and "\n" not in str(error.value)
    assert len(list(read_rows(root, label_column=None))) >= 6


# --- a class that would be lost


@pytest.mark.parametrize("split", ["", "train/", "v1/test/"])
def test_a_linked_class_folder(tmp_path, split):
    classes(tmp_path / "else", "sales")
    root = classes(tmp_path / "root", f"{split}ops", f"{split}qa")
    (root / f"{split}sales").symlink_to(tmp_path / "else" / "sales", target_is_directory=True)
    lost(root, f"{split}sales is a link to a folder")


@pytest.mark.parametrize("name", ["_other", ".net", "__x"])
@pytest.mark.parametrize("split", ["", "train/"])
def test_a_hidden_class_folder(tmp_path, name, split):
    lost(
        classes(tmp_path / "root", f"{split}ops", f"{split}qa", f"{split}{name}"),
        rf"{split}{name}/ stands beside classes, but is hidden.*rename",
    )


@pytest.mark.parametrize("name", ["dev", "test", "Train", "validation", "val", "training"])
@pytest.mark.parametrize("split", ["", "train/"])
def test_a_class_folder_called_like_a_split(tmp_path, name, split):
    lost(classes(tmp_path / "root", f"{split}ops", f"{split}qa", f"{split}{name}"), rf"{split}{name}/ is taken for the split .*rename")


@pytest.mark.parametrize("file", ["1.md", "1.html", "1", "1.txt.bz2", "1.docx", ".1.txt"])
def test_a_class_folder_of_a_format_that_is_not_read(tmp_path, file):
    root = classes(tmp_path / "root", "ops", "qa")
    put(root, {f"sales/{file}": "text"})
    lost(root, rf"sales/ stands beside classes, but holds no document that is read \({file}\)")


def test_documents_and_tables_in_a_class_folder(tmp_path):
    root = classes(tmp_path / "root", "ops", "qa")
    put(root, {"qa/meta.csv": "text,label\na,b\n"})
    lost(root, r"qa/ holds documents \(\.txt\) and tables")


def test_a_folder_that_may_not_be_read(tmp_path, monkeypatch):
    """The tests may run as root, who may read all."""
    root = classes(tmp_path / "root", "ops", "qa")
    scan = os.scandir

    def refused(path):
        if str(path).endswith("qa"):
            raise PermissionError(13, "Permission denied", str(path))
        return scan(path)

    monkeypatch.setattr(os, "scandir", refused)
    with pytest.raises(UserError, match=r"qa: the folder may not be read \(Permission denied\); change"):
        contents(str(root))


# --- no class


@pytest.mark.parametrize(
    "names",
    [
        ["unsup/1.txt"],
        [".git/notes.txt", "__MACOSX/ops/1.txt", ".ipynb_checkpoints/1-checkpoint.txt"],
        ["docs/README.md", "docs/LICENSE.txt", "README.txt"],
        ["ops/.cache/1.txt", "ops/more/deep.txt"],
        ["ops/.DS_Store", "images/.DS_Store"],
        ["test/ops/1.txt", "dev/qa/1.txt"],
        ["test.csv", "_SUCCESS"],
    ],
)
def test_what_is_no_class_is_not_lost(tmp_path, names):
    root = classes(tmp_path / "root", "ops", "qa")
    put(root, {name: "text,label\na,b\n" for name in names})
    assert contents(str(root)).lost == "" and {row.label for row in read_rows(root)} >= {"ops", "qa"}


def test_splits_of_documents_without_classes(tmp_path):
    root = classes(tmp_path / "root", "train", "test")
    assert contents(str(root)).lost == "" and len(list(read_rows(root, label_column=None))) == 6


# --- what is left is told


def test_notes_and_texts_beside_tables_are_no_documents(tmp_path):
    root = tmp_path / "root"
    for name in ("data/train.csv", "data/test.csv"):
        write(root / name)
    put(root, {"LICENSE.txt": "Permission is", "data/LICENSE": "", "data/labels.txt": "0 neg", "README.md": "", "docs/Readme.txt": "It is"})
    found = contents(str(root))
    assert list(found.read) == ["data/test.csv", "data/train.csv"] and found.lost == ""
    assert found.left == {NOTE: ["LICENSE.txt", "README.md", "data/LICENSE", "docs/Readme.txt"], BESIDE: ["data/labels.txt"]}
    assert {row.source for row in read_rows(root)} == set(found.read)


def test_everything_that_is_left_has_its_reason(tmp_path):
    root = tmp_path / "root"
    write(root / "train.csv")
    put(root, {"a.pdf": "", "b/c.xlsx": "", ".x/a.csv": "", "_b.csv": "", "e/f/.keep": ""})
    (root / "empty" / "inner").mkdir(parents=True)
    (root / "linked").symlink_to(tmp_path, target_is_directory=True)
    (root / "nowhere.csv").symlink_to(tmp_path / "gone.csv")
    (root / "there.csv").symlink_to(root / "train.csv")
    os.mknod(root / "pipe.csv", stat.S_IFIFO | 0o600)
    assert contents(str(root)).left == {
        UNKNOWN: ["a.pdf", "b/c.xlsx"],
        HIDDEN: [".x/a.csv", "_b.csv", "e/f/.keep"],
        EMPTY: ["empty/inner"],
        LINK: ["linked"],
        SPECIAL: ["nowhere.csv", "pipe.csv"],
    }
    assert list(contents(str(root)).read) == ["there.csv", "train.csv"]


def test_the_record_and_the_log_tell_what_was_read_and_left(tmp_path, caplog):
    root = classes(tmp_path / "root", "a", "b", "test/a", "test/b", count=9)
    put(root, {"notes.md": "x", "more.md": "x", "LICENSE": "x", "_log.txt": "x", **{f"x{i}.pdf": "" for i in range(30)}})
    with caplog.at_level("INFO"):
        corpus = ingest(CorpusSource(str(root)), tmp_path / "corpus")
    (facts,) = corpus.record.folders
    assert (facts.location, facts.read) == (str(root), 36)
    assert {reason: left.files for reason, left in facts.left.items()} == {UNKNOWN: 32, NOTE: 1, HIDDEN: 1}
    assert len(facts.left[UNKNOWN].first) == 20 and facts.left[NOTE].first == ("LICENSE",)
    assert "root: 36 files are read: 36 .txt, 18 no split of their own, 18 test" in caplog.messages
    assert "root: 1 left (hidden): _log.txt" in caplog.messages
    assert corpus.record.warnings[0] == "root: 32 left (formats that are not read): more.md, notes.md, x0.pdf and 29 more"
    assert not any("hidden" in warning for warning in corpus.record.warnings)


def test_names_that_are_left_may_hold_anything(tmp_path):
    root = classes(tmp_path / "root", "a", "b", count=9)
    for name in (b"caf\xe9.md", b"two\nlines.md", "é.md".encode()):
        (root / os.fsdecode(name)).write_text("x")
    record = ingest(CorpusSource(str(root)), tmp_path / "corpus").record
    assert record.folders[0].left[UNKNOWN].first == (r"caf\udce9.md", r"two\nlines.md", "é.md") and record.model_dump_json()
    assert record.warnings == (r"root: 3 left (formats that are not read): caf\udce9.md, two\nlines.md, é.md",)


def test_folders_around_the_labels_are_told(tmp_path):
    root = classes(tmp_path / "root", "pos/part1", "pos/part2", "neg/part1", "neg/part2", count=9)
    corpus = ingest(CorpusSource(str(root)), tmp_path / "corpus")
    assert corpus.record.warnings == ("root: the labels are the names of the innermost folders; those around them are none: neg, pos",)
    assert ingest(CorpusSource(str(classes(tmp_path / "b", "x/train/pos", "x/train/neg", count=9))), tmp_path / "c").record.warnings == ()


def test_a_class_folder_within_another_is_told(tmp_path):
    corpus = ingest(CorpusSource(str(classes(tmp_path / "root", "pos", "neg", "neg/old", count=9))), tmp_path / "corpus")
    assert corpus.record.warnings == ("root: the labels are the names of the innermost folders; those around them are none: neg",)


@pytest.mark.parametrize("name", ["reviews_test.csv", "my-dev.csv", "test_files/a.csv", "b.validation.csv"])
def test_a_table_of_a_split_whose_name_does_not_say_so_is_told(tmp_path, name):
    for number, file in enumerate(["reviews_train.csv", "test.csv", name]):
        (tmp_path / "root" / file).parent.mkdir(parents=True, exist_ok=True)
        write(tmp_path / "root" / file, [(f"text {number} {i}", "ab"[i % 2]) for i in range(20)])
    corpus = ingest(CorpusSource(str(tmp_path / "root")), tmp_path / "corpus")
    (warning,) = corpus.record.warnings
    assert f"read as training rows, for the name of the split does not come first: {name};" in warning


def test_links_to_themselves_or_to_nothing_are_left(tmp_path):
    root = classes(tmp_path / "root", "pos", "neg", count=9)
    (root / "pos" / "loop.txt").symlink_to("loop.txt")
    corpus = ingest(CorpusSource(str(root)), tmp_path / "corpus")
    assert corpus.record.warnings == ("root: 1 left (neither file nor folder): pos/loop.txt",)
    (root / "new").mkdir()
    (root / "new" / "1.txt").symlink_to("nothing.txt")
    lost(root, r"new/ stands beside classes, but holds no document that is read \(1.txt\)")


def test_a_file_has_no_folders_to_tell(tmp_path):
    corpus = ingest(CorpusSource(str(write(tmp_path / "a.csv", [(f"text {i}", "ab"[i % 2]) for i in range(20)]))), tmp_path / "corpus")
    assert corpus.record.folders is None and "folders" not in corpus.record.model_dump(mode="json")


def test_s3_holds_files_alone(monkeypatch):
    names = {"ops/1.txt": 1, "qa/1.txt": 1, "_other/1.txt": 1, "x.md": 1}
    monkeypatch.setattr(folders.filesystem, "files", lambda root: names)
    found = contents("s3://bucket/root")
    assert list(found.read) == ["ops/1.txt", "qa/1.txt"] and "_other/ stands beside classes" in found.lost
    assert found.left == {HIDDEN: ["_other/1.txt"], UNKNOWN: ["x.md"]}
