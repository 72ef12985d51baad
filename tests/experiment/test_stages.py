"""Numbers that tiny trainings and measurings give, beside the stages for which they hold.

Where one of these tests fails, the same settings give other numbers than the records of people's stores hold.
If that is meant, raise TRAINING or MEASURING in fcdd_audit/experiment/identity.py, and put what

    python tests/experiment/test_stages.py

prints in place of the numbers here. They keep to `CLOSE` between machines and releases of torch (2.5 and 2.14
agree); those of `LOOSE` are differences of nearly equal numbers.
"""

from __future__ import annotations

import re
from dataclasses import replace

import pytest
import torch
from torch import nn

from fcdd_audit import DETECTORS, EXPLAINERS, NETWORKS, AuditData, ImageSet, OwnNetwork, Recipe
from fcdd_audit.core.recipe import recipe_options
from fcdd_audit.core.sides import SIDES
from fcdd_audit.detectors import build
from fcdd_audit.edits.balance import Balance
from fcdd_audit.edits.base import EDITS, TrainingSet
from fcdd_audit.edits.drop import Drop
from fcdd_audit.edits.inpaint import Inpaint
from fcdd_audit.edits.mended import Mended
from fcdd_audit.edits.placebo import Placebo
from fcdd_audit.edits.plant import Plant
from fcdd_audit.edits.randomise import Randomise
from fcdd_audit.edits.replant import Replant
from fcdd_audit.edits.together import Together
from fcdd_audit.experiment.cells import Cell, before_training, train_stack
from fcdd_audit.experiment.explaining import Explained, check_explainer, explain, in_turn
from fcdd_audit.experiment.identity import MEASURING, TRAINING
from fcdd_audit.experiment.lowering import lowering_rows
from fcdd_audit.experiment.setup import AS_IS, Setup
from fcdd_audit.explainers import make_explainer
from fcdd_audit.images.pairs import Pairs
from fcdd_audit.measures.table import MEASURES, family
from fcdd_audit.probes import PROBES
from fcdd_audit.remedies import REMEDIES, Penalty

CLOSE = 1e-3  # relative
LOOSE = {"deep-lift": 0.1, "lowering": 0.05}
CPU = torch.device("cpu")
DOWNLOADED = ("vgg11-imagenet",)  # networks that need weights from elsewhere


def own(registry):
    """Names of this package's entries."""
    return [name for name, home in registry.homes().items() if home.startswith("fcdd_audit.")]


def noise(count, seed, side=16):
    generator = torch.Generator().manual_seed(seed)
    return torch.randint(0, 256, (count, 3, side, side), dtype=torch.uint8, generator=generator)


# Training

