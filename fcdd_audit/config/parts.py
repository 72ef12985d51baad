"""The parts of what was asked. Every setting is declared here, once: its kind, default, bounds and meaning.

A setting's name is its flag's with underscores. Neither torch nor a registry is needed: whether a name is
known is checked where the parts are put together.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, PlainSerializer

from fcdd_audit.config.kinds import (
    Bits,
    Count,
    CountOrAuto,
    Finite,
    Flag,
    Names,
    Place,
    Positive,
    Quantile,
    Reals,
    Seconds,
    SomeNames,
    SomeShares,
)
from fcdd_audit.config.training import recipe_settings
from fcdd_audit.core.directions import AUTO
from fcdd_audit.core.recipe import Recipe
from fcdd_audit.verdict.looks import Look, planned_looks, single_look
from fcdd_audit.verdict.thresholds import Thresholds

ALL = "all"  # nominal classes, one after the other; explainers
ALL_EXPLAINED, ALL_CHECKED = 32, 4  # test images of each side, where all explainers are asked for


@dataclass(frozen=True)
class Shown:
    """The default in words, where its value doesn't say it."""

    default: str


PRESETS = Shown("the preset's")


def _folder_name(name: str) -> str:
    if (
        name.strip() in ("", ".", "..")
        or Path(name).name != name
        or "\\" in name
        or not name.isprintable()
        or len(name) > 200
    ):
        raise ValueError("it must be a plain folder name; the parent folder is --out")
    return name


class Part(BaseModel):
    """Settings that belong together."""

    model_config = ConfigDict(frozen=True, extra="forbid", coerce_numbers_to_str=True)


class DataSettings(Part):
    """Where images come from, and how they are read."""

    dataset: str = Field("retina", description="Data set: see 'fcdd-audit list datasets'.")
    data_root: Place | None = Field(None, description="Where the data is.")
    nominal_class: Annotated[Names, Shown("the first")] = Field(
        (), description="Names or indices of classes, to be audited one after the other, or all."
    )
    image_size: Annotated[Positive | None, PRESETS] = Field(None, description="Side of the images, in px.")
    oe: Annotated[str | None, Shown("the data set's")] = Field(
        None,
        description="Outlier exposure: a source, a folder of images, photos, confetti or none.",
    )
    oe_limit: Annotated[Positive | None, PRESETS] = Field(
        None, description="At most so many images of outlier exposure."
    )
    masks_per_defect: Count = Field(
        0, description="Train on so many anomalies with masks of each kind of defect."
    )
    confetti_mask: Annotated[Literal["full", "blob"], PRESETS] = Field(
        "full", description="What is anomalous in an image with confetti: full (all of it) or blob."
    )
    bit_depth: Annotated[Bits | None, Shown("the data set's")] = Field(
        None, description="Bits that the values of deep images use, such as 12 in files of 16."
    )
    skip_corrupt: Flag = Field(False, description="Leave out images that can't be read or decoded.")
    strict: Flag = Field(
        False, description="Refuse annotations with a broken part, instead of leaving that part out."
    )
    cache: Annotated[Place | None, Shown("the user's cache")] = Field(
        None, description="Folder for decoded images."
    )
    download: Flag = Field(False, description="Download missing data where that is possible.")


class ArtifactSettings(Part):
    """The suspected artifacts, and where they are in training."""

    probes: SomeNames = Field(
        ("watermark",),
        description="Artifacts, comma-separated, each asked about by itself; frame+jpeg is one, made of two "
        "that are applied in order.",
    )
    together: Flag = Field(
        False,
        description="Plant all artifacts at once, each on images of its own draw; the control of each has "
        "the others.",
    )
    candidate: Annotated[str | None, Shown("none")] = Field(
        None, description="A discovery's candidate instead of a probe: candidates.json#1."
    )
    plant_on: SomeNames = Field(
        (AUTO,),
        description="Sides that bear it, comma-separated, each asked about by itself, or auto: see "
        "'fcdd-audit list directions'.",
    )
    prevalence: SomeShares = Field(
        (1.0,), description="Shares of that side's training images that bear it, such as 0.2,1."
    )
    halves: SomeNames = Field(
        ("removed", "transplanted"),
        description="How a found artifact is tested: removed from test images that bear it, transplanted to "
        "others, or both, where there are enough images.",
    )
    removal: str = Field(
        "auto", description="How training images lose a found artifact, or auto: see 'fcdd-audit list edits'."
    )

    @property
    def replanted(self) -> bool:
        """Of a found artifact: whether it is to be put on other training images than came with it."""
        return self.plant_on != (AUTO,) or self.prevalence != (1.0,)

    @property
    def probe(self) -> str:
        """The artifact of an audit that asks about one. ValueError where it asks about several."""
        (probe,) = self.probes
        return probe


