"""What a way to change a training set is, and the registry of these edits."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, fields, replace
from typing import Any, ClassVar, Protocol

from torch import Tensor

from fcdd_audit.core.registry import Registry
from fcdd_audit.core.sides import SIDES, Side
from fcdd_audit.images.sets import ImageSet
from fcdd_audit.probes.base import Probe


@dataclass(frozen=True)
class TrainingSet:
    """What a detector is trained on. bearing: where a found artifact is on the images of each side, bool
    (N, 1, H, W); empty where none is looked for. planted: the same of each artifact that was planted, by its
    name; one without a place is everywhere on the images that bear it."""

    nominal: ImageSet
    anomalous: ImageSet
    bearing: Mapping[Side, Tensor] = field(default_factory=dict)
    planted: Mapping[str, Mapping[Side, Tensor]] = field(default_factory=dict)

    def of(self, side: Side) -> ImageSet:
        return self.nominal if side == "nominal" else self.anomalous

    def having(self, side: Side, images: ImageSet) -> TrainingSet:
        """The same with other images on one side."""
        return replace(self, nominal=images) if side == "nominal" else replace(self, anomalous=images)

    def where(self, artifact: str) -> Mapping[Side, Tensor]:
        """Where an artifact is on the images of each side, planted or found, bool (N, 1, H, W)."""
        return self.planted.get(artifact, self.bearing)

    def only(self, sides: Collection[Side]) -> TrainingSet:
        """The same without images of any other side."""
        if all(side in sides or not len(self.of(side)) for side in SIDES):
            return self
        nominal, anomalous = (self.of(one) if one in sides else self.of(one).take(()) for one in SIDES)

        def kept(where: Mapping[Side, Tensor]) -> Mapping[Side, Tensor]:
            return {side: masks if side in sides else masks[:0] for side, masks in where.items()}

        planted = {name: kept(where) for name, where in self.planted.items()}
        return TrainingSet(nominal, anomalous, kept(self.bearing), planted)

    def content(self) -> str:
        """Hex digests of both sides."""
        return f"{self.nominal.content()} {self.anomalous.content()}"


class Edit(Protocol):
    """One way to change a training set: a frozen dataclass whose fields say how.

    A twin is an edit and a seed. artifacts: the names of those that it plants; a trained cell is known by
    them. removal: how it rids images of a found artifact, in words; None: it doesn't. finds: whether it looks
    where a found artifact is, so that what it makes depends on that.
    """

    @property
    def artifacts(self) -> tuple[str, ...]: ...

    @property
    def finds(self) -> bool: ...

    removal: ClassVar[str | None]

    def apply(
        self, training: TrainingSet, artifacts: Mapping[str, Probe], seed: int, progress: bool = False
    ) -> TrainingSet:
        """The changed set; the given one stays as it is.

        artifacts: by name, those that can be planted. progress: a bar on stderr where it takes long.
        InputError where the set can't be changed so.
        """
        ...


EDITS: Registry[type[Edit]] = Registry("edit")


def removals() -> tuple[str, ...]:
    """The edits that rid images of a found artifact, by name."""
    return tuple(name for name, kind in EDITS.items() if kind.removal is not None)


def described(edit: Edit) -> dict[str, Any]:
    """An edit as plain values: its registered name, and its fields; an edit in a field likewise."""
    (name,) = (name for name, kind in EDITS.items() if type(edit) is kind)
    return {"edit": name, **{one.name: _plain(getattr(edit, one.name)) for one in fields(edit)}}  # type: ignore[arg-type]


def _plain(value: Any) -> Any:
    if isinstance(value, tuple):
        return tuple(map(_plain, value))
    return described(value) if _is_edit(value) else value


def edits_in(edit: Edit) -> tuple[Edit, ...]:
    """An edit, and those in its fields, and in theirs."""
    values = (getattr(edit, one.name) for one in fields(edit))  # type: ignore[arg-type]
    return (edit, *(one for value in values if _is_edit(value) for one in edits_in(value)))


def _is_edit(value: Any) -> bool:
    return type(value) in dict(EDITS.items()).values()


def in_words(edit: Edit) -> str:
    """An edit for people: its name, and how: "plant watermark anomalous 0.2"."""
    return _word(described(edit))


def _word(value: Any) -> str:
    if isinstance(value, dict):
        return " ".join(map(_word, value.values()))
    if isinstance(value, tuple):
        if value and isinstance(value[0], tuple):
            return ", ".join(" ".join(map(_word, one)) for one in value)
        return "+".join(map(_word, value))
    return f"{value:g}" if isinstance(value, float) else str(value)


def edit_from(described: Mapping[str, Any]) -> Edit:
    """What `described` was given, also after a way through JSON."""
    return EDITS[described["edit"]](
        **{key: _made(value) for key, value in described.items() if key != "edit"}
    )


def _made(value: Any) -> Any:
    if isinstance(value, list | tuple):
        return tuple(map(_made, value))
    return edit_from(value) if isinstance(value, dict) else value