PLAIN = {"steps": 6, "batch_size": 4, "weight_decay": 0.01, "precision": "float32"}
MOVED = {"shift": 0.2, "border": "black", "flip": 0.5}
COLOURED = {"jitter": 0.2, "jitter_share": 0.7, "noise": 0.05, "relative_noise": 0.1, "noise_share": 0.6}
ON_NOISE = {  # by name: a cell, what of the recipe isn't plain, the detector's options
    **{name: (Cell(name, 0, AS_IS), {}, {}) for name in own(DETECTORS)},
    "mirrored": (Cell("fcdd", 1, AS_IS), {"shift": 0.2}, {}),
    "moved": (Cell("fcdd", 0, AS_IS), MOVED, {}),
    "coloured": (Cell("fcdd", 0, AS_IS), COLOURED, {}),
    "plant": (Cell("fcdd", 0, Plant("patch", SIDES, 0.5)), {}, {}),
    "together": (Cell("fcdd", 0, Together((("patch", ("anomalous",), 0.5),))), {}, {}),
    "drop": (Cell("fcdd", 0, Drop()), {}, {}),
    "replant": (Cell("fcdd", 0, Replant("patch", ("anomalous",), 0.5, "drop")), {}, {}),
    "inpaint": (Cell("fcdd", 0, Inpaint()), {}, {}),
    "balance": (Cell("fcdd", 0, Balance()), {}, {}),
    "randomise": (Cell("fcdd", 0, Randomise()), {}, {}),
    "placebo": (Cell("fcdd", 0, Placebo()), {}, {}),
    "mended": (Cell("fcdd", 0, Mended(Plant("patch", ("anomalous",), 0.5), "patch", Drop())), {}, {}),
    **{
        name: (Cell("hsc", 0, AS_IS, term=Penalty(name, "patch", (("strength", 2.0),))), MOVED, {})
        for name in ("consistency", "outside")
    },
    "pixels": (
        Cell("fcdd", 0, AS_IS),
        {"optimizer": "sgd", "lr": 0.01, "normalise": "contrast", "oe_probability": 0.3},
        {"supervision": "pixel", "sigma": 2.0},
    ),
    "soft boundary": (
        Cell("dsvdd", 0, AS_IS),
        {"steps": None, "epochs": 3, "repeats": 2, "milestones": (), "decay": 0.5, "normalise": "imagenet"},
        {"objective": "soft-boundary", "nu": 0.3},
    ),
    **{name: (Cell("fcdd", 0, AS_IS), {"network": name, "steps": 2}, {}) for name in own(NETWORKS)},
}
TRAININGS = [name for name in ON_NOISE if name not in ("small", *DOWNLOADED)]


def of_noise(recipe, options):
    """A setup of twelve nominal images and eight anomalous ones, three of each with something to remove."""
    counts = {"train_nominal": 12, "train_anomalous": 8, "validation": 1, "test_nominal": 1}
    parts = {
        part: ImageSet(noise(count, seed), tuple(map(str, range(count))))
        for seed, (part, count) in enumerate({**counts, "test_anomalous": 1}.items())
    }
    where = torch.zeros(8, 1, 16, 16, dtype=torch.bool)
    where[:, :, 2:8, 3:9] = True
    parts["train_anomalous"] = replace(parts["train_anomalous"], masks=where)
    bearing = {"nominal": torch.zeros(12, 1, 16, 16, dtype=torch.bool), "anomalous": where & False}
    for mask in bearing.values():
        mask[:3, :, 6:10, 5:9] = True
    data = AuditData("noise", "noise", **parts)
    return Setup(
        data=data,
        pairs={},
        validation=data.validation,
        training={AS_IS: TrainingSet(data.train_nominal, data.train_anomalous, bearing)},
        probe="patch",
        artifact=PROBES["patch"](),
        plantable={"patch": PROBES["patch"](size=0.4)},
        recipe=recipe,
        explainers={},
        device="cpu",
        options=options,
    )


def trained_numbers(name):
    """How far the weights moved, the mean loss, and the mean score before; and scores where they are small
    networks'."""
    cell, changes, options = ON_NOISE[name]
    setup = of_noise(Recipe.of(**{**PLAIN, **changes}), {cell.detector: options})
    ((detector, losses),) = train_stack([cell], setup, CPU)
    before = before_training(cell, setup)
    with torch.no_grad():
        weights = zip(detector.parameters(), before.parameters(), strict=True)
        moved = sum(float((new - old).abs().sum()) for new, old in weights)
        x = noise(3, 9).float() / 255
        after = [] if name in NETWORKS else detector.score(x).tolist()
        return [moved, sum(losses.epochs) / len(losses.epochs), float(before.score(x).mean()), *after]


# Measuring


def trunk():
    return nn.Sequential(
        *(nn.Conv2d(3, 8, 3, padding=1, bias=False), nn.BatchNorm2d(8, affine=False), nn.LeakyReLU(0.01)),
        *(nn.MaxPool2d(2), nn.Conv2d(8, 12, 3, padding=1, bias=False), nn.LeakyReLU(0.01)),
    )