class DetectorSettings(Part):
    """What is audited, and how it is trained."""

    detectors: SomeNames = Field(("fcdd", "hsc", "ae"), description="Detectors, comma-separated.")
    weights: Place | None = Field(
        None,
        description="Of a finished detector: a safetensors file, or a record's folder; nothing is trained.",
    )
    model: str | None = Field(
        None,
        description="A finished detector of any kind: a file, or package.module:factory (docs/models.md); "
        "nothing is trained.",
    )
    mean: Reals | None = Field(
        None,
        description="Taken off the images, in [0, 1], before --model gets them: one number, or one a "
        "channel.",
    )
    std: Reals | None = Field(None, description="What they are then divided by.")
    trust_model: Flag = Field(
        False,
        description="Load a --model file that can run code when it is loaded, such as .pt2 or TorchScript.",
    )
    preset: str = Field("quick", description="quick or paper: recipe, image size and more, by data set.")
    recipe: Annotated[Recipe, PlainSerializer(recipe_settings)] = Field(
        default_factory=Recipe, description="Training."
    )


class DesignSettings(Part):
    """What an effect is compared with, and what a verdict depends on."""

    seeds: CountOrAuto = Field(
        "auto",
        description="Pairs of twins: auto, until all is settled, or a number; at least 3 for a verdict.",
    )
    max_seeds: Positive = Field(16, description="At most so many pairs of twins with --seeds auto.")
    budget: Annotated[Seconds | None, Shown("none")] = Field(
        None, description="Begin no look that would end later than this, such as 90s, 3m or 1h."
    )
    threshold: Finite | None = Field(
        None,
        description="Of a finished detector: a score above it is an alarm; else the 95 % quantile of "
        "held-out nominal images.",
    )
    placebos: CountOrAuto = Field(
        "auto",
        description="Marks that a finished detector is tested with: auto, as many as are needed, or more.",
    )
    dose: Flag = Field(
        False,
        description="Of a finished detector: how much of the artifact it takes, and where, in any case.",
    )
    thresholds: Thresholds = Field(
        default_factory=Thresholds, description="Every constant that a verdict depends on."
    )
    remedies: Names = Field(
        (),
        description="Where the score relies on the artifact: remedies to try, comma-separated, or all: see "
        "'fcdd-audit list remedies'.",
    )
    calibration: Annotated[Place | None, Shown("that of the default settings")] = Field(
        None, description="The calibration.json whose error rates are reported."
    )

    @property
    def looks(self) -> tuple[Look, ...]:
        """When pairs of twins are judged."""
        return planned_looks(self.max_seeds) if self.seeds == "auto" else single_look(self.seeds)

    @property
    def most_pairs(self) -> int:
        """How many pairs of twins there are at most."""
        return self.looks[-1].pairs


class ExplanationSettings(Part):
    """What is explained, how, and how it is shown."""

    explainers: SomeNames = Field(
        (AUTO,),
        description="Explainers, comma-separated; auto: each detector's own (docs/explanations.md); or all.",
    )
    explained: Annotated[
        Count | None, Shown(f"4 for each pair, at least 16, or {ALL_EXPLAINED} with all explainers")
    ] = Field(None, description="At most so many test images of each side are explained; 0: all.")
    sanity: Annotated[Count, Shown(f"0, or {ALL_CHECKED} with all explainers")] = Field(
        0, description="So many of each side serve to check the explanations themselves."
    )
    quantile: Annotated[Quantile, PRESETS] = Field(
        0.97, description="Of the heat that is shown brightest in heatmaps (the paper's eta)."
    )


class RunSettings(Part):
    """Where cells run, and where results go."""

    device: str = Field("auto", description="auto, cpu, cuda, cuda:1 or mps.")
    workers: Annotated[Positive | None, Shown("one a core")] = Field(
        None, description="Processes for cells on the CPU; with --engine ray, stacks of them at once."
    )
    engine: str = Field("local", description="Where cells are trained: see 'fcdd-audit list engines'.")
    address: Annotated[str | None, Shown("this machine")] = Field(
        None, description="Of a running Ray cluster, for --engine ray: HOST:PORT, or auto (docs/engines.md)."
    )
    out: Place = Field(Path("reports"), description="Parent of the run folder.")
    name: Annotated[Annotated[str, AfterValidator(_folder_name)] | None, Shown("DATASET-PROBE")] = Field(
        None, description="Name of the run folder."
    )
    export: Annotated[Place | None, Shown("none")] = Field(
        None, description="Folder for what remedies make: training images, or a detector's weights."
    )
    store: Annotated[Place | None, Shown("store, in the run folder")] = Field(
        None, description="Folder of what is trained and measured, which runs can share."
    )


PARTS: dict[str, type[Part]] = {
    "data": DataSettings,
    "artifact": ArtifactSettings,
    "detector": DetectorSettings,
    "design": DesignSettings,
    "explanation": ExplanationSettings,
    "run": RunSettings,
}
