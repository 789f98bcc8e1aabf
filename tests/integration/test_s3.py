"""Against a real S3 server: files, the store, input, and all that can be wrong with a bucket, its keys and the way to it."""

from __future__ import annotations

import gzip
import os
import socket
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from gc import collect
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tasks.scoring import scorers_of
from tasks.workspace import Workspace
from tests.corpora.landing.folder import table
from tests.corpora.test_rows import RECORDS, brief, write
from tests.integration.s3 import environment, free_port, s3, s3_folder, s3_server  # noqa: F401
from tests.serving.conftest import make_bundle
from tests.store.test_filesystem import Contract
from ulmfit.config import CorpusConfig, Dropouts, ModelConfig, QualityConfig
from ulmfit.corpora.landing.landing import Landing
from ulmfit.corpora.landing.ledger import Ledger
from ulmfit.corpora.reading.opening import open_parquet
from ulmfit.corpora.reading.rows import data_files, read_rows
from ulmfit.decisions.decision import ENTRY, Author, Decision
from ulmfit.directions import DIRECTIONS
from ulmfit.errors import UserError
from ulmfit.models.language_model import LanguageModel
from ulmfit.models.saving import ModelFacts, load_language_model, save_model
from ulmfit.prediction.predictor import Predictor
from ulmfit.prediction.scoring import FileSpec, ModelInUse, data_set, output_place, score_file
from ulmfit.pretrained.manifest import PretrainedManifest
from ulmfit.pretrained.transport import export, pretrained
from ulmfit.stages.landed import landed
from ulmfit.stages.stage import Context, make
from ulmfit.store import filesystem, garbage
from ulmfit.store.artifacts import MANIFEST, Built, KnownPart, Store, damaged
from ulmfit.store.digests import StoredFile
from ulmfit.store.journal import Journal
from ulmfit.store.recipe import Recipe
from ulmfit.store.removal import remove
from ulmfit.store.s3 import delete
from ulmfit.text.vocab import Vocab

pytestmark = pytest.mark.server

RECIPE = Recipe("thing", 1, {"size": 3})
BUILT = {"vocab.json": b"made here", "deep/made.txt": b"also made here"}  # by the driver
PARTS = {"part-00000.arrow": b"x" * 1000, "part-00001.arrow": b"y" * 2000}  # by workers


class TestStorage(Contract):
    @pytest.fixture
    def base(self, s3):  # noqa: F811
        return s3


def fails(match: str, act, *args) -> str:
    with pytest.raises(UserError, match=match) as error:
        act(*args)
    assert "\n" not in str(error.value)
    return str(error.value)


# --------------------------------------------------------------------------------------------- what is wrong with the way

ACTS = {
    "read": lambda place: filesystem.read_bytes(f"{place}/a"),
    "write": lambda place: filesystem.write_bytes(f"{place}/a", b"x"),
    "list": lambda place: filesystem.files(f"{place}/folder"),
    "remove": lambda place: filesystem.remove(f"{place}/a"),
    "delete": lambda place: delete([f"{place}/a"]),
    "input": lambda place: list(read_rows(f"{place}/a.csv")),
    "store": lambda place: Workspace.open(os.environ["TEST_WORKSPACE"], place),
}


@pytest.fixture
def workspace_folder(tmp_path, monkeypatch):
    monkeypatch.setenv("TEST_WORKSPACE", str(tmp_path / "workspace"))


@pytest.mark.parametrize("act", ACTS)
def test_refused_keys(s3, act, monkeypatch, workspace_folder):  # noqa: F811
    for name, value in {"AWS_SECRET_ACCESS_KEY": "a wrong one", "AWS_ACCESS_KEY_ID": "UNKNOWNKEY"}.items():
        with monkeypatch.context() as patch:
            patch.setenv(name, value)
            assert s3 in fails("access is refused; check AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY", ACTS[act], s3)
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    fails(r"access is refused; .*\(they are not set\)", ACTS[act], s3)


@pytest.mark.parametrize("act", ["write", "remove", "delete", "input", "store"])
def test_a_missing_bucket(s3, act, workspace_folder):  # noqa: F811
    fails("s3://no-such-bucket/x.*: there is no bucket 'no-such-bucket'", ACTS[act], "s3://no-such-bucket/x")


@pytest.mark.parametrize("act", ACTS)
def test_a_server_that_is_not_there(s3, act, monkeypatch, workspace_folder):  # noqa: F811
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # bound and not listening: it refuses
        monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{taken.getsockname()[1]}")
        said = fails("cannot be reached .*; check AWS_ENDPOINT_URL and the network", ACTS[act], s3)
        assert s3 in said and os.environ["AWS_ENDPOINT_URL"] in said


