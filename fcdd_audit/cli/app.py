"""The command line: parse and call."""

from __future__ import annotations

import io
import json
import logging
import os
import sys
import traceback
import warnings
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NoReturn

import typer
from typer.core import TyperGroup

from fcdd_audit.cli.tables import (
    print_comparison,
    print_findings,
    print_rates,
    print_table,
)
from fcdd_audit.core.errors import AuditError, InputError

if TYPE_CHECKING:
    from fcdd_audit.auditing import AuditResult
    from fcdd_audit.config.audit import AuditConfig
    from fcdd_audit.core.registry import Registry

EXIT_FOUND, EXIT_INCONCLUSIVE, EXIT_FAILED, EXIT_INTERRUPTED = 1, 3, 4, 130
GATES = ("clever-hans",)
NO_SETTINGS = (  # parameters of commands that don't say what an audit is
    *("config", "option", "fail_on", "dry_run", "as_json", "quiet", "open_report", "debug"),
    *("audits", "nulls", "decoy"),
)

UsageError: type[Exception] = typer.BadParameter.__bases__[0]  # typer doesn't export it


class OneLineErrors(TyperGroup):
    """Commands whose usage errors are one line on stderr."""

    def main(self, *args: Any, standalone_mode: bool = True, **extra: Any) -> Any:
        if not standalone_mode:
            return super().main(*args, standalone_mode=False, **extra)  # type: ignore[misc]
        try:
            code = super().main(*args, standalone_mode=False, **extra)  # type: ignore[misc]
        except UsageError as error:
            if type(error).__name__ == "NoArgsIsHelpError":
                error.show()  # type: ignore[attr-defined]
            else:
                _print_error(f"{error.format_message()} (see --help)")  # type: ignore[attr-defined]
            code = InputError.exit_code
        except typer.Abort:
            code = EXIT_INTERRUPTED
        sys.exit(code if isinstance(code, int) else 0)


app = typer.Typer(
    cls=OneLineErrors,
    help="Find Clever Hans features in deep one-class anomaly detectors.",
    no_args_is_help=True,
    context_settings={"help_option_names": ["-h", "--help"]},
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    add_completion=False,
)
listing = typer.Typer(help="List what can be named on the command line.", no_args_is_help=True)
app.add_typer(listing, name="list")

Dataset = Annotated[str | None, typer.Option(help="Data set  [default: textures]")]
ProbeName = Annotated[str | None, typer.Option(help="Artifact, or several: frame+jpeg  [default: watermark]")]
Detectors = Annotated[str | None, typer.Option(help="Detectors, comma-separated  [default: fcdd,hsc,ae]")]
NominalClass = Annotated[
    str | None,
    typer.Option(help="Names or indices of classes, comma-separated, or all  [default: the first]"),
]
PresetName = Annotated[
    str | None, typer.Option(help="quick or paper: recipe and image size  [default: quick]")
]
ImageSize = Annotated[int | None, typer.Option(help="Side of the images, in pixels.")]
OutlierExposure = Annotated[
    str | None,
    typer.Option(help="Outlier exposure: a source, a folder of images, photos, confetti or none."),
]
OutlierLimit = Annotated[int | None, typer.Option(help="At most so many images of outlier exposure.")]
Epochs = Annotated[int | None, typer.Option(help="Training epochs  [default: the preset's]")]
BatchSize = Annotated[int | None, typer.Option(help="Images a step  [default: the preset's]")]
LearningRate = Annotated[float | None, typer.Option(help="Learning rate  [default: the preset's]")]
NetworkName = Annotated[
    str | None, typer.Option(help="See 'fcdd-audit list networks'  [default: the preset's]")
]
Options = Annotated[
    list[str] | None,
    typer.Option(
        "--set",
        help="Option of a detector or probe, or any setting of the recipe: watermark.text='(c) me', "
        "recipe.flip=0. Repeatable.",
    ),
]
Device = Annotated[str | None, typer.Option(help="auto, cpu, cuda, cuda:1, mps")]
Workers = Annotated[int | None, typer.Option(help="Processes for cells on the CPU  [default: one a core]")]
ConfigFile = Annotated[Path | None, typer.Option(help="TOML file with any of these settings.")]
Out = Annotated[Path | None, typer.Option(help="Parent of the run folder  [default: reports]")]
Cache = Annotated[Path | None, typer.Option(help="Folder for decoded images  [default: the user's cache]")]
Download = Annotated[bool, typer.Option("--download", help="Download missing data where that is possible.")]
SkipCorrupt = Annotated[bool, typer.Option("--skip-corrupt", help="Leave out images that can't be decoded.")]
Quiet = Annotated[bool, typer.Option("--quiet", help="No progress, no table.")]
DataRoot = Annotated[Path | None, typer.Option(help="Where the data is.")]
Debug = Annotated[bool, typer.Option("--debug", help="Show the traceback of an error.")]


