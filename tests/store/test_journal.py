"""Entries of a journal: written once, whole, in order, beside other writers; a damaged one is named."""

from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta

import pytest
from pydantic import TypeAdapter

from ulmfit.store import filesystem
from ulmfit.store.journal import Clock, Journal, new_id, now
from ulmfit.store.json import Facts


class Note(Facts):
    text: str


def journal(location):
    return Journal(str(location), TypeAdapter(Note))


def test_a_journal_that_nobody_began_is_empty(tmp_path):
    assert journal(tmp_path / "none").read().entries == () and not (tmp_path / "none").exists()


def test_entries_come_back_by_time(tmp_path):
    began = now()
    times = [began + timedelta(microseconds=step) for step in (0, 1, 999_999, 1_000_000, 86_400_000_000)]
    for time in reversed(times):
        journal(tmp_path).append(new_id(time), Note(text=str(times.index(time))))
    assert [note.text for note in journal(tmp_path).read().entries] == ["0", "1", "2", "3", "4"]


def test_an_entry_is_never_overwritten(tmp_path):
    name = new_id(now())
    location = journal(tmp_path).append(name, Note(text="first"))
    with pytest.raises(FileExistsError):
        journal(tmp_path).append(name, Note(text="second"))
    assert b"first" in filesystem.read_bytes(location)
    assert list(filesystem.files(tmp_path)) == [f"{name}.json"]  # nothing else is left of it


def test_two_ids_of_one_moment_differ():
    moment = now()
    assert len({new_id(moment) for _ in range(100)}) == 100


def test_of_many_writers_at_once_every_entry_is_kept(tmp_path):
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda number: journal(tmp_path).append(new_id(now()), Note(text=str(number))), range(60)))
    assert sorted(int(note.text) for note in journal(tmp_path).read().entries) == list(range(60))


def test_one_name_at_once_is_given_to_one_writer(tmp_path):
    name = new_id(now())

    def write(number):
        try:
            journal(tmp_path).append(name, Note(text=str(number)))
        except FileExistsError:
            return None
        return str(number)

    with ThreadPoolExecutor(8) as pool:
        kept = [written for written in pool.map(write, range(20)) if written]
    assert [note.text for note in journal(tmp_path).read().entries] == kept


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"{}", b'{"text": 3}', b"\xff\xfe"])
def test_a_damaged_entry_is_named_and_the_others_are_read(tmp_path, content):
    journal(tmp_path).append(new_id(now()), Note(text="sound"))
    (tmp_path / "20200101T000000000000Z-0.json").write_bytes(content)
    (tmp_path / ".20200101.json.12.34.tmp").write_bytes(b"of a writer that was killed")
    pages = journal(tmp_path).read()
    assert [note.text for note in pages.entries] == ["sound"]
    assert pages.damaged == (str(tmp_path / "20200101T000000000000Z-0.json"),)


def test_without_hard_links_an_entry_is_new_too(tmp_path, monkeypatch):
    def refuse(*_):
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr("os.link", refuse)
    name = new_id(now())
    journal(tmp_path).append(name, Note(text="first"))
    with pytest.raises(FileExistsError):
        journal(tmp_path).append(name, Note(text="second"))
    assert [note.text for note in journal(tmp_path).read().entries] == ["first"]


def test_the_order_holds_where_the_clock_goes_back(tmp_path, monkeypatch):
    class Late(datetime):
        """Its clock is an hour behind."""

        @classmethod
        def now(cls, tz=None):
            return datetime.now(tz) - timedelta(hours=1)

    for text in ("0", "1"):
        journal(tmp_path).append(new_id(now()), Note(text=text))
    monkeypatch.setattr("ulmfit.store.journal.datetime", Late)
    monkeypatch.setattr("ulmfit.store.journal.clock", Clock())  # another process, after the clock was set
    for text in ("2", "3"):
        journal(tmp_path).read()
        journal(tmp_path).append(new_id(now()), Note(text=text))
    assert [note.text for note in journal(tmp_path).read().entries] == ["0", "1", "2", "3"]
