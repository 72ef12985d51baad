"""What looks an audit takes, written down before each begins, so that an interrupted one takes the same."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from fcdd_audit.core.files import write_text
from fcdd_audit.experiment.records import key_of

FOLDER = "looks"  # in a store


class _Kept(BaseModel):
    """A journal's file."""

    taken: list[list[int]]
    closed: str | None


@dataclass
class Journal:
    """The looks of one nominal class.

    path: of its file; None: what a finished run took, to which nothing is added. taken: at each look, which
    questions were asked. closed: why no further look is taken, or None.
    """

    path: Path | None
    taken: list[list[int]] = field(default_factory=list)
    closed: str | None = None

    @classmethod
    def opened(cls, store: Path, asked: dict[str, Any], questions: int) -> Journal:
        """That of an audit, which is known by what it asks: plain values. questions: how many there are."""
        path = store / FOLDER / f"{key_of(asked)}.json"
        try:
            kept = _Kept.model_validate_json(path.read_text(encoding="utf-8"))
        except (OSError, ValueError):  # none yet, or half of one
            return cls(path)
        if any(not 0 <= place < questions for look in kept.taken for place in look):
            return cls(path)
        return cls(path, kept.taken, kept.closed)

    @classmethod
    def of_finished(
        cls, looks: Sequence[Sequence[int]], planned: Sequence[int], closed: str | None
    ) -> Journal:
        """That of a finished run. looks: of each question, after how many pairs it was judged. planned: the
        numbers of pairs at all looks."""
        taken = [[place for place, own in enumerate(looks) if pairs in own] for pairs in planned]
        return cls(None, [one for one in taken if one], closed)

    @property
    def over(self) -> bool:
        """Whether no further look may be taken."""
        return self.path is None or self.closed is not None

    def begin(self, questions: Sequence[int]) -> None:
        """A further look."""
        self.taken.append(list(questions))
        self._write()

    def close(self, reason: str) -> None:
        """No further look."""
        self.closed = reason
        self._write()

    def _write(self) -> None:
        if self.path is None:
            raise ValueError("a finished run takes no further look")
        self.path.parent.mkdir(exist_ok=True)
        write_text(self.path, _Kept(taken=self.taken, closed=self.closed).model_dump_json() + "\n")
