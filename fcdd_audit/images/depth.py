"""What is white in image files that hold more than 8 bits a channel."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from fcdd_audit.core.errors import InputError

BITS = (8, 16)  # that a bit depth can have


@dataclass(frozen=True)
class Depth:
    """The depth of a data set's files that hold more than 8 bits a channel: white is 2^bits - 1.

    integers: bits of whole numbers, 8 to 16. floats: bits of floats, at least 1: with 1 bit, 1.0 is white. By
    default what the types themselves allow: 65535 and 1.0 are white.
    """

    integers: int = 16
    floats: int = 1

    def white(self, values: np.ndarray) -> int:
        """What is white among values of this type."""
        return int(2 ** (self.floats if values.dtype.kind == "f" else self.integers) - 1)


class Peak(NamedTuple):
    """The largest value of one file that holds more than 8 bits a channel, and whether it holds floats."""

    value: float
    is_float: bool


class Largest(NamedTuple):
    """The largest value of several files, and the name of the file that has it."""

    value: float
    name: str


class Peaks(NamedTuple):
    """The largest values of a data set's files of whole numbers and of floats; None: it has none of them."""

    integers: Largest | None = None
    floats: Largest | None = None


def bits(value: float) -> int:
    """The least number of bits, at least 1, for which `value`, not negative, isn't beyond white."""
    return max(1, math.ceil(value)).bit_length()


def check_bit_depth(asked: int | None) -> None:
    """InputError unless it is a whole number from 8 to 16, or None."""
    if asked is not None and not (isinstance(asked, int) and BITS[0] <= asked <= BITS[1]):
        raise InputError(
            f"bit depth is {asked}; give the bits that the image files have a channel, {BITS[0]} to {BITS[1]}"
        )


def depth_of(peaks: Peaks, asked: int | None) -> Depth:
    """The depth that all files of a data set are read with.

    It is `asked` or, if that is None, the least for which no value is beyond white: a largest value of 4095,
    or of 3000, makes 12 bits. Whole numbers have at least 8 bits. Floats of which none is above 1 are shares
    of white, whatever is asked for. InputError if a file has values beyond the depth that is asked for, or if
    no file has more than 8 bits a channel.
    """
    least = {
        "integers": max(BITS[0], bits(peaks.integers.value)) if peaks.integers else 0,
        "floats": bits(peaks.floats.value) if peaks.floats else 0,
    }
    # What the bit depth is about: floats that are shares of white have none.
    counted = {kind: count for kind, count in least.items() if count > 1}
    if asked is not None:
        if not counted:
            raise InputError(
                f"bit depth {asked} is given, but no image file of the data set holds more than 8 bits a "
                "channel; drop --bit-depth"
            )
        for kind, count in counted.items():
            if count > asked:
                value, name = getattr(peaks, kind)
                raise InputError(
                    f"bit depth {asked} allows values up to {2**asked - 1}, but those of '{name}' reach "
                    f"{value:g}; "
                    + (
                        f"raise --bit-depth to {count}, or drop it"
                        if count <= BITS[1]
                        else "drop --bit-depth"
                    )
                )
    found = {kind: asked or count for kind, count in counted.items()}
    return Depth(**found)


def depth_notes(peaks: Peaks, depth: Depth, asked: int | None, own: bool = True) -> list[str]:
    """What people must know of the depth that was taken; nothing where all files have 8 bits.

    own: whether the files are the data set's own, so that a bit depth can be given for them.
    """
    notes = []
    for kind, largest in peaks._asdict().items():
        count = getattr(depth, kind)
        if largest is None or count == 1:  # floats that are shares of white
            continue
        hint = ", as asked" if asked is not None else " (another is given with --bit-depth)" if own else ""
        notes.append(
            f"The largest value of image files of more than 8 bits a channel is {largest.value:g} (of "
            f"'{largest.name}'); they are read with a depth of {count} bits{hint}: {2**count - 1} is white."
        )
    return notes
