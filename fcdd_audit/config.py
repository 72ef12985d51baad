"""What was asked: one validated description of an audit, from defaults, a file, the environment and flags."""

from __future__ import annotations

import ast
import dataclasses
import inspect
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch

from fcdd_audit.datasets import DATASETS, DataRequest
from fcdd_audit.detectors import DETECTORS, SIDES, Recipe
from fcdd_audit.errors import InputError
from fcdd_audit.explainers import EXPLAINERS
from fcdd_audit.probes import PROBES, Probe
from fcdd_audit.registry import check_options, suggest
from fcdd_audit.verdict import Thresholds

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

ENVIRONMENT = "FCDD_AUDIT_"
TEST_DATA = "FCDD_AUDIT_TEST_DATA"  # where the tests find images; no setting
PLANT_ON = ("auto", *SIDES)


@dataclass(frozen=True)
class AuditConfig:
    """One audit. Everything is checked here, before anything is loaded: InputError says what is wrong.

    dataset, probe, detectors, explainers: registered names. data_root, image_size, oe, skip_corrupt: passed
    to the data set. plant_on: nominal, anomalous, or auto: the side each detector learns a cue from.
    prevalence: shares of that side's training images that bear the artifact. seeds: twins are trained for
    seeds 0 to seeds - 1. device: auto, cpu, cuda, cuda:1, mps. workers: processes for cells on the CPU.
    out, name: the run folder is out/name. recipe: training. options: by the name of a detector or probe.
    thresholds: what the verdict depends on. Lists may be comma-separated text, paths may be text.
    """

    dataset: str = "textures"
    probe: str = "watermark"
    detectors: tuple[str, ...] = ("fcdd", "hsc", "ae")
    explainers: tuple[str, ...] = ("native", "grad-cam", "gradient", "random", "edges")
    data_root: Path | None = None
    image_size: int | None = None
    oe: str | None = None
    skip_corrupt: bool = False
    plant_on: str = "auto"
    prevalence: tuple[float, ...] = (1.0,)
    seeds: int = 3
    device: str = "auto"
    workers: int | None = None
    out: Path = Path("reports")
    name: str | None = None
    recipe: Recipe = field(default_factory=Recipe)
    options: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    thresholds: Thresholds = field(default_factory=Thresholds)

    def __post_init__(self) -> None:
        for name, value in vars(self).items():
            if value is not None:
                object.__setattr__(self, name, _convert(name, value))
        _ = DATASETS[self.dataset]
        for kind, registry, names in (
            ("detector", DETECTORS, self.detectors),
            ("explainer", EXPLAINERS, self.explainers),
        ):
            for name in names:
                _ = registry[name]
            _check(len(names) > 0, f"no {kind} given; name at least one with --{kind}")
            _check(len(set(names)) == len(names), f"a {kind} is named twice: {', '.join(names)}")
        _check(
            self.plant_on in PLANT_ON,
            f"unknown side '{self.plant_on}' for --plant-on{suggest(self.plant_on, list(PLANT_ON))} "
            f"(known: {', '.join(PLANT_ON)})",
        )
        _check(len(self.prevalence) > 0, "no prevalence given; give at least one with --prevalence")
        for value in self.prevalence:
            _check(0 <= value <= 1, f"prevalence is {value:g}; it is a share and must be in [0, 1]")
        _check(len(set(self.prevalence)) == len(self.prevalence), "a prevalence is given twice")
        _check(self.seeds >= 1, f"seeds is {self.seeds}; at least 1 is needed, 3 for a verdict")
        _check(
            self.image_size is None or self.image_size >= 1,
            f"image size is {self.image_size}; it must be at least 1 px",
        )
        _check(
            self.workers is None or self.workers >= 1,
            f"workers is {self.workers}; it must be at least 1",
        )
        name = self.run_name
        _check(
            name.strip() not in ("", ".", "..")
            and Path(name).name == name
            and name.isprintable()
            and len(name) <= 200
            and "\\" not in name,
            f"run name {name!r} must be a plain folder name; the parent folder is --out",
        )
        known = [*DETECTORS, *PROBES]
        for target in self.options:
            _check(
                target in known,
                f"options for unknown detector or probe '{target}'{suggest(target, known)}",
            )
        self.make_probe()
        for detector in self.detectors:
            check_options(detector, DETECTORS[detector], self.options.get(detector, {}))

    @property
    def run_name(self) -> str:
        """Name of the run folder: as given, or data set and probe."""
        return f"{self.dataset}-{self.probe}" if self.name is None else self.name

    def data_request(self, progress: bool = False) -> DataRequest:
        """What the data set is asked for."""
        return DataRequest(self.data_root, self.image_size, self.oe, self.skip_corrupt, progress)

    def make_probe(self) -> Probe:
        """The probe with its options."""
        kind, options = PROBES[self.probe], self.options.get(self.probe, {})
        check_options(self.probe, kind, options)
        return kind(**options)

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


def _check(holds: bool, message: str) -> None:
    if not holds:
        raise InputError(message)


LISTS = {"detector": "detectors", "explainer": "explainers"}
RECIPE_FIELDS = tuple(f.name for f in dataclasses.fields(Recipe))


