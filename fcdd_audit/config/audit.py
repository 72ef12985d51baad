"""What was asked, in parts, and how it comes about."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

import torch
from pydantic import ValidationError

from fcdd_audit.config.checks import CANDIDATE, check_config
from fcdd_audit.config.kinds import Names, read, refusal
from fcdd_audit.config.layers import PLURAL, Given, Layer, merge, over, table_of
from fcdd_audit.config.options import read_options
from fcdd_audit.config.parts import (
    ALL,
    ALL_CHECKED,
    ALL_EXPLAINED,
    PARTS,
    ArtifactSettings,
    DataSettings,
    DesignSettings,
    DetectorSettings,
    ExplanationSettings,
    Part,
    RunSettings,
)
from fcdd_audit.config.presets import preset_settings
from fcdd_audit.config.settings import RECIPE, Setting, settings
from fcdd_audit.config.training import make_recipe
from fcdd_audit.core.directions import AUTO
from fcdd_audit.core.errors import InputError
from fcdd_audit.core.recipe import Recipe
from fcdd_audit.core.registry import suggest
from fcdd_audit.datasets import DATASETS, DataRequest
from fcdd_audit.datasets.wordnet import plain
from fcdd_audit.designs import DESIGNS
from fcdd_audit.detectors import DETECTORS, NETWORKS
from fcdd_audit.experiment.folder import MEAN
from fcdd_audit.explainers import EXPLAINERS
from fcdd_audit.natural import NaturalArtifact, make_artifact
from fcdd_audit.probes import Probe
from fcdd_audit.remedies import PLACEBO, REMEDIES

REFERENCES = ("random", "edges")  # maps that know nothing of the model, beside each detector's own explainers


class AuditConfig(Part):
    """One audit, as `make_config` resolves it: nothing in it is changed or filled in later.

    options: of a detector, probe, natural artifact, explainer or remedy, by its name.
    """

    data: DataSettings
    artifact: ArtifactSettings
    detector: DetectorSettings
    design: DesignSettings
    explanation: ExplanationSettings
    run: RunSettings
    options: dict[str, dict[str, Any]]

    def having(self, **changes: Any) -> AuditConfig:
        """The same audit with other settings, by their flat names, as `make_config` takes them.

        What isn't changed stays, what a preset filled in too. None: the preset's, else the default; for
        `recipe` or `options`, of all in that table. InputError as `make_config`.
        """
        parts = {name: value for part in PARTS for name, value in getattr(self, part)}
        kept = merge(parts, {"options": self.options}).values
        reset = {PLURAL.get(name, name) for name, value in changes.items() if value is None}
        left = {name: value for name, value in kept.items() if reset.isdisjoint((name, table_of(name)))}
        if "steps" in reset:  # the epochs beside them counted for nothing
            left.pop("epochs", None)
        return resolve(Given(over(left, merge(changes).values)))

    @property
    def run_name(self) -> str:
        """Name of the run folder: as given, or data set and probes, and whether the detector was finished."""
        suffix = DESIGNS[self.design_name].suffix
        number = (self.artifact.candidate or "").rpartition("#")[2]
        numbered = (number,) if number.isdecimal() else ()
        together = ("together",) if self.artifact.together else ()
        named = "-".join((self.data.dataset, *self.artifact.probes, *numbered, *together))
        return self.run.name or f"{named}{suffix}"

    @property
    def design_name(self) -> str:
        """What the artifact's effect is compared with, by its name in DESIGNS."""
        return "twins" if self.detector.weights is None and self.detector.model is None else "finished"

    def nominal_classes(self) -> tuple[str | None, ...]:
        """The classes to audit one after the other; None: the data set has nothing to choose from.

        InputError for a class that the data set doesn't have.
        """
        known = DATASETS[self.data.dataset]().classes(self.data.data_root)
        wanted = self.data.nominal_class
        if MEAN in known:
            raise InputError(f"a class can't be called '{MEAN}', as means over classes are; rename it")
        if not known:
            if wanted not in ((), (ALL,)):
                raise InputError(
                    f"data set '{self.data.dataset}' has no nominal class to choose; drop --nominal-class"
                )
            return (None,)
        if not wanted:
            return known[:1]
        if ALL in wanted:
            return known
        chosen = tuple(_class_named(name, known) for name in wanted)
        if len(set(chosen)) < len(chosen):
            raise InputError(f"a nominal class is named twice: {', '.join(chosen)}")
        return chosen

    def data_request(self, nominal_class: str | None = None, progress: bool = False) -> DataRequest:
        """What the data set is asked for, with one of its nominal classes."""
        shared = {
            field.name: getattr(self.data, field.name)
            for field in dataclasses.fields(DataRequest)
            if field.name in DataSettings.model_fields and field.name != "nominal_class"
        }
        channels = getattr(NETWORKS[self.detector.recipe.network], "channels", None)
        return DataRequest(**shared, nominal_class=nominal_class, channels=channels, progress=progress)

    def explainers_of(self, detector: str) -> tuple[str, ...]:
        """The explainers that are asked of a detector, in the registry's order; whether they work on it isn't
        said. InputError for an unknown detector."""
        asked = set(self.explanation.explainers)
        if AUTO in asked:
            asked |= {*DETECTORS[detector].explained_by, *REFERENCES}
        return tuple(name for name in EXPLAINERS if name in asked)

    @property
    def remedies(self) -> tuple[str, ...]:
        """The remedies to try by name, in the registry's order, and the placebo beside them; empty: none."""
        asked = set(REMEDIES) if ALL in self.design.remedies else set(self.design.remedies)
        return tuple(name for name in REMEDIES if asked and name in asked | {PLACEBO})

    def make_artifact(self, probe: str | None = None) -> Probe | NaturalArtifact:
        """A probe, a chain of several, or a natural artifact, with its options.

        probe: which of those that are asked about; None: the only one, ValueError where there are others.
        """
        name, options = probe or self.artifact.probe, self.options
        if self.data.strict:  # is checked to have that option
            options = {**options, name: {**options.get(name, {}), "strict": True}}
        if self.artifact.candidate is not None:
            options = {**options, name: {"file": self.artifact.candidate}}
        return make_artifact(name, options)

    def resolve_device(self) -> torch.device:
        """The device that `device` names here; auto: CUDA, then MPS, then the CPU."""
        name = self.run.device
        if name == "auto":
            if torch.cuda.is_available():
                return torch.device("cuda")
            return torch.device("mps" if torch.backends.mps.is_available() else "cpu")
        try:
            device = torch.device(name)
            torch.zeros(1, device=device).item()
            if device.type == "cpu":
                return torch.device("cpu")
        except (RuntimeError, AssertionError, ImportError) as error:
            reason = str(error).splitlines()[0]
            raise InputError(f"device '{name}' can't be used here: {reason}") from None
        return device

    def as_json(self) -> dict[str, Any]:
        """Plain values by part, for config.json."""
        return self.model_dump(mode="json")