def test_an_address_that_is_none(s3, monkeypatch):  # noqa: F811
    for address in ("127.0.0.1:9000", "s3.example.org", "http://", "ftp://s3.example.org"):
        monkeypatch.setenv("AWS_ENDPOINT_URL", address)
        fails(f"AWS_ENDPOINT_URL={address}: this is no address", filesystem.exists, s3)


def test_a_server_that_goes_away_while_a_file_is_read(tmp_path, monkeypatch):
    with s3_server(tmp_path) as port:
        for name, value in environment(port).items():
            monkeypatch.setenv(name, value)
        filesystem.write_bytes("s3://bucket/a.jsonl", b'{"text": "x"}\n' * (filesystem.REQUEST // 5))
        rows = read_rows("s3://bucket/a.jsonl", label_column=None)
        next(rows)
    fails("s3://bucket/a.jsonl: http.* cannot be reached", list, rows)


def test_a_server_that_is_restarted_is_waited_for_where_somebody_says_so(tmp_path, monkeypatch):
    port = free_port()
    monkeypatch.setattr("tests.integration.s3.free_port", lambda: port)
    for name, value in (environment(port) | {"AWS_MAX_ATTEMPTS": "8"}).items():
        monkeypatch.setenv(name, value)
    with ThreadPoolExecutor(1) as pool:
        written = pool.submit(filesystem.write_bytes, "s3://bucket/a", b"a")
        time.sleep(2)
        assert not written.done()
        with s3_server(tmp_path):
            written.result(60)
            assert filesystem.read_bytes("s3://bucket/a") == b"a"
            filesystem.remove("s3://bucket/a")
    for value in ("0", "many", "101", "-1"):
        monkeypatch.setenv("AWS_MAX_ATTEMPTS", value)
        fails(f"AWS_MAX_ATTEMPTS={value}: give a number", filesystem.exists, "s3://bucket/a")


# -------------------------------------------------------------------------------------------------------------- the store


@pytest.fixture
def store(s3, tmp_path):  # noqa: F811
    made = Store(s3, tmp_path / "local")
    made.set_up()
    return made


def building(store: Store, calls: list[set[str]], taken: bool = False):
    """A build that makes the files that are missing, as driver and workers do, and notes which."""

    def build(work: Path):
        place = store.output_folder(RECIPE)
        there = filesystem.files(place)
        missing = {name for name in PARTS if name not in there} | {name for name in BUILT if not (work / name).exists()}
        calls.append(missing)
        for name in missing:
            folder = place if name in PARTS else work
            filesystem.write_bytes(filesystem.join(folder, name), (PARTS | BUILT)[name])
        entries = {name: StoredFile(filesystem.sha256(filesystem.join(place, name)), len(data)) for name, data in PARTS.items()}
        return Built({"count": 4}, entries if taken else {}, "r1")

    return build


@pytest.mark.parametrize("taken", [False, True])
def test_made_once_and_found_from_another_machine(store, tmp_path, taken):
    calls: list[set[str]] = []
    made, found = store.make(RECIPE, building(store, calls, taken))
    assert (found, made.location) == (False, store.output_folder(RECIPE)) and made.location == f"{store.root}/thing/{RECIPE.key}"
    assert filesystem.files(made.location).keys() == PARTS.keys() | BUILT.keys() | {MANIFEST}
    assert made.manifest.record == {"count": 4} and made.run_id == "r1"
    assert made.bytes == sum(map(len, (PARTS | BUILT).values()))
    other = Store(store.root, tmp_path / "other")
    other.set_up()
    again, found = other.make(RECIPE, building(other, calls))
    assert (found, len(calls)) == (True, 1)
    assert again.manifest == made.manifest and again.location == made.location
    assert other.get(RECIPE.key) == other.find("thing", RECIPE.key) == again and list(other.all()) == [again]
    for artifact, local in ((made, store.local), (again, other.local)):
        assert artifact.path == local / "thing" / RECIPE.key
        assert {name: (artifact.path / name).read_bytes() for name in PARTS | BUILT} == PARTS | BUILT


def test_digests_that_were_taken_are_not_taken_again(store, monkeypatch):
    asked = []
    build = building(store, [], True)
    known = filesystem.sha256

    def watched(place):
        asked.append(str(place).rpartition("/")[2])
        return known(place)

    def built(work):
        record = build(work)
        monkeypatch.setattr(filesystem, "sha256", watched)
        return record

    store.make(RECIPE, built)
    assert sorted(asked) == ["made.txt", "vocab.json"]


def test_only_what_is_not_here_is_fetched_and_only_once(store, tmp_path, monkeypatch):
    made, _ = store.make(RECIPE, building(store, []))
    fetched = []
    copy_into = filesystem.copy_into
    monkeypatch.setattr(filesystem, "copy_into", lambda source, file: fetched.append(os.path.basename(source)) or copy_into(source, file))
    assert made.path and sorted(fetched) == sorted(PARTS)  # what the driver wrote is here already
    found = store.find("thing", RECIPE.key)
    assert found and found.path == made.path and len(fetched) == 2
    (made.path / "vocab.json").write_bytes(b"Made here")  # the copy is harmed
    found = store.find("thing", RECIPE.key)
    assert found and (found.path / "vocab.json").read_bytes() == b"made here" and fetched[2:] == ["vocab.json"]


@pytest.mark.parametrize("name", ["part-00001.arrow", "vocab.json"])
@pytest.mark.parametrize("harm", ["remove", "cut", "edit"])
def test_only_the_harmed_file_is_made_again(store, tmp_path, name, harm):
    calls: list[set[str]] = []
    made, _ = store.make(RECIPE, building(store, calls))
    place = filesystem.join(made.location, name)
    data = (PARTS | BUILT)[name]
    if harm == "remove":
        filesystem.remove(place)
    else:
        filesystem.write_bytes(place, data[:-1] if harm == "cut" else data[:-1] + b"?")
    other = Store(store.root, tmp_path / "other")  # a machine with no copy of its own
    other.set_up()
    if harm == "edit":  # same size: seen when it is fetched
        found, was_found = other.make(RECIPE, building(other, calls))
        assert was_found
        fails(f"{name}: the file is missing or damaged.*; run again", lambda: found.path)
        assert not list((other.local / "thing" / RECIPE.key).rglob(f"*{name}*"))
    else:
        assert damaged(made) == [name]
    again, found = other.make(RECIPE, building(other, calls))
    assert not found and damaged(again) == []
    assert calls[1] - BUILT.keys() == {name} - BUILT.keys()
    assert {name: (again.path / name).read_bytes() for name in PARTS | BUILT} == PARTS | BUILT
    assert other.make(RECIPE, building(other, calls))[1] and len(calls) == 2


def test_an_artifact_is_done_when_its_manifest_is_there(store):
    def failing(work: Path):
        filesystem.write_bytes(filesystem.join(store.output_folder(RECIPE), "part-00000.arrow"), PARTS["part-00000.arrow"])
        filesystem.write_bytes(work / "vocab.json", BUILT["vocab.json"])
        raise RuntimeError("no luck")

    with pytest.raises(RuntimeError, match="no luck"):
        store.make(RECIPE, failing)
    assert store.find("thing", RECIPE.key) is store.get(RECIPE.key) is None and list(store.all()) == []
    calls: list[set[str]] = []
    store.make(RECIPE, building(store, calls))
    assert calls == [{"part-00001.arrow", "deep/made.txt"}]
    assert not store.work(RECIPE.key).exists()


@pytest.mark.parametrize("left", [b"", b'{"kind": "thi', b"{}"[:1]])
def test_a_damaged_manifest_costs_no_part(store, left):
    calls: list[set[str]] = []
    made, _ = store.make(RECIPE, building(store, calls))
    filesystem.write_bytes(filesystem.join(made.location, MANIFEST), left)
    assert store.find("thing", RECIPE.key) is None
    again, found = store.make(RECIPE, building(store, calls))
    assert not found and calls[1] == BUILT.keys() and damaged(again) == []


def test_a_taken_digest_without_its_file(store):
    def build(work: Path):
        return Built({}, {"part-00000.arrow": StoredFile("0" * 64, 3)})

    with pytest.raises(FileNotFoundError, match="has vanished"):
        store.make(RECIPE, build)
    assert store.find("thing", RECIPE.key) is None


def test_a_manifest_that_names_files_outside_of_the_artifact(store, tmp_path):
    made, _ = store.make(RECIPE, building(store, []))
    manifest = made.manifest.model_copy(update={"files": {"../../../out.txt": StoredFile("0" * 64, 1)}})
    filesystem.write_bytes(filesystem.join(made.location, MANIFEST), manifest.model_dump_json().encode())
    found = store.find("thing", RECIPE.key)
    assert found
    fails("cannot have a file outside of it", lambda: found.path)


def test_parts_are_remembered(store, tmp_path):
    assert store.find_part("abc") is None
    for number in (1, 2):
        store.note_part("abc", KnownPart(f"tokens/k/part-{number}", "0" * 64))
    other = Store(store.root, tmp_path / "other")
    assert other.find_part("abc") == KnownPart(f"{store.root}/tokens/k/part-2", "0" * 64)
    assert list(store.all()) == []


def test_garbage_there_goes_with_its_copies_and_what_is_used_meanwhile_stays(store):
    behind = Recipe("thing", 1, {"behind": 1}, {"thing": RECIPE.key})
    for each in (RECIPE, behind):
        Store(store.root, store.local).make(each, building(store, []))
    filesystem.write_bytes(filesystem.join(store.root, "thing", "half", "part"), b"x")
    filesystem.write_bytes(filesystem.join(store.root, ".decisions", "m", "1.json"), b"{}")
    collect()  # an error of S3 keeps the frames that met it, and so the sign of a process at work
    needed = lambda roots, known: {key for root in roots for key in (root, *(known[root].inputs.values() if root in known else ()))}
    find = lambda *live: sorted(garbage.find_garbage(store, live, needed, -60).garbage, key=lambda item: item.name)
    assert [item.what for item in find()] == ["artifact", "artifact", "unfinished work"] and not find(behind.key)[1:]
    (mine,) = (item for item in find() if item.key == RECIPE.key)
    again, found = Store(store.root, store.local).make(RECIPE, building(store, []))
    collect()
    assert found and again.path.exists()
    assert not remove(store, replace(mine, used=mine.used - 5))  # listed 5 s ago: times there are whole seconds
    assert damaged(store.find("thing", RECIPE.key)) == []
    assert all(remove(store, item) for item in find())
    assert (
        list(store.all()) == []
        and not filesystem.files(filesystem.join(store.root, "thing"))
        and not (store.local / "thing" / RECIPE.key).exists()
    )
    assert filesystem.files(filesystem.join(store.root, ".decisions")) == {"m/1.json": 2}
    assert not filesystem.files(filesystem.join(store.root, ".used"))
    assert store.facts(behind.key).inputs == {"thing": RECIPE.key}


def test_workers_are_processes_of_their_own(store):
    """A process that has only the variables and a place."""
    code = "import sys; from ulmfit.store import filesystem, garbage; filesystem.write_bytes(sys.argv[1] + '/part-00000.arrow', b'by a worker')"
    command = [sys.executable, "-c", code, store.output_folder(RECIPE)]

    def build(work: Path):
        subprocess.run(command, check=True, env=dict(os.environ), timeout=60)
        return Built({})

    made, _ = store.make(RECIPE, build)
    assert (made.path / "part-00000.arrow").read_bytes() == b"by a worker"


def test_a_workspace_with_its_artifacts_on_s3(s3, tmp_path, monkeypatch):  # noqa: F811
    monkeypatch.setenv("ULMFIT_ARTIFACTS", f"{s3}/team/")
    workspace = Workspace.open(tmp_path / "workspace")
    made, _ = workspace.store.make(RECIPE, building(workspace.store, []))
    assert made.location == f"{s3}/team/thing/{RECIPE.key}"
    assert made.path == tmp_path / "workspace" / "artifacts" / "thing" / RECIPE.key


def test_a_landing_folder_there(s3, tmp_path):  # noqa: F811
    store = Store(f"{s3}/team", tmp_path)
    store.set_up()
    context, ledger, landing = Context(store, tmp_path / "downloads"), Ledger(store, "tickets"), Landing(f"{s3}/in", id_column="id")
    assert not ledger.look(landing, 0).anything, "a folder on S3 is there with its first file"
    rows = [(n, f"text number {n} is here", "ab"[n % 2]) for n in range(60)]
    filesystem.write_bytes(f"{s3}/in/monday.csv", table(rows, ("id", "text", "label")).encode())
    filesystem.write_bytes(f"{s3}/in/later.csv.tmp", b"text")
    looked = ledger.look(landing, 0)
    assert [file.name for file in looked.ready] == ["monday.csv"] and list(looked.still_written) == ["later.csv.tmp"]
    assert ledger.land(landing, looked).counts.documents == 60
    assert not ledger.look(landing, 0).anything
    filesystem.write_bytes(f"{s3}/in/tuesday.csv", table([(60, "a new one", "a"), (3, rows[3][1], "a")], ("id", "text", "label")).encode())
    counts = ledger.land(landing, ledger.look(landing, 0)).counts
    assert (counts.documents, counts.corrections) == (1, 1)
    ledger.forget(ids=["60", "7"], because="asked to")
    corpus = make(landed(ledger.state(), CorpusConfig(), QualityConfig()), context)
    assert sum(split.documents for split in corpus.record.splits.values()) == 59
    assert {text for part in corpus.record.parts for text in pq.read_table(corpus.path / f"{part.name}.parquet")["text"].to_pylist()} == {
        text for n, text, _ in rows if n != 7
    }


def test_a_journal_there(s3, tmp_path):  # noqa: F811
    """Two machines write at once; what cannot be read is named."""
    journal = Journal(f"{s3}/team/.decisions/tickets", ENTRY)
    assert journal.read().entries == ()
    made = [Decision.new("tickets", "promoted", Author(kind="person", because=str(number))) for number in range(12)]
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda decision: journal.append(decision.id, decision), made))
    filesystem.write_bytes(f"{journal.location}/20200101T000000000000Z-0.json", b"{")
    pages = journal.read()
    assert pages.entries == tuple(made) and pages.damaged == (f"{journal.location}/20200101T000000000000Z-0.json",)
    assert list(Store(f"{s3}/team", tmp_path / "copies").all()) == []  # decisions are no artifacts


