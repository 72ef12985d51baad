"""What can be asked for together, and which names are known."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fcdd_audit.config.layers import Given
from fcdd_audit.config.parts import ALL
from fcdd_audit.config.settings import settings
from fcdd_audit.core.directions import AUTO, DIRECTIONS, MARKED, plantable
from fcdd_audit.core.options import options_of
from fcdd_audit.core.registry import suggest
from fcdd_audit.core.sides import SIDES
from fcdd_audit.detectors import DETECTORS, NETWORKS, NORMALISATIONS, make_options
from fcdd_audit.edits.base import removals
from fcdd_audit.experiment.engines import ENGINES
from fcdd_audit.experiment.transplanted import TESTED, TRANSPLANTED
from fcdd_audit.explainers import EXPLAINERS, make_explainer
from fcdd_audit.models.own import own_kind
from fcdd_audit.natural import NATURAL, check_artifact
from fcdd_audit.probes.chain import PLUS
from fcdd_audit.remedies import REMEDIES, make_remedy

if TYPE_CHECKING:
    from fcdd_audit.config.audit import AuditConfig

CANDIDATE = "candidate"  # the natural artifact that --candidate names
# Are for twins; a finished detector has none.
OF_TWINS = (
    *("plant_on", "prevalence", "together", "removal", "seeds", "max_seeds", "budget", "calibration"),
    *("remedies", "export"),
)
OF_FINISHED = ("threshold", "placebos", "dose")
OF_MODELS = ("mean", "std", "trust_model")


def check_config(config: AuditConfig, given: Given) -> None:
    """InputError for an unknown name or option, or what can't be asked for together; it says where that is
    from."""
    _check_names(config, given)
    _check_artifact(config, given)
    if config.design_name == "finished":
        _check_finished(config, given)
    else:
        _check_looks(config, given)
        _refuse(config, given, OF_FINISHED, "is for finished detectors; name one with --model or --weights")
    if config.detector.model is None:
        _refuse(config, given, OF_MODELS, "is for --model; name one")
    for explainer in EXPLAINERS:  # of those that aren't asked for too, a value out of its range is told
        with given.blamed(f"{explainer}."):
            make_explainer(explainer, config.options)
    for detector in config.detector.detectors:
        given.check(
            not (config.explanation.sanity and own_kind(detector)),
            f"explanations of {detector} can't be checked, since its network is known to your training code "
            "only; leave out --sanity, or set it to 0",
            "sanity",
        )
        with given.blamed(f"{detector}."):
            make_options(detector, config.options.get(detector, {}))


def _refuse(config: AuditConfig, given: Given, names: tuple[str, ...], why: str) -> None:
    """InputError for one of these settings that isn't at its default."""
    for name in names:
        given.check(_is_default(config, name), f"{settings()[name].flag} {why}, or drop it", name)


def _check_looks(config: AuditConfig, given: Given) -> None:
    design = config.design
    if design.seeds != AUTO:
        for name in ("max_seeds", "budget"):
            given.check(
                _is_default(config, name),
                f"{settings()[name].flag} is for --seeds auto, and --seeds {design.seeds} fixes the number "
                "of pairs; drop one of them",
                name,
            )
    else:
        least = design.thresholds.min_seeds
        given.check(
            design.max_seeds >= least,
            f"max seeds is {design.max_seeds}; at least {least} pairs of twins give a verdict",
            "max_seeds",
        )


def _check_names(config: AuditConfig, given: Given) -> None:
    with given.blamed("detectors"):
        for name in config.detector.detectors:
            _ = DETECTORS[name]
    with given.blamed("explainers"):
        for name in config.explanation.explainers:
            _ = None if name == AUTO else EXPLAINERS[name]
    with given.blamed("remedies"):
        for name in config.design.remedies:
            _ = None if name == ALL else REMEDIES[name]
    for remedy in REMEDIES:
        with given.blamed(f"{remedy}."):
            make_remedy(remedy, config.options)
    with given.blamed("engine"):
        engine = ENGINES[config.run.engine]
    given.check(
        config.run.address is None or engine.addressed,
        f"--address is where a cluster is, and the engine '{config.run.engine}' is on this machine; add "
        "--engine ray, or drop it",
        *("address", "engine"),
    )
    given.check(
        config.run.export is None or bool(config.design.remedies),
        "--export is for what remedies make; name some with --remedy, or drop it",
        "export",
    )
    with given.blamed("network"):
        _ = NETWORKS[config.detector.recipe.network]
    _check_known(given, "normalise", "normalisation", config.detector.recipe.normalise, NORMALISATIONS)
    for side in config.artifact.plant_on:
        _check_known(given, "plant_on", "side", side, (AUTO, *plantable()))
    for half in config.artifact.halves:
        _check_known(given, "halves", "half of the question", half, tuple(TESTED))
    _check_known(given, "removal", "removal", config.artifact.removal, (AUTO, *removals()))


def _check_known(given: Given, setting: str, kind: str, value: str, known: tuple[str, ...]) -> None:
    given.check(
        value in known,
        f"unknown {kind} '{value}'{suggest(value, list(known))} (known: {', '.join(known)})",
        setting,
    )


