"""The history that decisions make: who was champion, in which order, and what was left unfinished."""

import pytest

from ulmfit.decisions.decision import ENTRY, Author, Decision, Followed, reason
from ulmfit.decisions.history import History
from ulmfit.errors import UserError
from ulmfit.store.journal import now

BY = Author(kind="person", name="jo", because="it is better")


class Story:
    """Decisions, one after the other, each carried out unless told otherwise."""

    def __init__(self):
        self.entries = []

    def add(self, what, version, champion, done=True):
        decision = Decision.new("tickets", what, BY, version=version, champion=champion)
        self.entries.append(decision)
        if done is not None:
            self.entries.append(Followed(decision=decision.id, time=now(), done=done))
        return self

    @property
    def history(self):
        return History.of("tickets", self.entries)


def test_records_come_back_as_they_were_written():
    for entry in Story().add("promoted", "2", "1").entries:
        assert ENTRY.validate_json(entry.model_dump_json()) == entry


def test_a_record_cannot_be_changed():
    decision = Decision.new("tickets", "held", BY)
    with pytest.raises(ValueError, match="frozen"):
        decision.what = "promoted"


def test_the_champion_before_the_present_one():
    story = Story().add("first version", "1", None).add("promoted", "2", "1").add("promoted", "3", "2")
    assert story.history.champions() == ["1", "2", "3"] and story.history.before("3") == "2"
    story.add("rolled back", "2", "3")
    assert story.history.champions() == ["1", "2"] and story.history.before("2") == "1"  # not 3 again
    story.add("promoted", "4", "2").add("rolled back", "1", "4")
    assert story.history.champions() == ["1"] and story.history.before("1") is None


def test_a_rollback_goes_to_the_last_time_that_a_version_was_champion():
    story = Story().add("promoted", "2", "1").add("promoted", "1", "2").add("promoted", "3", "1").add("rolled back", "1", "3")
    assert story.history.champions() == ["1", "2", "1"] and story.history.before("1") == "2"


def test_a_champion_that_was_set_elsewhere_is_met_when_it_is_replaced():
    story = Story().add("promoted", "2", "1").add("promoted", "4", "3")
    assert story.history.champions() == ["1", "2", "3", "4"]
    assert story.history.before("9") == "4"  # set elsewhere, and not replaced yet


def test_what_was_not_carried_out_changes_no_champion():
    story = Story().add("promoted", "2", "1").add("promoted", "3", "2", done=False).add("promoted", "4", "2", done=None)
    assert story.history.champions() == ["1", "2"]


def test_the_order_is_that_in_which_decisions_were_carried_out():
    first, second = (Decision.new("tickets", "promoted", BY, version=version, champion=seen) for version, seen in (("3", "2"), ("2", "1")))
    marks = [Followed(decision=each.id, time=now(), done=True) for each in (second, first, second)]
    assert History.of("tickets", [first, second, *marks]).champions() == ["1", "2", "3"]


def test_only_the_last_change_of_champion_can_be_unfinished():
    story = Story().add("promoted", "2", "1", done=None)
    assert story.history.unfinished().version == "2"
    story.add("compared", "3", "1", done=None)
    assert story.history.unfinished().version == "2"
    story.add("promoted", "3", "1")
    assert story.history.unfinished() is None
    assert Story().history.unfinished() is None


def test_records_of_another_model_do_not_count():
    other = Decision.new("other", "promoted", BY, version="9", champion="8")
    done = Followed(decision=other.id, time=now(), done=True)
    assert History.of("tickets", [other, done]).champions() == [] and History.of("tickets", [other]).decisions == ()


def test_of_two_marks_the_first_counts():
    decision = Decision.new("tickets", "promoted", BY, version="2", champion="1")
    first, second = (Followed(decision=decision.id, time=now(), done=True, note=note) for note in "ab")
    assert History.of("tickets", [decision, first, second]).followed[decision.id].note == "a"


@pytest.mark.parametrize("because", ["", " \n\t", "a\x1b[31mred", "x" * 1001, "\udcff", "bell\x07"])
def test_a_reason_says_something_that_can_be_shown(because):
    with pytest.raises(UserError, match="--because"):
        reason(because)


def test_a_reason_is_one_line():
    assert reason(" better\n on  [bold] Grüße ") == "better on [bold] Grüße"
