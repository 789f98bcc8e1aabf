"""The two directions in which text is read, and the name of the average of both (Howard & Ruder 2018, sec. 3.3)."""

from typing import Literal, get_args

Direction = Literal["forward", "backward"]
DIRECTIONS: tuple[Direction, ...] = get_args(Direction)
ENSEMBLE = "forward+backward"
