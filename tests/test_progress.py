"""Progress: plain lines where there is no terminal, one display where there is, and always given back."""

import io
import logging
import sys
import threading

import pytest

from ulmfit.progress import display, progress


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
    assert plain.records[0].getMessage() == "fine-tuning: 4 of 10 steps, loss 1.235 lr 0.5 stage warm"
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
