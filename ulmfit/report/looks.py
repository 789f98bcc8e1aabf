"""How series of a figure are told apart: each has its own colour, mark and line, so that none is told by its colour alone.

The colours are kept apart by all common kinds of colour blindness.
"""

from dataclasses import dataclass

SERIES = 8
Line = str | tuple[float, tuple[float, ...]]  # as matplotlib takes it
MARKS = ("o", "s", "^", "D", "v", "P", "X", "p")
LINES: tuple[Line, ...] = ("-", (0, (6, 3)), (0, (2, 2)), (0, (7, 2, 2, 2)), "-", (0, (6, 3)), (0, (2, 2)), (0, (7, 2, 2, 2)))


@dataclass(frozen=True)
class Look:
    """How a series is drawn: the CSS variable of its colour, mark and line."""

    colour: str
    mark: str
    line: Line

    @classmethod
    def of(cls, number: int) -> "Look":
        """The series' number, from 0."""
        return cls(f"--series-{number % SERIES + 1}", MARKS[number % SERIES], LINES[number % SERIES])

    def sample(self) -> str:
        """A piece of its line with the mark, as SVG: for legends."""
        dashes = "" if isinstance(self.line, str) else f' stroke-dasharray="{" ".join(f"{dash:g}" for dash in self.line[1])}"'
        line = f'<line x1="1" y1="7" x2="33" y2="7" stroke="var({self.colour})" stroke-width="2"{dashes}/>'
        return (
            f'<svg class="sample" viewBox="0 0 34 14" width="34" height="14" aria-hidden="true">{line}{shape(self.mark, self.colour)}</svg>'
        )


def shape(mark: str, colour: str) -> str:
    """A mark around the point (17, 7), as SVG."""
    points = {"s": "13,3 21,3 21,11 13,11", "^": "17,2 22,11 12,11", "v": "17,12 22,3 12,3", "D": "17,1.5 22.5,7 17,12.5 11.5,7"}
    if mark == "o":
        return f'<circle cx="17" cy="7" r="4" fill="var({colour})"/>'
    points |= {"X": "13,1 17,5 21,1 23,3 19,7 23,11 21,13 17,9 13,13 11,11 15,7 11,3", "p": "17,1.5 22.5,5.6 20.4,12 13.6,12 11.5,5.6"}
    plus = "15,2 19,2 19,5 22,5 22,9 19,9 19,12 15,12 15,9 12,9 12,5 15,5"
    return f'<polygon points="{points.get(mark, plus)}" fill="var({colour})"/>'