def _version(wanted: bool) -> None:
    if wanted:
        from fcdd_audit._version import __version__

        print(f"fcdd-audit {__version__}")
        raise typer.Exit


@app.callback()
def root(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    """Find Clever Hans features in deep one-class anomaly detectors."""


@app.command(
    epilog="Example: fcdd-audit run --dataset folder --data-root my-images --detector fcdd --seeds 7"
)
def run(
    dataset: Dataset = None,
    probe: ProbeName = None,
    detector: Detectors = None,
    explainer: Annotated[
        str | None,
        typer.Option(
            help="Explainers, comma-separated, or all  [default: native,grad-cam,gradient,random,edges]"
        ),
    ] = None,
    explained: Annotated[
        int | None,
        typer.Option(help="At most so many test images of each side are explained; 0: all  [default: 0]"),
    ] = None,
    sanity: Annotated[
        int | None,
        typer.Option(help="So many of each side serve to check the explanations themselves  [default: 0]"),
    ] = None,
    data_root: DataRoot = None,
    nominal_class: NominalClass = None,
    preset: PresetName = None,
    image_size: ImageSize = None,
    oe: OutlierExposure = None,
    oe_limit: OutlierLimit = None,
    masks_per_defect: Annotated[
        int | None,
        typer.Option(help="Train on so many anomalies with masks of each kind  [default: 0]"),
    ] = None,
    confetti_mask: Annotated[
        str | None, typer.Option(help="What is anomalous in an image with confetti: full or blob.")
    ] = None,
    plant_on: Annotated[
        str | None,
        typer.Option(help="anomalous, nominal, oe, all-but-oe, or auto  [default: auto]"),
    ] = None,
    prevalence: Annotated[
        str | None,
        typer.Option(help="Shares of those images that bear the artifact, such as 0.2,1  [default: 1]"),
    ] = None,
    control: Annotated[
        str | None,
        typer.Option(help="How training images lose a found artifact: drop or inpaint  [default: auto]"),
    ] = None,
    seeds: Annotated[int | None, typer.Option(help="Pairs of twins  [default: 5]")] = None,
    weights: Annotated[
        Path | None,
        typer.Option(
            help="Of a finished detector: a safetensors file or a cell's folder; nothing is trained."
        ),
    ] = None,
    placebos: Annotated[
        int | None, typer.Option(help="Marks that a finished detector is tested with  [default: 99]")
    ] = None,
    epochs: Epochs = None,
    batch_size: BatchSize = None,
    lr: LearningRate = None,
    network: NetworkName = None,
    option: Options = None,
    device: Device = None,
    workers: Workers = None,
    config: ConfigFile = None,
    out: Out = None,
    name: Annotated[str | None, typer.Option(help="Name of the run folder  [default: DATASET-PROBE]")] = None,
    cache: Cache = None,
    download: Download = False,
    skip_corrupt: SkipCorrupt = False,
    calibration: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE", help="Whose error rates to report  [default: those of the default settings]"
        ),
    ] = None,
    fail_on: Annotated[
        str | None,
        typer.Option(help="clever-hans: exit 1 if a detector relies on it, 3 if that is unclear."),
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Print the plan only.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print findings.json.")] = False,
    quiet: Quiet = False,
    open_report: Annotated[bool, typer.Option("--open", help="Open the report.")] = False,
    debug: Debug = False,
) -> None:
    """Train twins with and without the artifact, measure, judge, and write a report.

    With --weights a finished detector is tested instead: other marks of the same kind take the twins' place.

    Settings: defaults < --preset < --config < FCDD_AUDIT_* variables < flags. A run that was interrupted
    goes on where it was. Exit codes: 0 done, 1 the gate found something, 2 bad input, 3 the gate is
    inconclusive, 4 failed.
    """
    flags = _settings(locals())
    with _ErrorsAsLines(debug):
        from fcdd_audit.auditing import run_audit
        from fcdd_audit.designs import DESIGNS

        if fail_on is not None and fail_on not in GATES:
            raise InputError(f"unknown gate '{fail_on}' for --fail-on (known: {', '.join(GATES)})")
        audit = _config(flags, config, option or [])
        if dry_run:
            planned = DESIGNS[audit.design_name].estimate(audit, quiet=quiet or as_json)
            if as_json:
                print(json.dumps(asdict(planned), indent=1))
            else:
                print("\n".join(planned.lines()))
            return
        result = run_audit(audit, quiet=quiet or as_json)
        if as_json:
            print(json.dumps(result.as_json(), indent=1))
        elif not quiet:
            print_findings(result, DESIGNS[audit.design_name])
        if open_report:
            typer.launch(result.report.resolve().as_uri())
    if fail_on is not None:
        _gate(result)