def read_config(path: Path) -> dict[str, Any]:
    """Settings of a TOML file, with tables [recipe] and [options.NAME]. InputError if unreadable."""
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise InputError(f"can't read config file '{path}': {error.strerror}") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise InputError(f"config file '{path}' is no valid TOML: {error}") from None


def read_environment(environment: Mapping[str, str]) -> dict[str, Any]:
    """Settings from variables such as FCDD_AUDIT_SEEDS=5; InputError names the variable."""
    settings: dict[str, Any] = {}
    for variable, value in environment.items():
        if variable.startswith(ENVIRONMENT) and variable != TEST_DATA:
            setting = {variable.removeprefix(ENVIRONMENT).lower(): value}
            try:
                make_config(setting)
            except InputError as error:
                raise InputError(f"variable {variable}: {error}") from None
            settings |= setting
    return settings


def parse_option(assignment: str) -> tuple[str, str, Any]:
    """`watermark.text=(c) me` as (name, option, value); the value as a Python literal, else as text."""
    target, equals, text = assignment.partition("=")
    name, dot, option = target.strip().partition(".")
    if not (equals and dot and name and option):
        raise InputError(f"--set '{assignment}' must read NAME.OPTION=VALUE, as in watermark.size=0.5")
    try:
        value = ast.literal_eval(text)
    except (ValueError, SyntaxError, TypeError, MemoryError, RecursionError):
        value = text
    return name, option, text if _takes_text(name, option) and not isinstance(value, str) else value


def _takes_text(name: str, option: str) -> bool:
    """Whether the option's default is text: then digits are text too."""
    known: dict[str, type] = {**dict(PROBES.items()), **dict(DETECTORS.items())}
    if name not in known:
        return False
    parameter = inspect.signature(known[name]).parameters.get(option)
    return parameter is not None and isinstance(parameter.default, str)


def make_config(*layers: Mapping[str, Any]) -> AuditConfig:
    """An AuditConfig from layers of settings, later ones winning; None means not given.

    Keys are the long flags' names with underscores (`detector`, `prevalence`, `epochs`), plus the tables
    `recipe` and `options`. Text is converted, lists may be comma-separated. InputError for anything unknown
    or malformed.
    """
    settings: dict[str, Any] = {}
    recipe: dict[str, Any] = {}
    options: dict[str, dict[str, Any]] = {}
    known = [f.name for f in dataclasses.fields(AuditConfig) if f.name != "thresholds"]
    for layer in layers:
        for key, value in layer.items():
            key = LISTS.get(key, key)
            if value is None:
                continue
            if key == "options":
                for name, values in _table(key, value).items():
                    options.setdefault(name, {}).update(_table(f"options.{name}", values))
            elif key == "recipe":
                recipe.update(_table(key, value))
            elif key in RECIPE_FIELDS:
                recipe[key] = value
            elif key in known:
                settings[key] = value
            else:
                raise InputError(f"unknown setting '{key}'{suggest(key, [*known, *RECIPE_FIELDS])}")
    for key in recipe:
        if key not in RECIPE_FIELDS:
            raise InputError(f"unknown recipe setting '{key}'{suggest(key, list(RECIPE_FIELDS))}")
    defaults = Recipe()
    numbers = {key: _number(key, value, type(getattr(defaults, key))) for key, value in recipe.items()}
    return AuditConfig(**settings, recipe=Recipe(**numbers), options=options)


def _table(key: str, value: Any) -> Mapping[str, Any]:
    if not isinstance(value, Mapping):
        raise InputError(f"setting '{key}' must be a table")
    return value


def _items(value: Any) -> list[Any]:
    if isinstance(value, str):
        return [item.strip() for item in value.split(",") if item.strip()]
    return list(value) if isinstance(value, list | tuple) else [value]


def _number(key: str, value: Any, kind: type) -> Any:
    label = key.replace("_", " ")
    if isinstance(value, bool):
        raise InputError(f"{label} is {value}; a number is needed")
    try:
        number = kind(value)
    except (TypeError, ValueError, OverflowError):
        raise InputError(f"{label} is '{value}'; a number is needed") from None
    if kind is int and number != float(value):
        raise InputError(f"{label} is {value}; a whole number is needed")
    return number


def _convert(key: str, value: Any) -> Any:
    """A setting in its own type; InputError if it can't be read so."""
    if key in ("detectors", "explainers"):
        return tuple(str(item) for item in _items(value))
    if key == "prevalence":
        return tuple(_number(key, item, float) for item in _items(value))
    if key in ("seeds", "workers", "image_size"):
        return _number(key, value, int)
    if key in ("data_root", "out"):
        if not isinstance(value, str | Path):
            raise InputError(f"{key.replace('_', ' ')} is {value!r}; a path is needed")
        return Path(value).expanduser()
    if key == "skip_corrupt":
        if isinstance(value, bool):
            return value
        if str(value).lower() in ("1", "true", "yes", "0", "false", "no"):
            return str(value).lower() in ("1", "true", "yes")
        raise InputError(f"skip corrupt is '{value}'; true or false is needed")
    kinds: dict[str, type] = {"recipe": Recipe, "options": Mapping, "thresholds": Thresholds}
    if key not in kinds:
        return str(value)
    if not isinstance(value, kinds[key]):
        raise InputError(f"{key} is {value!r}; a {kinds[key].__name__} is needed")
    return value
