"""The decisions about all models as an Atom feed (RFC 4287)."""

import sqlite3
from datetime import UTC, datetime
from xml.etree.ElementTree import Element, SubElement, tostring

from dashboard.links import link
from dashboard.plain import plain
from dashboard.queries.histories import Decided, decision_of, history
from ulmfit.decisions.history import History

ATOM = "http://www.w3.org/2005/Atom"
ENTRIES = 50


def feed(reading: sqlite3.Connection, base: str) -> bytes:
    """The latest ``ENTRIES`` decisions, the newest first. ``base``: the address of the site."""
    rows = reading.execute("select facts from decisions order by id desc limit ?", [ENTRIES])
    decisions = [decision_of(row["facts"]) for row in rows]
    histories: dict[str, History] = {name: history(reading, name) for name in {each.model for each in decisions}}
    root = Element("feed", xmlns=ATOM)
    _say(root, "title", "ULMFiT: decisions about models")
    _say(root, "id", f"{base}/feed.atom")
    _say(root, "updated", (decisions[0].time if decisions else datetime.fromtimestamp(0, UTC)).isoformat())
    SubElement(root, "link", rel="self", href=f"{base}/feed.atom")
    for decision in decisions:
        _entry(root, base, Decided.of(decision, histories[decision.model]))
    return tostring(root, encoding="utf-8", xml_declaration=True)


def _entry(root: Element, base: str, decided: Decided) -> None:
    entry = SubElement(root, "entry")
    version = f" version {decided.version}" if decided.version else ""
    _say(entry, "title", f"{decided.model}{version}: {decided.says}")
    _say(entry, "id", f"urn:ulmfit:decision:{decided.id}")
    _say(entry, "updated", decided.time.isoformat())
    _say(SubElement(entry, "author"), "name", decided.by)
    _say(entry, "summary", decided.why)
    SubElement(entry, "link", href=link(base, "model", name=decided.model))


def _say(parent: Element, name: str, text: str) -> None:
    SubElement(parent, name).text = plain(text)