@app.command(epilog="Example: fcdd-audit calibrate --detector fcdd --audits 20 --nulls 14 --out calibrations")
def calibrate(
    dataset: Dataset = None,
    probe: ProbeName = None,
    detector: Detectors = None,
    audits: Annotated[
        int, typer.Option(help="Audits with the artifact planted, for each detector and prevalence.")
    ] = 20,
    nulls: Annotated[
        int, typer.Option(help="Audits of each kind of null with something planted, for each detector.")
    ] = 14,
    decoy: Annotated[
        str, typer.Option(help="What is planted where the probe isn't: other artifacts, comma-separated.")
    ] = "bars,patch",
    prevalence: Annotated[
        str | None,
        typer.Option(help="Shares of images that bear the artifact  [default: 0.05,0.2,1]"),
    ] = None,
    seeds: Annotated[int | None, typer.Option(help="Pairs of twins of an audit  [default: 5]")] = None,
    data_root: DataRoot = None,
    nominal_class: NominalClass = None,
    preset: PresetName = None,
    image_size: ImageSize = None,
    oe: OutlierExposure = None,
    oe_limit: OutlierLimit = None,
    epochs: Epochs = None,
    batch_size: BatchSize = None,
    lr: LearningRate = None,
    network: NetworkName = None,
    option: Options = None,
    device: Device = None,
    workers: Workers = None,
    config: ConfigFile = None,
    out: Out = None,
    name: Annotated[
        str | None, typer.Option(help="Name of the folder  [default: calibration-DATASET-PROBE]")
    ] = None,
    cache: Cache = None,
    download: Download = False,
    skip_corrupt: SkipCorrupt = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print calibration.json.")] = False,
    quiet: Quiet = False,
    debug: Debug = False,
) -> None:
    """Measure how often verdicts are right: run audits whose truth is known.

    Sensitivity: the artifact is planted, at rising prevalence. False alarms: the twins differ, but not by a
    cue. Writes calibration.json, .csv and .svg. A calibration that was interrupted goes on where it was.
    """
    flags = _settings(locals())
    with _ErrorsAsLines(debug):
        from fcdd_audit.studies.calibrate import PREVALENCE, Calibration
        from fcdd_audit.studies.calibrate import calibrate as run_calibration

        audit = _config(flags, config, option or [], {"prevalence": PREVALENCE})
        decoys = tuple(name.strip() for name in decoy.split(",") if name.strip())
        result = run_calibration(Calibration(audit, audits, nulls, decoys), quiet=quiet or as_json)
        if as_json:
            print(json.dumps(result.as_json(), indent=1))
        elif not quiet:
            print_rates(result)


def _settings(parameters: dict[str, Any]) -> dict[str, Any]:
    """A command's parameters that are settings of the audit; a switch that isn't there is None."""
    return {
        name: None if value is False else value
        for name, value in parameters.items()
        if name not in NO_SETTINGS
    }


def _config(
    flags: dict[str, Any],
    path: Path | None,
    assignments: list[str],
    defaults: dict[str, Any] | None = None,
) -> AuditConfig:
    from fcdd_audit.config.convert import parse_option
    from fcdd_audit.config.layers import make_config, read_config, read_environment

    options: dict[str, dict[str, Any]] = {}
    for assignment in assignments:
        target, option, value = parse_option(assignment)
        options.setdefault(target, {})[option] = value
    recipe = options.pop("recipe", {})
    layers = [defaults or {}, *([read_config(path)] if path else [])]
    return make_config(*layers, read_environment(os.environ), flags, {"options": options, "recipe": recipe})


def _gate(result: AuditResult) -> None:
    verdicts = {finding.verdict for finding in result.findings}
    if "relies" in verdicts:
        raise typer.Exit(EXIT_FOUND)
    if "inconclusive" in verdicts:
        raise typer.Exit(EXIT_INCONCLUSIVE)


@app.command()
def report(
    folder: Annotated[Path, typer.Argument(metavar="RUN", help="Folder that 'run' wrote.")],
    open_report: Annotated[bool, typer.Option("--open", help="Open the report.")] = False,
    debug: Debug = False,
) -> None:
    """Write a run's report.html again, from its numbers."""
    with _ErrorsAsLines(debug):
        from fcdd_audit.report import render_report

        page = render_report(folder)
        print(page)
        if open_report:
            typer.launch(page.resolve().as_uri())


