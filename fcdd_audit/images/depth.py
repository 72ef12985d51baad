"""What is white in image files that hold more than 8 bits a channel."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from fcdd_audit.core.errors import InputError

BITS = (8, 16)  # that a bit depth can have
OVERSHOOT = 1.5  # that shares of white may reach: resampling goes a bit beyond 1


@dataclass(frozen=True)
class Depth:
    """The depth of a data set's files that hold more than 8 bits a channel: white is 2^bits - 1.

    integers: bits of whole numbers, 8 to 16. floats: bits of floats, at least 1: with 1 bit they are shares
    of white, and what is a bit above 1.0 is white, too. By default what the types themselves allow: 65535 and
    1.0 are white.
    """

    integers: int = 16
    floats: int = 1

    def white(self, values: np.ndarray) -> int:
        """What is white among values of this type."""
        return int(2 ** (self.floats if values.dtype.kind == "f" else self.integers) - 1)

    def limit(self, values: np.ndarray) -> float:
        """The largest that values of this type may be; those beyond white are white."""
        white = self.white(values)
        return OVERSHOOT if white == 1 else white


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


def depth_of(peaks: Peaks, asked: int | None, own: bool = True) -> Depth:
    """The depth that all files of a data set are read with.

    It is `asked` or, if that is None, the least for which no value is beyond white: a largest value of 4095,
    or of 3000, makes 12 bits. Whole numbers have at least 8 bits. Floats of which none is above 1 are shares
    of white, whatever is asked for; those that reach 1.5 at most are if nothing is asked for. own: whether
    the files are the data set's own, so that a bit depth can be given for them.

    InputError if a file has values beyond the depth that is asked for, if no file has more than 8 bits a
    channel, and for floats of which nothing says what is white: they are no shares of it, and need fewer than
    8 bits.
    """
    least = {
        "integers": max(BITS[0], bits(peaks.integers.value)) if peaks.integers else 0,
        "floats": bits(peaks.floats.value) if peaks.floats else 0,
    }
    # What the bit depth is about: floats that are shares of white have none.
    counted = {kind: count for kind, count in least.items() if count > 1}
    if asked is not None:
        _check_asked(asked, counted, peaks)
        return Depth(**dict.fromkeys(counted, asked))
    if peaks.floats and 1 < counted.get("floats", 0) < BITS[0]:
        if peaks.floats.value > OVERSHOOT:
            raise _without_range(peaks.floats, own)
        del counted["floats"]
    return Depth(**counted)


def _check_asked(asked: int, counted: dict[str, int], peaks: Peaks) -> None:
    """counted: the least bits by kind of values."""
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
                + (f"raise --bit-depth to {count}, or drop it" if count <= BITS[1] else "drop --bit-depth")
            )


def _without_range(floats: Largest, own: bool) -> InputError:
    hint = ", or give n with --bit-depth" if own else ""
    return InputError(
        f"the values of '{floats.name}' are floats up to {floats.value:g}, and what is white can't be told; "
        f"scale them to 0 to 1, or to 0 to 2^n - 1 with n from {BITS[0]} to {BITS[1]}{hint}"
    )


def depth_notes(peaks: Peaks, depth: Depth, asked: int | None, own: bool = True) -> list[str]:
    """What people must know of the depth that was taken; nothing where all files have 8 bits.

    own: whether the files are the data set's own, so that a bit depth can be given for them.
    """
    notes = []
    for kind, largest in peaks._asdict().items():
        count = getattr(depth, kind)
        if largest is None or (count == 1 and largest.value <= 1):  # floats that are shares of white
            continue
        if count == 1:
            notes.append(
                f"The largest value of image files of floats is {largest.value:g} (of '{largest.name}'); "
                "they are read as 0 to 1, and what is above 1 is white."
            )
            continue
        hint = ", as asked" if asked is not None else " (another is given with --bit-depth)" if own else ""
        notes.append(
            f"The largest value of image files of more than 8 bits a channel is {largest.value:g} (of "
            f"'{largest.name}'); they are read with a depth of {count} bits{hint}: {2**count - 1} is white."
        )
    return notes