def fixed(name):
    """A detector whose weights don't depend on how this package draws them."""
    detector = build(name, noise(6, 1), 0, {}, OwnNetwork((3, 16, 16), trunk)).eval()
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for weight in detector.parameters():
            size = (2 / weight[0].numel()) ** 0.5 if weight.ndim > 1 else 0.1
            weight.copy_(size * torch.randn(weight.shape, generator=generator))
    detector.start(noise(6, 1))
    return detector


def marked():
    """Two passes of nominal images and one of anomalous ones, with a mask on all but the first of each."""
    parts = []
    for side, count, seed in (("nominal", 18, 2), ("anomalous", 6, 3)):
        mask = torch.zeros(count, 1, 16, 16, dtype=torch.bool)
        mask[1:, :, 9:14, 2:8] = True
        images = noise(count, seed)
        pairs = Pairs(side, tuple(map(str, range(count))), {"clean": images, "marked": images}, mask)
        parts.append(Explained(side, pairs, "marked", in_turn(mask, count)))
    return parts


def measured_numbers(detector, names=()):
    """By what they are of: scores, and explanations by these explainers, by default all; the overlaps of one
    detector only, what lowers its score, and references of one only."""
    model, found = fixed(detector), {}
    with torch.no_grad():
        found["scores"] = model.score(noise(3, 9).float() / 255).tolist()
    for name in names or own(EXPLAINERS):
        explainer = make_explainer(name, {})
        first = detector == ("ae" if name == "blurred-residual" else "fcdd")
        if explainer.unavailable(model) is None and (first or not explainer.reference):
            maps = explain(model, name, explainer, marked(), CPU, 0, 32)
            overlaps = [float(maps.overlaps[one].mean()) for one in OVERLAPS] if first else []
            found[name] = [*overlaps, float(maps.levels[700]), float(maps.examples.mean())]
            if first and explainer.signed:
                rows = lowering_rows(model, name, explainer, marked()[0], CPU, 0, 32)
                signed = [
                    float(maps.overlaps[one].mean()) for one in ("lowering_pixel_auroc", "signed_relevance")
                ]
                lowered = [*signed, float(rows["lowering_chance"].mean()), float(maps.lowering.mean())]
                found["lowering"] = [*found.get("lowering", []), *lowered]
    if detector == "fcdd":
        rows, _ = check_explainer(model, "gradient", make_explainer("gradient", {}), marked(), CPU, 4, 2.0)
        kinds = rows.groupby([rows["split"].str.rstrip("-0123456789"), "metric"])["value"].mean()
        found["checks"] = [float(kinds[one]) for one in CHECKS]
    return found


# What they were