@app.command(epilog="Example: fcdd-audit compare reports/textures-watermark reports/textures-bars")
def compare(
    folders: Annotated[
        list[Path], typer.Argument(metavar="RUN...", help="Folders that 'run' wrote, of twins.")
    ],
    out: Annotated[Path, typer.Option(help="Parent of the comparison's folder.")] = Path("reports"),
    name: Annotated[str, typer.Option(help="Name of the comparison's folder.")] = "comparison",
    as_json: Annotated[bool, typer.Option("--json", help="Print comparison.json.")] = False,
    quiet: Quiet = False,
    open_report: Annotated[bool, typer.Option("--open", help="Open the page.")] = False,
    debug: Debug = False,
) -> None:
    """Compare explanations over runs: which expose a Clever Hans, and which raise false alarms.

    Writes comparison.html, .csv and .json. Runs with '--explainer all' also have sanity checks and costs.
    """
    with _ErrorsAsLines(debug):
        from fcdd_audit.report.comparison import write_comparison
        from fcdd_audit.studies.compare import compare as compare_runs

        found = compare_runs(folders)
        page = write_comparison(found, out / name)
        if as_json:
            print(json.dumps(found.as_json(), indent=1))
        elif not quiet:
            print_comparison(found, page)
        if open_report:
            typer.launch(page.resolve().as_uri())


def _list(registry: Registry[Any]) -> None:
    width = max(map(len, registry))
    for name in registry:
        print(f"{name.ljust(width)}  {registry.summary(name)}")


@listing.command()
def datasets(data_root: DataRoot = None, debug: Debug = False) -> None:
    """Data sets for --dataset, and whether they are ready under --data-root."""
    with _ErrorsAsLines(debug):
        from fcdd_audit.datasets import DATASETS

        width = max(map(len, DATASETS))
        for name in DATASETS:
            print(f"{name.ljust(width)}  {DATASETS.summary(name)}")
            missing = DATASETS[name]().missing(data_root)
            print(f"{' ' * width}  {'ready' if missing is None else f'not ready: {missing}'}")


@listing.command()
def sources() -> None:
    """Sources of images for --oe, besides photos, confetti, none and folders."""
    from fcdd_audit.datasets import SOURCES

    _list(SOURCES)


@listing.command()
def networks() -> None:
    """Networks for --network."""
    from fcdd_audit.detectors import NETWORKS

    _list(NETWORKS)


@listing.command()
def presets() -> None:
    """What --preset sets, by data set: an empty field is the tool's default."""
    from fcdd_audit.config.presets import preset_rows

    rows = preset_rows()
    print_table([tuple(rows[0]), *(tuple(row.values()) for row in rows)])


@listing.command()
def detectors() -> None:
    """Detectors for --detector."""
    from fcdd_audit.detectors import DETECTORS

    _list(DETECTORS)


@listing.command()
def explainers() -> None:
    """Explainers for --explainer."""
    from fcdd_audit.explainers import EXPLAINERS

    _list(EXPLAINERS)


@listing.command()
def probes(
    preview: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Also write a picture of every probe: .png, .jpg or .webp."),
    ] = None,
    debug: Debug = False,
) -> None:
    """Probes for --probe."""
    with _ErrorsAsLines(debug):
        from fcdd_audit.natural import NATURAL
        from fcdd_audit.probes import PROBES

        if preview is not None:
            from fcdd_audit.probes.sheet import write_sheet

            write_sheet(preview)
        _list(PROBES)
        _list(NATURAL)
        if preview is not None:
            print(preview)


class _ErrorsAsLines:
    """One line on stderr and the documented exit code, instead of a traceback."""

    def __init__(self, debug: bool) -> None:
        self.debug = debug

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: type | None, error: BaseException | None, trace: object) -> None:
        if error is None or isinstance(error, SystemExit | typer.Exit):
            return
        if self.debug and not isinstance(error, KeyboardInterrupt):
            traceback.print_exception(error)
            raise typer.Exit(error.exit_code if isinstance(error, AuditError) else EXIT_FAILED)
        if isinstance(error, KeyboardInterrupt):
            _fail("interrupted; finished cells are kept, the same command goes on", EXIT_INTERRUPTED)
        if isinstance(error, AuditError):
            _fail(str(error), error.exit_code)
        if isinstance(error, Exception):
            reason = " ".join(str(error).split()) or "no message"
            _fail(
                f"unexpected {type(error).__name__}: {reason} (run with --debug for the traceback)",
                EXIT_FAILED,
            )


def _print_error(message: str) -> None:
    line = " ".join(message.split())  # names from outside may hold line breaks
    print(f"fcdd-audit: error: {line}", file=sys.stderr)


def _fail(message: str, code: int) -> NoReturn:
    _print_error(message)
    raise typer.Exit(code)


def main() -> None:
    """Entry point of the console script."""
    # What image libraries print of a damaged file is in our own line already.
    warnings.filterwarnings("ignore", module="PIL")
    logging.getLogger("tifffile").disabled = True
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")  # a dash must not end an audit where it can't be printed
    app(prog_name="fcdd-audit")