def make_config(*layers: Layer | Mapping[str, Any], **changes: Any) -> AuditConfig:
    """An audit from layers of settings, later ones winning, and from keywords, which win over all.

    Names are the flags' with underscores (`detector` or `detectors`, `prevalence`, `epochs`); `recipe` is a
    `Recipe` or a table, `options` a table of tables, `thresholds` a `Thresholds`. None means not given. Text
    is converted, lists may be comma-separated. What isn't given comes from the preset for the data set, else
    it is the default.

    Everything is checked here, before anything is loaded: InputError says what is wrong, and where it is
    from.
    """
    return resolve(merge(*layers, changes))


def resolve(given: Given) -> AuditConfig:
    """The audit that was asked for: with what the preset fills in, read and checked. InputError as
    `make_config`."""
    dataset, preset, explainers = (
        given.plain().get(name, settings()[name].default) for name in ("dataset", "preset", "explainers")
    )
    with given.blamed("dataset"):
        _ = DATASETS[str(dataset)]
    with given.blamed("preset", "dataset"):
        below: dict[str, Any] = {**preset_settings(str(preset), str(dataset))}
    above = dict(given.values)
    if "candidate" in above:
        below["probes"] = CANDIDATE
    with given.blamed("explainers"):
        if read("explainer", Names, explainers) == (ALL,):
            del above["explainers"]
            below |= {"explainers": tuple(EXPLAINERS), "explained": ALL_EXPLAINED, "sanity": ALL_CHECKED}
    given = Given(over(merge(below).values, above))
    parts = {name: _part(kind, given) for name, kind in PARTS.items()}
    config = AuditConfig(**parts, options=read_options(given))  # type: ignore[arg-type]
    check_config(config, given)
    return config


def _part(kind: type[Part], given: Given) -> Part:
    values = {name: value for name, value in given.plain().items() if name in kind.model_fields}
    if RECIPE in kind.model_fields:
        values[RECIPE] = _recipe(given)
    try:
        return kind(**values)
    except ValidationError as error:
        name = str(error.errors()[0]["loc"][0])
        raise InputError(f"{given.where(name)}{refusal(_label(settings()[name]), error)}") from None


def _recipe(given: Given) -> Recipe:
    found = {}
    for name, value in given.plain().items():
        setting = settings().get(name)
        if setting is not None and setting.part == RECIPE:
            with given.blamed(name):
                found[name] = read(_label(setting), setting.kind, value)
                make_recipe({name: found[name]})  # says what is out of its range
    return make_recipe(found)


def _label(setting: Setting) -> str:
    return setting.called.replace("_", " ")


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