OVERLAPS = (
    *("pixel_auroc", "pixel_ap", "relevance_mass", "relevance_rank", "top_k_intersection"),
    *("pointing_game", "iou_at_mask_area", "aupro"),
)
CHECKS = (
    *((kind, "rank_correlation") for kind in ("cascade", "layer", "noise")),
    *((kind, "structural_similarity") for kind in ("cascade", "layer", "noise")),
    *(("deletion", "mean_fall"), ("insertion", "mean_rise")),
)
TRAINED = {
    1: {
        "ae": "179 1.044 1.008 .9919 .9863 1.034",
        "dsvdd": "65.49 5.114 .09235 .7033 .6503 .7244",
        "fcdd": "65.78 1.019 .002937 .02307 .02499 .02588",
        "hsc": "62.52 1.008 .1788 .1557 .1413 .1577",
        "mirrored": "53.36 .6764 .007698 .02578 .01357 .03221",
        "moved": "61.77 1.106 .002937 .02489 .02172 .02791",
        "coloured": "62.69 1.106 .002937 .02325 .02471 .02648",
        "plant": "65.45 1.029 .002937 .01956 .02224 .0222",
        "together": "64.82 .9531 .002937 .02661 .02907 .03112",
        "drop": "66.25 1.021 .002937 .01758 .01385 .01441",
        "inpaint": "65.5 1.036 .002937 .02132 .02209 .02412",
        "replant": "66.09 1.067 .002937 .01512 .01316 .01466",
        "balance": "65.93 1.013 .002937 .02093 .02105 .02298",
        "randomise": "65.71 1.01 .002937 .02445 .02663 .02758",
        "placebo": "65.24 1.002 .002937 .01857 .01947 .01698",
        "mended": "66.24 .9439 .002937 .01855 .02033 .02171",
        "consistency": "66.03 1.623 .1788 .4236 .3155 .3772",
        "outside": "66.28 1.106 .1788 .3668 .347 .2508",
        "pixels": "61.72 1.288 .005838 .01966 .02054 .01948",
        "soft boundary": "81.28 7.815 .1165 -.2892 .6894 -.3095",
        "cnn28": "635.7 6.388 .01284",
        "cnn32": "1902 4.502 .000709",
        "cnn32-s": "152 1.811 .001613",
        "vgg11": "7407 1.454 .0002011",
    }
}
MEASURED = {
    2: {
        "ae": {
            "scores": "1.123 1.145 1.22",
            "native": "1.473 1.16",
            "blurred-residual": ".4401 .1615 .1614 .1226 .0303 .02273 .06829 .1102 1.295 1.161",
            "grad-cam": ".004123 .003301",
            "grad-cam-no-relu": ".004123 .003301",
            "gradient": ".03635 .02997",
            "blurred-gradient": ".03281 .03002",
            "smooth-grad": ".03568 .02947",
            "guided-backprop": ".04073 .03398",
            "input-x-gradient": ".01391 .009743",
            "integrated-gradients": ".005891 .004485",
            "occlusion": ".07877 .07178",
            "deep-lift": ".005854 .004484",
        },
        "dsvdd": {
            "scores": "91.11 79.45 50.24",
            "grad-cam": ".3942 .2893",
            "grad-cam-no-relu": ".5548 .4332",
            "gradient": "10.1 8.415",
            "blurred-gradient": "9.631 8.454",
            "smooth-grad": "8.513 7.015",
            "guided-backprop": "8.54 6.884",
            "input-x-gradient": "1.962 1.637",
            "integrated-gradients": ".2924 .4154",
            "occlusion": "3.041 2.214",
            "deep-lift": ".2958 .4127",
            "lrp": ".6062 .4918",
        },
        "fcdd": {
            "scores": ".3633 .3868 .4873",
            "native": ".5079 .1922 .1683 .1695 .1212 .1136 .09549 .1565 .3869 .3291",
            "grad-cam": ".4684 .1767 .1558 .1536 .1061 .06818 .08593 .1353 .00284 .002066",
            "grad-cam-no-relu": ".4963 .1874 .1655 .1658 .1212 .1136 .09321 .1513 .003281 .002547",
            "gradient": ".5557 .2139 .1801 .191 .197 .1136 .1092 .1854 .04233 .03379",
            "blurred-gradient": ".5685 .256 .1766 .2081 .303 .2955 .1247 .2105 .03986 .03396",
            "smooth-grad": ".55 .2187 .1812 .1974 .2727 .2045 .1128 .1953 .03245 .02642",
            "guided-backprop": ".5636 .2166 .1834 .1963 .2273 .3182 .1121 .191 .03608 .02881",
            "input-x-gradient": ".5038 .1949 .1802 .1933 .2424 .2045 .1086 .1716 .008025 .007198",
            "integrated-gradients": ".5114 .1977 .1832 .1873 .2273 .3182 .1054 .1756 .002965 .002315",
            "occlusion": ".5009 .2309 .1678 .1678 .125 .125 .1023 .1663 .01915 .01222",
            "deep-lift": ".5107 .1982 .1838 .187 .2576 .2273 .1054 .1807 .002919 .002286",
            "lrp": ".514 .1992 .1851 .1922 .25 .2955 .1085 .1797 .003132 .002453",
            "lowering": ".5169 .03731 .5214 .004044 .5031 .05288 .507 .001038 .5073 .0675 .4837 .003082 "
            ".5065 .05348 .5081 .001009 .5025 .05153 .5041 .001138",
            "random": ".5178 .2043 .1718 .1757 .1742 .1364 .1021 .1638 .9637 .7431",
            "edges": ".4804 .177 .1621 .143 .1061 .04545 .07984 .1317 .1675 .1349",
            "center": ".6839 .249 .2251 .2357 .25 .25 .1363 .2456 .4185 .3232",
            "checks": ".1746 .2185 .876 .122 .1197 .8508 .09115 .1293",
        },
        "hsc": {
            "scores": "14.73 16 15.78",
            "grad-cam": ".2352 .1949",
            "grad-cam-no-relu": ".2352 .1949",
            "gradient": ".636 .5226",
            "blurred-gradient": ".6007 .5249",
            "smooth-grad": ".5179 .438",
            "guided-backprop": ".6098 .4924",
            "input-x-gradient": ".1319 .1084",
            "integrated-gradients": ".0965 .07346",
            "occlusion": ".6768 .5406",
            "deep-lift": ".09574 .07316",
            "lrp": ".09968 .07586",
        },
    }
}


