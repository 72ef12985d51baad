"""The two sides of every question: nominal images, and anomalous ones."""

from typing import Literal

Side = Literal["nominal", "anomalous"]
SIDES: tuple[Side, ...] = ("nominal", "anomalous")