# ------------------------------------------------------------------------------------------------------------------ input


def put(folder: Path, place: str) -> None:
    for name in filesystem.files(folder):
        filesystem.copy(folder / name, filesystem.join(place, name))


def test_a_folder_there_gives_the_rows_of_the_folder_here(s3, tmp_path):  # noqa: F811
    names = ["train-1.csv", "train/x.jsonl.gz", "train-1/a.parquet", "test.tsv.zst", "more.parquet.gz", "valid/pos/1.txt", "unsup/é 1.txt"]
    for name in names:
        path = tmp_path / "data" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("a text of its own") if path.suffix == ".txt" else write(path)
    for name in (".hidden.csv", "_tmp/a.csv", "notes.md"):
        filesystem.write_bytes(tmp_path / "data" / name, b"nothing")
    put(tmp_path / "data", s3)
    here, there = list(read_rows(tmp_path / "data")), list(read_rows(s3))
    assert here == there and len(here) == 5 * len(RECORDS) + 2
    assert [file.removeprefix(f"{s3}/") for file in data_files(s3)] == [
        file.removeprefix(f"{tmp_path}/data/") for file in data_files(tmp_path / "data")
    ]
    assert list(read_rows(s3 + "/")) == there


@pytest.mark.parametrize("name", ["a.csv", "a b.jsonl.gz", "é.parquet", "a.csv.zst", "a.parquet.zst"])
def test_one_file(s3, tmp_path, name):  # noqa: F811
    filesystem.copy(write(tmp_path / name), f"{s3}/{name}")
    rows = list(read_rows(f"{s3}/{name}"))
    assert brief(rows) == RECORDS and {row.source for row in rows} == {name}