def other_numbers(pinned, constant, stage, found):
    """What is to be said where numbers aren't those of the stage; None: they are.

    pinned: by stage and name. constant: the name of the stage. found: by name.
    """
    renewed = "pin what `python tests/experiment/test_stages.py` prints"
    if stage not in pinned:
        return f"{constant} is {stage}, and no numbers are pinned for it: {renewed}"
    wrong = []
    for name, numbers in found.items():
        before = pinned[stage].get(name, "")
        if numbers != pytest.approx([float(one) for one in before.split()], rel=LOOSE.get(name, CLOSE)):
            wrong.append(f"{name} gave {before or 'nothing'} and gives {as_text(numbers)}")
    if not wrong:
        return None
    return (
        f"{'; '.join(wrong)}. If this change of numbers is meant, raise {constant} in "
        f"fcdd_audit/experiment/identity.py, and {renewed}"
    )


def as_text(numbers):
    """Four digits each, without the 0 before a point: a line holds them."""
    return " ".join(re.sub(r"\b0\.", ".", f"{one:.4g}") for one in numbers)


def of_detector(name):
    """What is pinned of measuring it, by stage."""
    return {stage: found.get(name, {}) for stage, found in MEASURED.items()}


@pytest.mark.parametrize("name", TRAININGS)
def test_training_gives_the_numbers_of_its_stage(name):
    said = other_numbers(TRAINED, "TRAINING", TRAINING, {name: trained_numbers(name)})
    assert said is None, said


@pytest.mark.parametrize("detector", own(DETECTORS))
def test_measuring_gives_the_numbers_of_its_stage(detector):
    said = other_numbers(of_detector(detector), "MEASURING", MEASURING, measured_numbers(detector))
    assert said is None, said


def test_a_stage_that_was_raised_needs_new_numbers():
    for pinned, name, stage in ((TRAINED, "TRAINING", TRAINING), (of_detector("ae"), "MEASURING", MEASURING)):
        assert other_numbers(pinned, name, stage + 1, {}) == (
            f"{name} is {stage + 1}, and no numbers are pinned for it: pin what "
            "`python tests/experiment/test_stages.py` prints"
        )


