"""What was asked: one validated description of an audit."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch

from fcdd_audit.config.convert import RECIPE_FIELDS, check, convert, parse_option, recipe_value
from fcdd_audit.config.presets import DEFAULT as DEFAULT_PRESET
from fcdd_audit.config.presets import preset_settings
from fcdd_audit.core.directions import AUTO, plantable
from fcdd_audit.core.errors import InputError
from fcdd_audit.core.recipe import Recipe
from fcdd_audit.core.registry import check_options, suggest
from fcdd_audit.datasets import DATASETS, DataRequest
from fcdd_audit.datasets.wordnet import plain
from fcdd_audit.designs import DESIGNS
from fcdd_audit.designs.placebos import placebos_needed
from fcdd_audit.detectors import DETECTORS, NETWORKS, NORMALISATIONS
from fcdd_audit.edits.base import removals
from fcdd_audit.experiment.folder import MEAN
from fcdd_audit.explainers import EXPLAINERS, make_explainer
from fcdd_audit.natural import NATURAL, NaturalArtifact, check_artifact, make_artifact
from fcdd_audit.probes import PROBES, Probe
from fcdd_audit.verdict.thresholds import Thresholds

PLANT_ON = (AUTO, *plantable())
CONFETTI_MASKS = ("full", "blob")
# Are for twins; a finished detector has none.
OF_TWINS = ("plant_on", "prevalence", "control", "seeds", "calibration")
ALL = "all"  # nominal classes, one after the other; explainers
ALL_EXPLAINED, ALL_CHECKED = 32, 4  # test images of each side, where all explainers are asked for
DISPLAY_QUANTILE = 0.97


@dataclass(frozen=True)
class AuditConfig:
    """One audit. Everything is checked here, before anything is loaded: InputError says what is wrong.

    dataset, detectors, explainers: registered names, or `all` explainers. probe: a registered name too, or
    several to apply in order: a+b; or an artifact that is found on the images, not planted.
    preset: where the recipe and other settings that aren't given come from (`fcdd-audit list presets`).
    nominal_class: names or indices of the data set's classes, or all; empty: its first. data_root,
    image_size, oe, oe_limit, masks_per_defect, confetti_mask, skip_corrupt, cache, download: passed to the
    data set (see DataRequest). quantile: of the heat that is shown brightest in heatmaps (the paper's eta).
    plant_on: nominal, anomalous, or auto: the side each detector learns a cue from; or, where the artifact
    tells sources of images apart: oe, on outlier exposure only, or all-but-oe, on everything else, test
    images too. prevalence: shares of those training images that bear the artifact. control: of a found
    artifact, how the control's training images are rid of it: drop, inpaint, or auto (see `found.remove`).
    explained: at most so many test images of each side are explained; 0: all. sanity: on how many of them of
    each side explanations are checked (randomised weights, noise, deletion and insertion, cost); both by
    default 0, or 32 and 4 where the explainers are `all`.
    seeds: twins are trained for seeds 0 to seeds - 1. device: auto, cpu, cuda, cuda:1, mps. workers:
    processes for cells on the CPU. out, name: the run folder is out/name. recipe: training. options: by the
    name of a detector, probe or explainer. thresholds: what the verdict depends on. calibration: the
    calibration.json whose error rates are reported beside the verdicts; by default that of the default
    settings. Lists may be comma-separated text, paths may be text.
    weights: of a finished detector, a safetensors file or the folder of a run's cell; then nothing is
    trained, and what the artifact does to its scores is compared with what so many `placebos` do.

    What the preset filled in stays in copies by `dataclasses.replace`, whatever data set or preset they get.
    """

    dataset: str = "textures"
    probe: str = "watermark"
    detectors: tuple[str, ...] = ("fcdd", "hsc", "ae")
    explainers: tuple[str, ...] = ("native", "grad-cam", "gradient", "random", "edges")
    preset: str = DEFAULT_PRESET
    nominal_class: tuple[str, ...] = ()
    data_root: Path | None = None
    image_size: int | None = None
    oe: str | None = None
    oe_limit: int | None = None
    masks_per_defect: int = 0
    confetti_mask: str | None = None
    skip_corrupt: bool = False
    cache: Path | None = None
    download: bool = False
    quantile: float | None = None
    plant_on: str = "auto"
    prevalence: tuple[float, ...] = (1.0,)
    control: str = "auto"
    explained: int | None = None
    sanity: int | None = None
    seeds: int = 5
    weights: Path | None = None
    placebos: int = 99
    device: str = "auto"
    workers: int | None = None
    out: Path = Path("reports")
    name: str | None = None
    recipe: Recipe = field(default=None)  # type: ignore[assignment]  # the preset's
    options: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    thresholds: Thresholds = field(default_factory=Thresholds)
    calibration: Path | None = None

    def __post_init__(self) -> None:
        for name, value in vars(self).items():
            if value is not None:
                object.__setattr__(self, name, convert(name, value))
        _ = DATASETS[self.dataset]
        self._fill_in_explanations()
        check_artifact(self.probe)
        self._fill_in(read_preset(self.preset, self.dataset))
        check(
            self.confetti_mask in CONFETTI_MASKS,
            f"confetti mask is '{self.confetti_mask}'; it must be {' or '.join(CONFETTI_MASKS)}",
        )
        check(
            self.quantile is not None and 0 < self.quantile <= 1,
            f"quantile is {self.quantile}; it must be in (0, 1]",
        )
        check(
            self.oe_limit is None or self.oe_limit >= 1,
            f"oe limit is {self.oe_limit}; it must be at least 1 image",
        )
        check(
            self.masks_per_defect >= 0,
            f"masks per defect is {self.masks_per_defect}; it must be at least 0",
        )
        for kind, registry, names in (
            ("detector", DETECTORS, self.detectors),
            ("explainer", EXPLAINERS, self.explainers),
        ):
            for name in names:
                _ = registry[name]
            check(len(names) > 0, f"no {kind} given; name at least one with --{kind}")
            check(len(set(names)) == len(names), f"a {kind} is named twice: {', '.join(names)}")
        check(
            self.plant_on in PLANT_ON,
            f"unknown side '{self.plant_on}' for --plant-on{suggest(self.plant_on, list(PLANT_ON))} "
            f"(known: {', '.join(PLANT_ON)})",
        )
        check(len(self.prevalence) > 0, "no prevalence given; give at least one with --prevalence")
        for value in self.prevalence:
            check(0 <= value <= 1, f"prevalence is {value:g}; it is a share and must be in [0, 1]")
        check(len(set(self.prevalence)) == len(self.prevalence), "a prevalence is given twice")
        check(self.seeds >= 1, f"seeds is {self.seeds}; at least 1 is needed, 3 for a verdict")
        check(
            self.image_size is None or self.image_size >= 1,
            f"image size is {self.image_size}; it must be at least 1 px",
        )
        check(
            self.workers is None or self.workers >= 1,
            f"workers is {self.workers}; it must be at least 1",
        )
        self._check_finished()
        name = self.run_name
        check(
            name.strip() not in ("", ".", "..")
            and Path(name).name == name
            and name.isprintable()
            and len(name) <= 200
            and "\\" not in name,
            f"run name {name!r} must be a plain folder name; the parent folder is --out",
        )
        _ = NETWORKS[self.recipe.network]
        check(
            self.recipe.normalise in NORMALISATIONS,
            f"unknown normalisation '{self.recipe.normalise}'"
            f"{suggest(self.recipe.normalise, list(NORMALISATIONS))} (known: {', '.join(NORMALISATIONS)})",
        )
        check(
            self.control in (AUTO, *removals()),
            f"unknown control '{self.control}'{suggest(self.control, [AUTO, *removals()])} "
            f"(known: {', '.join((AUTO, *removals()))})",
        )
        if self.probe in NATURAL:
            check(
                self.plant_on == "auto" and self.prevalence == (1.0,),
                f"'{self.probe}' is found on images, not planted: it takes no --plant-on and no --prevalence "
                "and can't be calibrated",
            )
        else:
            check(
                self.control == "auto",
                f"control '{self.control}' is for artifacts that are found on images, and '{self.probe}' is "
                "planted; drop --control",
            )
        known = [*DETECTORS, *PROBES, *NATURAL, *EXPLAINERS]
        for target in self.options:
            check(
                target in known,
                f"options for unknown detector, probe or explainer '{target}'{suggest(target, known)}",
            )
        self.make_artifact()
        for explainer in EXPLAINERS:  # those that aren't asked for too: a typo is said
            make_explainer(explainer, self.options)
        for detector in self.detectors:
            check_options(detector, DETECTORS[detector], self.options.get(detector, {}))

    def _fill_in_explanations(self) -> None:
        """Explainers by name, and on how many images."""
        everything = self.explainers == (ALL,)
        if everything:
            object.__setattr__(self, "explainers", tuple(EXPLAINERS))
        for name, default in (("explained", ALL_EXPLAINED), ("sanity", ALL_CHECKED)):
            if getattr(self, name) is None:
                object.__setattr__(self, name, default if everything else 0)
            value = getattr(self, name)
            check(value >= 0, f"{name} is {value}; it must be at least 0 images of each side")

    def _check_finished(self) -> None:
        """What a finished detector needs, and what only it or only twins can have."""
        if self.weights is None:
            check(
                self.placebos == AuditConfig.placebos,
                f"--placebos {self.placebos} is for finished detectors; name the weights of one with "
                "--weights, or drop it",
            )
            return
        check(
            len(self.detectors) == 1,
            f"weights are of one detector, and not of {', '.join(self.detectors)}; name the detector with "
            "--detector",
        )
        for name in OF_TWINS:
            check(
                getattr(self, name) == getattr(AuditConfig, name),
                f"--{name.replace('_', '-')} is for twins, and with --weights nothing is trained; drop one "
                "of them",
            )
        check(
            self.probe not in NATURAL,
            f"placebos are put on images, and '{self.probe}' is found on them; use a probe that is planted, "
            "or train twins without --weights",
        )
        check(
            len(self.nominal_class) <= 1 and ALL not in self.nominal_class,
            "a finished detector has learnt one nominal class; name one with --nominal-class",
        )
        needed = placebos_needed(1 - self.thresholds.confidence)
        check(
            self.placebos >= needed,
            f"placebos is {self.placebos}; at least {needed} are needed for a p-value of "
            f"{1 - self.thresholds.confidence:.2g} on two sides",
        )

    def _fill_in(self, preset: _Preset) -> None:
        """Take what wasn't given from the preset, else from the tool's defaults."""
        defaults = {"confetti_mask": CONFETTI_MASKS[0], "quantile": DISPLAY_QUANTILE, **preset.settings}
        filled: dict[str, Any] = {
            name: value for name, value in defaults.items() if getattr(self, name) is None
        }
        if self.recipe is None:
            filled["recipe"] = Recipe(**preset.recipe)
        targets = [*preset.options, *(name for name in self.options if name not in preset.options)]
        filled["options"] = {
            name: {**preset.options.get(name, {}), **self.options.get(name, {})} for name in targets
        }
        for name, value in filled.items():
            object.__setattr__(self, name, value)

    def nominal_classes(self) -> tuple[str | None, ...]:
        """The classes to audit one after the other; None: the data set has nothing to choose from.

        InputError for a class that the data set doesn't have.
        """
        known = DATASETS[self.dataset]().classes(self.data_root)
        check(MEAN not in known, f"a class can't be called '{MEAN}', as means over classes are; rename it")
        wanted = self.nominal_class
        if not known:
            check(
                not wanted or wanted == (ALL,),
                f"data set '{self.dataset}' has no nominal class to choose; drop --nominal-class",
            )
            return (None,)
        if not wanted:
            return known[:1]
        if ALL in wanted:
            return known
        chosen = tuple(_class_named(name, known) for name in wanted)
        check(len(set(chosen)) == len(chosen), f"a nominal class is named twice: {', '.join(chosen)}")
        return chosen

    @property
    def run_name(self) -> str:
        """Name of the run folder: as given, or data set and probe, and whether the detector was finished."""
        suffix = DESIGNS[self.design_name].suffix
        return f"{self.dataset}-{self.probe}{suffix}" if self.name is None else self.name

    @property
    def design_name(self) -> str:
        """What the artifact's effect is compared with, by its name in DESIGNS."""
        return "twins" if self.weights is None else "finished"

    def data_request(self, nominal_class: str | None = None, progress: bool = False) -> DataRequest:
        """What the data set is asked for, with one of its nominal classes."""
        shared = {
            f.name: getattr(self, f.name)
            for f in dataclasses.fields(DataRequest)
            if hasattr(self, f.name) and f.name != "nominal_class"
        }
        channels = getattr(NETWORKS[self.recipe.network], "channels", None)
        return DataRequest(**shared, nominal_class=nominal_class, channels=channels, progress=progress)

    def make_artifact(self) -> Probe | NaturalArtifact:
        """The probe, the chain of several, or the natural artifact, with its options."""
        return make_artifact(self.probe, self.options)

    def resolve_device(self) -> torch.device:
        """The device that `device` names here; auto: CUDA, then MPS, then the CPU."""
        if self.device == "auto":
            if torch.cuda.is_available():
                return torch.device("cuda")
            return torch.device("mps" if torch.backends.mps.is_available() else "cpu")
        try:
            device = torch.device(self.device)
            torch.zeros(1, device=device).item()
            if device.type == "cpu":
                return torch.device("cpu")
        except (RuntimeError, AssertionError, ImportError) as error:
            reason = str(error).splitlines()[0]
            raise InputError(f"device '{self.device}' can't be used here: {reason}") from None
        return device

    def as_json(self) -> dict[str, Any]:
        """Plain values, for config.json."""
        return {key: _plain(value) for key, value in dataclasses.asdict(self).items()}


def _plain(value: Any) -> Any:
    if isinstance(value, Path):
        return value.as_posix()
    return dict(value) if isinstance(value, Mapping) else value


def _class_named(wanted: str, known: tuple[str, ...]) -> str:
    """The class with this name or index."""
    by_name = {plain(name): name for name in known}
    if wanted in known:
        return wanted
    if plain(wanted) in by_name:
        return by_name[plain(wanted)]
    if wanted.isdecimal() and int(wanted) < len(known):
        return known[int(wanted)]
    raise InputError(
        f"no nominal class '{wanted}'{suggest(wanted, list(known))} (known: 0 to {len(known) - 1}, or "
        f"{', '.join(known)}, or all)"
    )


@dataclass(frozen=True)
class _Preset:
    """A preset's settings by where they belong."""

    settings: dict[str, Any]
    recipe: dict[str, Any]
    options: dict[str, dict[str, Any]]


def read_preset(name: str, dataset: str) -> _Preset:
    found = _Preset({}, {}, {})
    for setting, text in preset_settings(name, dataset).items():
        if "." in setting:
            target, option, value = parse_option(f"{setting}={text}")
            found.options.setdefault(target, {})[option] = value
        elif setting in RECIPE_FIELDS:
            found.recipe[setting] = recipe_value(setting, text)
        else:
            found.settings[setting] = convert(setting, text)
    return found