def test_what_is_wrong_with_a_file_there(s3):  # noqa: F811
    def case(name: str, data: bytes, match: str) -> None:
        filesystem.write_bytes(f"{s3}/{name}", data)
        fails(f"{s3}/{name}: {match}", list, read_rows(f"{s3}/{name}"))

    case("a.csv", b"text,label\ncaf\xe9,x\n", r"byte 0xe9 at offset 14 \(row 1\) is not utf-8")
    case("b.csv", b"body,label\n", "there is no column 'text'")
    case("c.jsonl.gz", gzip.compress(b'{"text": "x", "label": "y"}\n' * 5000)[:-20], "the compressed file is damaged")
    case("d.parquet", b"PAR1 and no more", "this is not a readable Parquet file")
    case("e.xlsx", b"", "the format .xlsx is not known")
    fails(f"{s3}/gone.csv: there is no such file or folder", list, read_rows(f"{s3}/gone.csv"))
    filesystem.write_bytes(f"{s3}/only/readme.md", b"x")
    fails(f"{s3}/only: the folder holds no file of a known format", list, read_rows(f"{s3}/only"))


def test_a_damaged_parquet_page_there(s3, tmp_path):  # noqa: F811
    path = tmp_path / "a.parquet"
    pq.write_table(pa.table({"text": [f"text number {i * i}" for i in range(5000)]}), path, compression="zstd")
    data = bytearray(path.read_bytes())
    data[len(data) // 4 : len(data) // 2] = bytes(len(data) // 2 - len(data) // 4)
    filesystem.write_bytes(f"{s3}/a.parquet", data)
    fails("this Parquet file is damaged", list, read_rows(f"{s3}/a.parquet", "text", None))


def test_a_large_file_is_not_held_in_memory(s3, tmp_path):  # noqa: F811
    table = pa.table({"text": [f"{number} {os.urandom(1000).hex()}" for number in range(20_000)]})  # 40 MB, one row group
    with filesystem.output_file(f"{s3}/a.parquet") as file:
        pq.write_table(table, file, compression="none", use_dictionary=False)
    with filesystem.output_file(f"{s3}/a.txt") as file:
        file.writelines(f"{text}\n".encode() for text in table["text"].to_pylist())
    del table
    for name in ("a.parquet", "a.txt"):
        before, most, count = pa.total_allocated_bytes(), 0, 0
        for _ in read_rows(f"{s3}/{name}", label_column=None):
            count += 1
            most = max(most, pa.total_allocated_bytes() - before)
        assert count == 20_000 and most < 25e6


def test_a_language_model_goes_to_a_store_and_comes_back(s3, tmp_path):  # noqa: F811
    vocab = Vocab.from_counts({"a": 5, "b": 5}, 60, 1)
    for direction in DIRECTIONS:
        folder = tmp_path / "made" / direction
        folder.mkdir(parents=True)
        model = LanguageModel(len(vocab), ModelConfig(embedding=8, hidden=12, layers=2), Dropouts())
        save_model(folder, model, ModelFacts(direction=direction))
        vocab.save(folder / "vocab.json")
    parts = {direction: tmp_path / "made" / direction for direction in DIRECTIONS}
    fails("holds no manifest.json", pretrained, f"{s3}/lm", tmp_path / "cache")
    assert export(f"{s3}/lm", parts, PretrainedManifest(name="ours")) == f"{s3}/lm"
    fails("is not empty", export, f"{s3}/lm", parts, PretrainedManifest())
    found = pretrained(f"{s3}/lm", tmp_path / "cache")
    assert list(found.folders) == list(DIRECTIONS) and load_language_model(found.folders["backward"]).encoder.vocab_size == len(vocab)
    filesystem.write_bytes(f"{s3}/lm/forward/model.safetensors", b"other bytes")
    assert pretrained(f"{s3}/lm", tmp_path / "cache") == found, "what is here and sound is not fetched again"
    fails("forward/model.safetensors: damaged", pretrained, f"{s3}/lm", tmp_path / "another")


# --------------------------------------------------------------------------------------------- scoring
def test_a_data_set_is_scored_from_and_to_s3(s3, tmp_path):  # noqa: F811
    bundle = make_bundle(tmp_path / "made", 1)
    model = ModelInUse("models:/tickets/1", str(bundle), Predictor(bundle).digest, "fp32")
    data, place = f"{s3}/data", f"{s3}/scored"
    for name in ("year=2024/a.parquet", "year=2024/bad.parquet", "_SUCCESS"):
        written = pa.BufferOutputStream()
        pq.write_table(pa.table({"no": [1, 2], "text": ["the film was good", None]}), written)
        filesystem.write_bytes(f"{data}/{name}", b"PAR1" if "bad" in name else written.getvalue().to_pybytes())
    root, names = data_set(data)
    assert (root, names) == (data, ["year=2024/a.parquet", "year=2024/bad.parquet"])
    assert output_place(place, data) == place
    fails("one in the other", output_place, f"{data}/scored", data)
    fails("is not empty", output_place, data, f"{s3}/other")
    good, bad = (FileSpec(root, name, place, "text", model, "run") for name in names)
    found = score_file(good).record
    assert (found.rows, found.refused, found.file) == (2, {"no text": 1}, f"{data}/{names[0]}")
    assert "not a readable Parquet file" in score_file(bad).record.fault and not filesystem.exists(bad.output)
    with open_parquet(good.output) as opened:
        table = opened.read()
    assert table["no"].to_pylist() == [1, 2] and table["label"].to_pylist()[1] is None
    assert found.output_digest == filesystem.sha256(good.output) and score_file(good).found
    record = next(name for name in filesystem.files(place) if name.endswith("a.parquet.json"))
    assert record == "_scored/year=2024/a.parquet.json"
    assert [one.model for one in scorers_of(Workspace.named(tmp_path / "none"), good.output)] == ["models:/tickets/1"]
