"""Progress: plain lines where there is no terminal, one display where there is, and always given back."""

import io
import logging
import re
import sys
import threading

import pytest

from ulmfit.progress import Outlook, clock, display, outlook, progress


class Terminal(io.StringIO):
    def isatty(self):
        return True


@pytest.fixture
def plain(caplog):
    caplog.set_level(logging.INFO, logger="ulmfit.progress")
    return caplog


@pytest.fixture
def terminal(monkeypatch):
    """Makes standard error a terminal when called: before the test proper, pytest would put its own in place again."""

    def switch() -> Terminal:
        screen = Terminal()
        monkeypatch.setenv("TERM", "xterm")
        monkeypatch.setattr(sys, "stderr", screen)
        return screen

    return switch


def test_plain_lines_name_work_amount_and_figures(plain):
    with progress("fine-tuning", 10, "steps", line_every=0) as bar:
        bar.advance(4, loss=1.23456, lr=0.5, stage="warm")
    assert re.fullmatch(r"fine-tuning: 4 of 10 steps, loss 1.235 lr 0.5 stage warm, 0:0\d left", plain.records[0].getMessage())
    assert plain.records[-1].getMessage().startswith("fine-tuning: 4 steps in 0.")
    assert display.bars is None


def test_plain_lines_are_few(plain):
    with progress("x", 1000) as bar:
        for _ in range(1000):
            bar.advance()
    assert len(plain.records) == 1  # the last line alone
    assert bar.done == 1000


def test_bars_show_on_a_terminal_and_standard_output_stays_clean(terminal, capsys):
    screen = terminal()
    with progress("tokenising", 2) as bar:
        bar.advance(loss=0.25)
        assert display.bars is not None
        display.bars.refresh()
    assert "tokenising" in screen.getvalue() and "0.25" in screen.getvalue()
    assert capsys.readouterr().out == ""
    assert display.bars is None


def test_work_within_work_shares_one_display(terminal):
    terminal()
    with progress("outer", 1):
        shown = display.bars
        with progress("inner", 1) as inner:
            inner.advance()
            assert display.bars is shown and len(shown.tasks) == 2
        assert display.bars is shown and len(shown.tasks) == 1
    assert (display.bars, display.users) == (None, 0)


@pytest.mark.parametrize("where", ["plain", "terminal"])
def test_work_that_fails_gives_the_display_back(where, request):
    if where == "terminal":
        request.getfixturevalue("terminal")()
    with pytest.raises(KeyError), progress("x", 1):
        raise KeyError("x")
    assert (display.bars, display.users) == (None, 0)


def test_threads_side_by_side(terminal):
    def work(number):
        with progress(f"part {number}", 20) as bar:
            for _ in range(20):
                bar.advance()
        done.append(bar.done)

    terminal()
    done: list[float] = []
    threads = [threading.Thread(target=work, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert done == [20] * 8
    assert (display.bars, display.users) == (None, 0)


# --- how long is left


class Clock:
    """Time that passes when it is told to."""

    def __init__(self):
        self.now = 1000.0

    def monotonic(self):
        return self.now


@pytest.fixture
def watch(monkeypatch):
    made = Clock()
    monkeypatch.setattr("ulmfit.progress.time", made)
    yield made
    outlook.expect((), 0)


def test_what_is_left_goes_by_the_work_not_by_the_count(watch):
    with progress("x", 100, "documents", work=1000) as bar:
        assert bar.left is None
        watch.now += 30
        bar.advance(90, work=300)  # ninety short documents
        assert bar.left == pytest.approx(70)
        watch.now += 30
        bar.advance(10, work=700)
        assert bar.left == 0


def test_what_was_done_before_took_no_time(watch):
    with progress("x", 100) as bar:
        bar.skip(80)
        assert bar.left is None
        watch.now += 5
        bar.advance(10)
        assert (bar.done, bar.left) == (90, pytest.approx(5))


def test_a_run_is_the_longer_chain_and_what_follows(watch):
    outlook.expect([[("tune f", 100), ("classify f", 50)], [("tune b", 100), ("classify b", 80)]], after=20)
    assert outlook.left() is None
    with progress("tune f", 10) as forward, progress("tune b", 10) as backward, progress("other", 10) as other:
        watch.now += 20  # as fast as expected
        forward.advance(2), backward.advance(2), other.advance(1)
        assert outlook.left() == pytest.approx(80 + 80 + 20)
        watch.now += 60  # the rest of the half takes twice as long
        forward.advance(3), backward.advance(3), other.advance(1)
        slowness = 80 / 50
        assert outlook.left() == pytest.approx(80 + (80 + 20) * slowness)
    with progress("classify b", 10) as backward:
        watch.now += 40
        backward.advance(5)
        assert backward.left == pytest.approx(40)
        assert outlook.left() > 40


def test_lines_say_what_is_left_of_the_work_and_of_the_run(watch, plain):
    outlook.expect([[("tune", 100), ("classify", 500)]], after=15)
    with progress("tune", 10, "steps", line_every=0) as bar:
        watch.now += 50
        bar.advance(5)
    assert plain.records[0].getMessage() == "tune: 5 of 10 steps, 0:50 left (9:25 of the run)"


def test_bars_say_what_is_left(terminal, watch):
    screen = terminal()
    with progress("tune", 10) as bar:
        watch.now += 60
        bar.advance(4)
        display.bars.refresh()
    assert "1:30 left" in screen.getvalue()


def test_a_new_run_forgets_the_last(watch):
    found = Outlook([[("x", 10)]])
    found.expect([[("y", 10)]], 0)
    assert found.left() is None and not found.counts("x") and found.counts("y")


@pytest.mark.parametrize(("seconds", "told"), [(0, "0:00"), (59.6, "1:00"), (754, "12:34"), (3723, "1:02:03")])
def test_the_clock(seconds, told):
    assert clock(seconds) == told