def _check_artifact(config: AuditConfig, given: Given) -> None:
    probes = config.artifact.probes
    given.check(
        config.artifact.candidate is None or probes == (CANDIDATE,),
        f"--candidate and --probe {','.join(probes)} both name an artifact; drop one of them",
        *("candidate", "probes"),
    )
    with given.blamed("probes"):
        for probe in probes:
            check_artifact(probe)
    found = [probe for probe in probes if probe in NATURAL]
    if found:
        _check_found(found[0], config, given)
    else:
        _check_planted(config, given)
    for probe in probes:
        with given.blamed("candidate", *(f"{part}." for part in probe.split(PLUS))):
            config.make_artifact(probe)


def _check_found(probe: str, config: AuditConfig, given: Given) -> None:
    """Of an artifact that is on images from the start."""
    given.check(
        config.artifact.probes == (probe,),
        f"'{probe}' is found on images, and what is found is audited by itself; drop the other artifacts, or "
        "audit them in another run with the same --store",
        "probes",
    )
    given.check(
        not config.artifact.together,
        f"--together plants artifacts, and '{probe}' is found on images; drop it",
        "together",
    )
    given.check(
        _is_default(config, "halves") or probe != CANDIDATE,
        "a candidate is put on test images that don't bear it, and never taken off; drop --halves",
        "halves",
    )
    given.check(
        not config.artifact.replanted or probe != CANDIDATE,
        "a candidate stays on the training images that bear it, so that it takes no --plant-on and no "
        "--prevalence",
        *("plant_on", "prevalence"),
    )
    given.check(
        all(side in (AUTO, *SIDES) for side in config.artifact.plant_on),
        f"'{probe}' is found on images, and can be put on the nominal or the anomalous side; drop the others "
        "of --plant-on",
        "plant_on",
    )
    given.check(
        not config.artifact.replanted or TRANSPLANTED in config.artifact.halves,
        f"with --plant-on or --prevalence '{probe}' is put on images, and --halves removed takes it off; "
        "drop one of them",
        *("plant_on", "prevalence", "halves"),
    )
    if config.data.strict:
        given.check("strict" in options_of(NATURAL[probe]), _no_annotations(probe), "strict")
        given.check(
            config.options.get(probe, {}).get("strict", True),
            f"--strict and {probe}.strict=false contradict each other; drop one of them",
            *("strict", f"{probe}.strict"),
        )


def _check_planted(config: AuditConfig, given: Given) -> None:
    artifact = config.artifact
    given.check(
        _is_default(config, "removal"),
        f"removal '{artifact.removal}' is for artifacts that are found on images, and '{artifact.probes[0]}' "
        "is planted; drop --removal",
        "removal",
    )
    given.check(
        _is_default(config, "halves"),
        f"--halves is for artifacts that are found on images, and '{artifact.probes[0]}' is planted; drop it",
        "halves",
    )
    given.check(not config.data.strict, _no_annotations(artifact.probes[0]), "strict")
    in_use = [side for side in artifact.plant_on if side != AUTO and DIRECTIONS[side].usual == MARKED]
    given.check(
        len(in_use) in (0, len(artifact.plant_on)),
        f"with --plant-on {in_use[0] if in_use else ''} test images bear the artifact in use, and with the "
        "others they don't; ask about it in a run of its own with the same --store",
        "plant_on",
    )
    given.check(
        not artifact.together or len(artifact.probes) > 1,
        f"--together plants several artifacts at once, and '{artifact.probes[0]}' is one; name others with "
        "--probe a,b, or drop it",
        "together",
    )
    given.check(
        not (artifact.together and in_use),
        f"--together puts each artifact on test images by itself, and with --plant-on {','.join(in_use)} "
        "images in use would bear them all; drop one of them",
        *("together", "plant_on"),
    )


def _no_annotations(probe: str) -> str:
    return f"--strict is for artifacts that annotations mark on images, and '{probe}' has none; drop --strict"


def _check_finished(config: AuditConfig, given: Given) -> None:
    """What a finished detector needs, and what only twins can have."""
    detector, flag = config.detector, "--model" if config.detector.weights is None else "--weights"
    given.check(
        detector.weights is None or detector.model is None,
        "--weights and --model both name a finished detector; drop one of them",
        *("weights", "model"),
    )
    if detector.weights is not None:
        given.check(
            len(detector.detectors) == 1,
            f"weights are of one detector, and not of {', '.join(detector.detectors)}; name the detector "
            "with --detector",
            "weights",
        )
    else:
        given.check(
            _is_default(config, "detectors"),
            "--model brings its own detector; drop --detector",
            *("detectors", "model"),
        )
    _refuse(config, given, OF_TWINS, f"is for twins, and with {flag} nothing is trained; drop {flag}")
    given.check(
        len(config.artifact.probes) == 1,
        f"a finished detector is tested with one artifact at a time, and --probe names "
        f"{', '.join(config.artifact.probes)}; run it once for each",
        "probes",
    )
    given.check(
        len(config.data.nominal_class) <= 1 and ALL not in config.data.nominal_class,
        "a finished detector has learnt one nominal class; name one with --nominal-class",
        "nominal_class",
    )


def _is_default(config: AuditConfig, name: str) -> bool:
    setting = settings()[name]
    return bool(getattr(getattr(config, setting.part), name) == setting.default)