@pytest.mark.parametrize(
    ("name", "what", "instead"),
    [
        ("fcdd", "detectors.training.loop.rate_falls", lambda *_: ()),
        ("ae", "detectors.training.loop.rate_falls", lambda *_: (1,)),
        ("hsc", "detectors.base.derive_seed", lambda seed, purpose: 5),
        ("dsvdd", "detectors.dsvdd.CENTRE_FLOOR", 0.2),
        ("moved", "detectors.training.augment.displaced", lambda images, rows, columns: images),
        ("coloured", "detectors.training.augment.deviation", lambda x: torch.tensor(0.1)),
        ("plant", "edits.plant.torch_generator", lambda *_: torch.Generator().manual_seed(0)),
        ("drop", "edits.drop.torch_generator", lambda *_: torch.Generator().manual_seed(0)),
        ("inpaint", "edits.inpaint.inpaint", lambda images, masks, progress: images),
        ("balance", "edits.balance.paste", lambda *_: None),
        ("randomise", "edits.randomise.MARKS", 5),
        ("placebo", "edits.placebo.elsewhere", lambda masks, *_: masks),
        ("mended", "edits.drop.torch_generator", lambda *_: torch.Generator().manual_seed(0)),
        ("consistency", "remedies.consistency.soft", lambda masks: masks.float()),
        ("outside", "remedies.outside.TINY", 1.0),
        ("pixels", "detectors.fcdd.reference_gain", lambda field, sigma: 1.0),
    ],
)
def test_a_change_of_training_is_noticed(monkeypatch, name, what, instead):
    monkeypatch.setattr(f"fcdd_audit.{what}", instead)
    said = other_numbers(TRAINED, "TRAINING", TRAINING, {name: trained_numbers(name)})
    assert said.startswith(f"{name} gave {TRAINED[TRAINING][name]} and gives ")
    assert "If this change of numbers is meant, raise TRAINING in fcdd_audit/experiment/identity.py" in said


@pytest.mark.parametrize(
    ("name", "what", "instead"),
    [
        ("gradient", "explainers.gradients.magnitude", lambda signed: signed.square().sum(1, keepdim=True)),
        ("integrated-gradients", "explainers.contributions.baseline", lambda x, kind: x * 0),
        ("deep-lift", "explainers.rules.baseline", lambda x, kind: x * 0),
        ("native", "experiment.explaining.dilate", lambda mask, grown: mask),
        ("random", "experiment.explaining.torch_generator", lambda *_: torch.Generator().manual_seed(0)),
        ("checks", "experiment.explaining.NOISE", 0.05),
        ("scores", "detectors.fcdd.pseudo_huber", lambda squares: squares),
    ],
)
def test_a_change_of_measuring_is_noticed(monkeypatch, name, what, instead):
    monkeypatch.setattr(f"fcdd_audit.{what}", instead)
    found = measured_numbers("fcdd", (name,) if name in EXPLAINERS else ("center",))
    said = other_numbers(of_detector("fcdd"), "MEASURING", MEASURING, {name: found[name]})
    assert said.startswith(f"{name} gave {MEASURED[MEASURING]['fcdd'][name]} and gives ")
    assert "If this change of numbers is meant, raise MEASURING in fcdd_audit/experiment/identity.py" in said


def test_all_of_this_package_is_pinned():
    assert {*own(DETECTORS), *own(NETWORKS)} - {*DOWNLOADED, "small"} <= {*TRAININGS}
    assert {EDITS[name] for name in own(EDITS)} <= {type(cell.edit) for cell, _, _ in ON_NOISE.values()}
    terms = {name for name in own(REMEDIES) if REMEDIES[name]().change() is None}
    assert terms == {cell.term.remedy for cell, _, _ in ON_NOISE.values() if cell.term}
    assert {*PLAIN, *(name for _, changes, _ in ON_NOISE.values() for name in changes)} == {*recipe_options()}
    assert {*own(EXPLAINERS)} <= {name for found in MEASURED[MEASURING].values() for name in found}
    assert {*OVERLAPS} == {measure.name for measure in family("overlap")} & {*own(MEASURES)}


def printed():
    """What is to stand above: the numbers as they are now."""
    trained = {name: as_text(trained_numbers(name)) for name in TRAININGS}
    measured = {
        detector: {name: as_text(numbers) for name, numbers in measured_numbers(detector).items()}
        for detector in own(DETECTORS)
    }
    return f"TRAINED = {{{TRAINING}: {trained}}}\nMEASURED = {{{MEASURING}: {measured}}}"


if __name__ == "__main__":
    torch.set_num_threads(1)
    print(printed())
