"""Records of csv and tsv files, also after one whose quoting is broken.

A record with a stray quote may be one line or many, so the line after it may stand in the middle of a document. Its end is looked
for under each way in which writers break the rules, and believed where the records behind it are sound.
"""

import csv
import re
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import NamedTuple

AHEAD = 1 << 22  # characters of sound records without a quote that prove an end
WINDOWS = (1 << 14, 1 << 18, 1 << 22, 1 << 24)  # characters that are looked at, one after the other, until the end is found


class EndlessRecord(ValueError):
    """A record whose end cannot be told. ``row``: its number; ``line``: where it begins; ``open``: a quote in it is never closed."""

    def __init__(self, row: int, line: int, open: bool):
        super().__init__(row, line, open)
        self.row, self.line, self.open = row, line, open


class Record(NamedTuple):
    """A record of a file. ``row``: its number, 0 for the header; ``fields``: None where broken quoting hides them; ``quoted``: it begins with a quote."""

    row: int
    fields: list[str] | None
    quoted: bool


@dataclass(frozen=True)
class Grammar:
    """How records may be written. ``record``: one of the right number of fields; ``any``: one of any number; ``open``: one that is not closed."""

    record: re.Pattern[str]
    any: re.Pattern[str]
    open: re.Pattern[str]


class _Lines(Iterator[str]):
    """The lines of a stream, of which those of the current record can be taken back."""

    def __init__(self, stream: Iterable[str]):
        self._stream = iter(stream)
        self._back: Iterator[str] = iter(())
        self.current: list[str] = []
        self.number = 0  # of the last line given, from 1

    def __next__(self) -> str:
        line = next(self._back, None) or next(self._stream)
        self.current.append(line)
        self.number += 1
        return line

    def look(self, characters: int) -> tuple[str, bool]:
        """The lines of the record and those behind them, of so many characters or more in all; and whether these are the last of the stream."""
        size = sum(map(len, self.current))
        for line in self:
            size += len(line)
            if size >= characters:
                return "".join(self.current), False
        return "".join(self.current), True

    def rewind(self, characters: int) -> None:
        """Give all lines of the record again but for the first ``characters``."""
        kept = 0
        for number, line in enumerate(self.current):
            if kept == characters:
                again = self.current[number:]
                self.number -= len(again)
                self._back = _chained(again, self._back)
                break
            kept += len(line)
        self.current = []


def _chained(first: list[str], then: Iterator[str]) -> Iterator[str]:
    yield from first
    yield from then


def records(stream: Iterable[str], delimiter: str) -> Iterator[Record]:
    """The header and all records.

    Blank lines are skipped, but counted as rows. Raises EndlessRecord where the next record cannot be found.
    """
    csv.field_size_limit(sys.maxsize)  # the module's default refuses documents over 128 KiB
    lines = _Lines(stream)
    reader = csv.reader(lines, delimiter=delimiter, strict=True)
    fields = row = 0
    while True:
        lines.current.clear()
        begun = lines.number + 1
        try:
            record = next(reader, None)
        except csv.Error as error:
            _skip(lines, delimiter, fields, EndlessRecord(row, begun, "unexpected end" in str(error)))
            yield Record(row, None, True)
        else:
            if record is None:
                return
            fields = fields or len(record)
            if record:
                yield Record(row, record, lines.current[0].startswith('"'))
        row += bool(fields)


def _skip(lines: _Lines, delimiter: str, fields: int, endless: EndlessRecord) -> None:
    """Go on behind the broken record of which ``lines`` holds the beginning; raises ``endless`` where its end cannot be told."""
    if not fields:  # the header
        raise endless
    for characters in WINDOWS:
        text, last = lines.look(characters)
        end = record_end(text, delimiter, fields, last)
        if end:
            lines.rewind(end)
            return
        if last or end == 0:
            break
    raise endless


def record_end(text: str, delimiter: str, fields: int, last: bool) -> int | None:
    """Where the broken record at the start of ``text`` ends: 0 if that cannot be told, None if more text is needed (``last``: there is none).

    An end is believed if sound records follow, the first of them if there are several, or else records that break the rules in the same way;
    but not where these make another end possible before it.
    """
    strict, ways, to_line_end = grammars(delimiter, fields)
    ends = {way: found.end() for way in ways if (found := way.record.match(text)) and (last or found.end() < len(text))}
    alike = {end: _sound(text, end, way, last) for way, end in ends.items()}
    if line := to_line_end.match(text):
        ends[strict] = line.end()
    behind = {end: _sound(text, end, strict, last) for end in ends.values()}
    unsettled = None in (*behind.values(), *alike.values()) or any(way.open.match(text) for way in ways)
    unknown = None if unsettled and not last else 0
    trusted = min((end for end, sound in behind.items() if sound), default=None)
    possible = {end for end, sound in alike.items() if sound}
    if trusted is None:
        return possible.pop() if len(possible) == 1 else unknown
    return unknown if any(end < trusted for end in possible) else trusted


def _sound(text: str, start: int, grammar: Grammar, last: bool) -> bool | None:
    """Whether records stand at ``start``, None where ``text`` is too short to tell.

    They do if the first quotes from there on belong to one of the right number of fields: within quotes, these would close them. No quotes up to
    the end, or for ``AHEAD`` characters, prove the same.
    """
    at = start
    while at < len(text):
        found = grammar.any.match(text, at)
        if not found:
            return None if not last and grammar.open.match(text, at) else False
        if at - start > AHEAD or ('"' in text[at : found.end()] and grammar.record.match(text, at)):
            return True
        at = found.end()
    return True if last else None


@lru_cache(maxsize=8)
def grammars(delimiter: str, fields: int) -> tuple[Grammar, tuple[Grammar, ...], re.Pattern[str]]:
    """The grammar of sound records; those of the ways to break it: quotes behind backslashes, quotes that are not doubled, text behind a closing
    quote; and a record of any number of fields with any text behind closing quotes."""
    comma = re.escape(delimiter)
    doubled = r'[^"]*+(?:""[^"]*+)*+'
    behind_backslash = r'[^"\\]*+(?:(?:\\.|"")[^"\\]*+)*+'
    undoubled = rf'[^"]*+(?:"(?!{comma}|[\r\n]|\Z)[^"]*+)*+'
    plain, end = rf'[^"{comma}\r\n]*+', r"(?:\r\n?|\n|\Z)"

    def grammar(body: str, after: str = "") -> Grammar:
        field = rf'(?:"{body}"{after}|{plain})'
        forms = (
            rf"{field}(?:{comma}{field}){{{fields - 1}}}{end}",
            rf"{field}(?:{comma}{field})*+{end}",
            rf'(?:{field}{comma})*+"{body}\Z',
        )
        return Grammar(*(re.compile(form, re.DOTALL) for form in forms))

    ways = grammar(behind_backslash), grammar(undoubled), grammar(doubled, plain)
    return grammar(doubled), ways, grammar(doubled, rf"[^{comma}\r\n]*+").any
