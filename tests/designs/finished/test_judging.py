"""From scores and overlaps to answers, by hand and over many detectors of known rates."""

from dataclasses import replace
from functools import cache

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from fcdd_audit.designs.finished.clipping import Clipped
from fcdd_audit.designs.finished.judging import (
    LEAST_PLACEBOS,
    judge,
    judge_shown,
    missed,
    placebos_needed,
    wrong_share,
)
from fcdd_audit.measures.statistics import share
from fcdd_audit.verdict.thresholds import Thresholds

LIMITS = Thresholds()
THRESHOLD = 0.5
RAW = Clipped()
ORDER = ("robust", "inconclusive", "vulnerable")


@pytest.fixture(scope="module")
def judged(wrong_by):
    """All answers of sides, (hits, images) each, or with more that `wrong_by` takes.

    usual, clean: AUROCs in use and without the artifact, of scores that reach far over either end; None: the
    scores of the sides themselves.
    """

    def make(usual=1.0, clean=None, clipped=RAW, limits=LIMITS, threshold=THRESHOLD, **sides):
        both = {
            side: wrong_by(side, *given) if isinstance(given, tuple) else wrong_by(side, **given)
            for side, given in sides.items()
        }
        tested = {side: one for side, (one, _) in both.items()}
        measured = {side: one for side, (_, one) in both.items()}
        own = tuple(
            measured[side].clean if side in measured else np.array([float(side == "anomalous")])
            for side in ("nominal", "anomalous")
        )
        in_use = own if usual is None else of_auroc(usual)
        without = in_use if clean is None else of_auroc(clean)
        return judge(tested, measured, in_use, without, threshold, "as given", 30, limits, clipped)

    return make


def of_auroc(value):
    """Scores of nominal and of anomalous images with this AUROC."""
    below = round(1000 * value)
    return np.array([-9.0] * below + [9.0] * (1000 - below)), np.array([5.0])


def verdicts(result):
    return tuple(side.verdict for side in result.sides)


# Vulnerable or robust


@pytest.mark.parametrize(
    ("side", "hits", "images", "verdict"),
    [
        ("nominal", 0, 72, "robust"),  # .95 ** 72 = .0249
        ("nominal", 0, 71, "inconclusive"),  # .95 ** 71 = .0262
        ("anomalous", 0, 72, "robust"),
        ("anomalous", 0, 71, "inconclusive"),
        ("nominal", 0, 400, "robust"),
        ("nominal", 11, 400, "robust"),
        ("nominal", 12, 400, "inconclusive"),
        ("nominal", 29, 400, "inconclusive"),
        ("nominal", 30, 400, "vulnerable"),
        ("anomalous", 30, 400, "vulnerable"),
        ("nominal", 400, 400, "vulnerable"),
        ("nominal", 2, 2, "vulnerable"),  # .05 ** 2
        ("nominal", 1, 1, "inconclusive"),  # .05
    ],
)
def test_one_side_by_hand(judged, side, hits, images, verdict):
    (found,) = judged(**{side: (hits, images)}).sides
    assert found.verdict == verdict
    below = stats.binomtest(hits, images, 0.05, "less").pvalue
    above = stats.binomtest(hits, images, 0.05, "greater").pvalue
    assert found.p == found.p_holm == pytest.approx(min(below, above))
    assert found.rate == share(hits, images, 0.95)
    assert (found.rate.high < 0.05, found.rate.low > 0.05) == (verdict == "robust", verdict == "vulnerable")
    harm = {"robust": "none", "inconclusive": "open", "vulnerable": "alarms"}[verdict]
    assert found.harm == ("hides" if (side, harm) == ("anomalous", "alarms") else harm)
    assert (found.missing, found.reason is None) == (
        ("images", False) if verdict == "inconclusive" else (None, True)
    )


@pytest.mark.parametrize(
    ("nominal", "anomalous", "expected"),
    [
        ((0, 86), (0, 86), ("robust", "robust")),  # .95 ** 86 = .0121
        ((0, 85), (0, 85), ("inconclusive", "inconclusive")),  # .95 ** 85 = .0128
        ((0, 86), (0, 72), ("robust", "robust")),  # the second need not be corrected then
        ((0, 86), (0, 71), ("robust", "inconclusive")),
        ((0, 72), (0, 86), ("robust", "robust")),
        ((0, 400), (0, 400), ("robust", "robust")),
        ((50, 100), (0, 72), ("vulnerable", "robust")),
        ((50, 100), (0, 71), ("vulnerable", "inconclusive")),
        ((50, 100), (50, 100), ("vulnerable", "vulnerable")),
        ((2, 2), (0, 60), ("vulnerable", "inconclusive")),
    ],
)
def test_both_sides_are_asked_together_as_holm_says(judged, nominal, anomalous, expected):
    result = judged(nominal=nominal, anomalous=anomalous)
    assert verdicts(result) == expected
    for side in result.sides:
        assert (side.p_holm <= LIMITS.tail) == (side.verdict != "inconclusive")
        assert (side.rate.high < 0.05, side.rate.low > 0.05) == (
            side.verdict == "robust",
            side.verdict == "vulnerable",
        ), "the interval is the one that the verdict used"


@pytest.mark.parametrize(
    ("sides", "needed"),
    [
        ({"nominal": (0, 71)}, (72,)),
        ({"anomalous": (0, 10)}, (72,)),
        ({"nominal": (0, 85), "anomalous": (0, 85)}, (86, 86)),
        ({"nominal": (0, 200), "anomalous": (0, 20)}, (None, 72)),
        ({"nominal": (1, 1)}, (2,)),
        ({"nominal": (20, 400)}, (None,)),
    ],
)
def test_it_is_said_how_many_images_would_do(judged, sides, needed):
    result = judged(**sides)
    assert tuple(side.images_needed for side in result.sides) == needed
    for side in result.sides:
        if side.images_needed is not None:
            assert side.reason.endswith(
                f"about {side.images_needed} tested {side.side} images would settle it with even odds"
            )


def test_at_the_limit_no_number_would_do(judged):
    (found,) = judged(nominal=(20, 400)).sides
    assert found.reason == (
        "20 of 400 nominal images raise an alarm with the artifact only, which is neither surely above nor "
        "surely below 5 %; if it stays so, no number of images that could be had would do"
    )


def test_the_words_are_those_of_the_side(judged):
    (found,) = judged(anomalous=(1, 20)).sides
    assert found.reason.startswith("1 of 20 anomalous images hide with the artifact only")


def test_shares_of_wrong_decisions_stand_beside(judged):
    nominal, anomalous = judged(
        nominal={"hits": 30, "images": 100, "wrong_clean": 5},
        anomalous={"hits": 0, "images": 100, "wrong_clean": 10},
        usual=None,
    ).sides
    assert (nominal.wrong_clean, nominal.wrong_marked) == (0.05, 0.35)
    assert (anomalous.wrong_clean, anomalous.wrong_marked) == pytest.approx((0.1, 0.1))
    # Of 100 x 100 pairs 95 x 90 are in order, and (5 x 90 + 95 x 10) are ties; marked 65 x 90, and so on.
    clean, marked = (0.95 * 0.9 + (0.05 * 0.9 + 0.95 * 0.1) / 2, 0.65 * 0.9 + (0.35 * 0.9 + 0.65 * 0.1) / 2)
    assert nominal.auroc_lost == pytest.approx(clean - marked)
    assert anomalous.auroc_lost == 0


def test_the_shift_is_in_ranges_of_nominal_scores(wrong_by):
    tested, measured = wrong_by("nominal", 0, 100)
    scores = np.arange(100.0)  # quartiles 24.75 and 74.25
    own = replace(measured, clean=scores, marked=scores + 99)
    result = judge(
        {"nominal": tested},
        {"nominal": own},
        (scores, scores + 200),
        (scores, scores + 200),
        200.0,
        "as given",
        30,
        LIMITS,
        RAW,
    )
    assert result.sides[0].shift == 2


@pytest.mark.parametrize("side", ["nominal", "anomalous"])
def test_a_share_of_wrong_decisions_by_hand(side):
    scores = np.array([0.1, 0.5, 0.6, 0.9])  # a score at the threshold is no alarm
    assert wrong_share(scores, 0.5, side) == 0.5
    assert wrong_share(scores, 0.05, side) == (1 if side == "nominal" else 0)


# What gets no verdict


@pytest.mark.parametrize(
    ("ability", "missing", "said"),
    [
        (0.6, None, None),
        (0.599, "working-control", "not a working detector here: the AUROC is 0.599, under 0.6"),
        (0.5, "working-control", "not a working detector here"),
        (0.3, "working-control", "not a working detector here"),
        (0.29, "working-control", "nominal images score higher than anomalous ones (AUROC 0.290)"),
        (0.0, "working-control", "let it return the negative"),
    ],
)
@pytest.mark.parametrize("hits", [0, 200, 400])
def test_what_detects_nothing_gets_no_verdict(judged, hits, ability, missing, said):
    (found,) = judged(ability, nominal=(hits, 400)).sides
    if missing is None:
        assert found.verdict in ("robust", "vulnerable")
    else:
        assert (found.verdict, found.missing, found.harm) == ("inconclusive", missing, None)
        assert said in found.reason
        assert found.images_needed is None


@pytest.mark.parametrize("side", ["nominal", "anomalous"])
@pytest.mark.parametrize(("wrong", "verdict"), [(0, "robust"), (320, "robust"), (321, "inconclusive")])
def test_where_most_are_wrong_already_it_is_not_robust(judged, side, wrong, verdict):
    (found,) = judged(**{side: {"hits": 0, "images": 400, "wrong_clean": wrong}}).sides
    assert found.verdict == verdict
    if verdict == "inconclusive":
        assert (found.missing, found.harm) == ("room", None)
        assert found.reason.startswith(f"20 % of the {side} images can be turned wrong at this threshold")


def test_what_is_wrong_already_may_be_vulnerable_all_the_same(judged):
    (found,) = judged(nominal={"hits": 40, "images": 400, "wrong_clean": 350}).sides
    assert found.verdict == "vulnerable"


@pytest.mark.parametrize(
    ("side", "clipped", "threshold", "verdict"),
    [
        ("nominal", Clipped(high=1.0, notes=("x",)), 1.0, "inconclusive"),  # no score can be above
        ("nominal", Clipped(high=1.0, notes=("x",)), 0.99, "robust"),
        ("nominal", Clipped(low=0.0, notes=("x",)), 0.0, "robust"),
        ("anomalous", Clipped(high=1.0, notes=("x",)), 0.5, "robust"),
        ("anomalous", Clipped(low=0.0, notes=("x",)), 0.0, "robust"),  # a score of 0 hides
        ("anomalous", Clipped(low=0.0, notes=("x",)), -0.1, "inconclusive"),  # none can
    ],
)
def test_clipped_scores_that_cannot_cross_the_threshold_are_not_robust(
    judged, side, clipped, threshold, verdict
):
    result = judged(clipped=clipped, threshold=threshold, **{side: (0, 400)})
    (found,) = result.sides
    assert (found.verdict, found.missing) == (verdict, "room" if verdict == "inconclusive" else None)
    assert np.isnan(found.shift), "clipped scores have none"
    assert result.notes == ("x",)


@pytest.mark.parametrize("better", ["usual", "clean"])
def test_a_detector_works_if_it_does_with_or_without_the_artifact(judged, better):
    worse = {"usual": "clean", "clean": "usual"}[better]
    result = judged(**{better: 0.9, worse: 0.2}, nominal=(0, 400))
    assert result.sides[0].verdict == "robust"
    assert {"usual": result.auroc_in_use, "clean": result.auroc} == {better: 0.9, worse: 0.2}
    (found,) = judged(usual=0.59, clean=0.55, nominal=(0, 400)).sides
    assert (found.missing, "the AUROC is 0.590" in found.reason) == ("working-control", True)


@pytest.mark.parametrize(
    ("threshold", "word"), [(9.0, "above"), (12.0, "above"), (-9.0, None), (8.9, None), (-9.1, "below")]
)
@pytest.mark.parametrize("hits", [0, 400])
def test_a_threshold_that_decides_nothing_gets_no_verdict(wrong_by, hits, threshold, word):
    """A score at the threshold is no alarm, so that the highest score is out of range, the least isn't."""
    tested, measured = wrong_by("nominal", hits, 400)
    wide = np.array([-9.0, -8.0]), np.array([0.0, 9.0])
    given = {"nominal": tested}, {"nominal": measured}, wide, wide, threshold, "as given", 30, LIMITS, RAW
    result = judge(*given)
    (found,) = result.sides
    told = "lies" in (found.reason or "") and "of the test images (-9 to 9)" in found.reason
    assert told == (word is not None)
    if word is not None:
        assert (found.verdict, found.missing, found.harm) == ("inconclusive", "room", None)
        assert found.reason.startswith(f"the threshold {threshold:g} lies {word} all scores")
        assert "give one in the units of the scores (--threshold)" in found.reason


def test_a_threshold_between_what_is_with_and_without_the_artifact_decides(wrong_by):
    """All images came with it, and all of them raise an alarm because of it."""
    tested, measured = wrong_by("nominal", 400, 400, found=True)
    usual, clean = (measured.marked, np.array([1.5])), (measured.clean, np.array([0.6]))
    given = {"nominal": tested}, {"nominal": measured}, usual, clean, THRESHOLD, "as given", 30, LIMITS, RAW
    assert verdicts(judge(*given)) == ("vulnerable",)


# Right only because of the artifact


@pytest.mark.parametrize("side", ["nominal", "anomalous"])
def test_what_is_right_only_because_of_a_found_artifact_is_vulnerable(judged, side):
    """The artifact gives all anomalies away: without it, they are missed. Nothing is turned wrong."""
    images = {"hits": 0, "images": 400, "wrong_clean": 400, "righted": 400}
    (found,) = judged(**{side: {**images, "found": True}}).sides
    assert (found.verdict, found.rate.value, found.righted.value) == ("vulnerable", 0, 1)
    assert (found.wrong_clean, found.wrong_marked) == (1, 0)
    (planted,) = judged(**{side: images}).sides
    assert planted.verdict != "vulnerable", "what is put on can't be what it goes by"
    assert planted.righted is None


@pytest.mark.parametrize(
    ("hits", "righted", "images", "verdict"),
    [
        (0, 0, 72, "robust"),  # both must be below, at the same level as one
        (0, 0, 71, "inconclusive"),
        (0, 11, 400, "robust"),
        (0, 12, 400, "inconclusive"),
        (12, 0, 400, "inconclusive"),
        (0, 30, 400, "inconclusive"),  # .0193 twice; alone it would be vulnerable
        (0, 31, 400, "vulnerable"),
        (31, 0, 400, "vulnerable"),
    ],
)
def test_both_ways_of_a_found_artifact_are_asked_together(judged, hits, righted, images, verdict):
    asked = {"hits": hits, "images": images, "wrong_clean": righted, "righted": righted, "found": True}
    (found,) = judged(nominal=asked).sides
    assert found.verdict == verdict
    counts = (hits, righted)
    above = min(1, 2 * min(stats.binomtest(count, images, 0.05, "greater").pvalue for count in counts))
    below = max(stats.binomtest(count, images, 0.05, "less").pvalue for count in counts)
    assert found.p == pytest.approx(min(above, below))
    assert (found.rate, found.righted) == tuple(share(count, images, 0.975) for count in counts)
    if verdict == "inconclusive":
        assert found.reason.startswith(f"{righted} of {images} are right with it only; {hits} of {images} ")


@given(
    images=st.integers(1, 300), hits=st.integers(0, 300), righted=st.lists(st.integers(0, 300), min_size=2)
)
@settings(max_examples=25)
def test_more_that_are_right_only_because_of_it_never_speak_for_robust(judged, images, hits, righted):
    hits = min(hits, images)
    counts = sorted(min(count, images - hits) for count in righted)
    both = {"hits": hits, "images": images, "wrong_clean": counts[-1], "found": True, "by_placebos": ()}
    verdicts_of = [judged(nominal={**both, "righted": count}).sides[0].verdict for count in counts]
    assert [*map(ORDER.index, verdicts_of)] == sorted(map(ORDER.index, verdicts_of))


@pytest.mark.parametrize("rates", [(0.05, 0.05), (0.05, 0.0), (0.0, 0.05)])
def test_at_the_limit_a_found_artifact_errs_no_more_often(judged, rates):
    """Exact, over all pairs of counts that are likely."""
    images = 120
    chances = [stats.binom.pmf(np.arange(17), images, rate) for rate in rates]
    wrong = dict.fromkeys(("vulnerable", "robust"), 0.0)
    for hits, first in enumerate(chances[0]):
        for righted, second in enumerate(chances[1]):
            if first * second > 1e-6:
                asked = {"hits": hits, "images": images, "wrong_clean": righted, "righted": righted}
                (found,) = judged(nominal={**asked, "found": True, "by_placebos": ()}).sides
                if found.verdict in wrong:
                    wrong[found.verdict] += first * second
    assert max(wrong.values()) <= 0.0251


# Error rates


@pytest.fixture(scope="module")
def counted(judged):
    """The verdict on one side by how many it turns wrong, from none to all; none has placebos, for speed."""

    @cache
    def verdicts_of(images):
        return [
            judged(nominal={"hits": hits, "images": images, "by_placebos": ()}).sides[0].verdict
            for hits in range(images + 1)
        ]

    return verdicts_of


@given(
    images=st.integers(1, 300),
    others=st.integers(1, 300),
    part=st.floats(0, 1),
    hits=st.lists(st.integers(0, 300), min_size=2, max_size=2),
    wrong=st.floats(0, 1),
)
@settings(max_examples=40)
def test_more_that_are_newly_wrong_never_speak_for_robust(judged, images, others, part, hits, wrong):
    few, many = sorted(min(count, images) for count in hits)
    wrong = round(wrong * (images - many))
    before, after = (
        judged(
            nominal={"hits": count, "images": images, "wrong_clean": wrong, "by_placebos": ()},
            anomalous={"hits": round(part * others), "images": others, "by_placebos": ()},
        ).sides[0]
        for count in (few, many)
    )
    assert ORDER.index(before.verdict) <= ORDER.index(after.verdict)
    assert before.rate.value <= after.rate.value


@pytest.mark.parametrize("images", [100, 200])
def test_at_the_limit_either_verdict_is_wrong_in_at_most_one_of_forty(counted, images):
    """Exact, over all that can be counted on one side."""
    found = counted(images)
    chance = stats.binom.pmf(np.arange(images + 1), images, 0.05)
    for verdict in ("vulnerable", "robust"):
        assert chance[[one == verdict for one in found]].sum() <= 0.025


@pytest.mark.parametrize("other", [0.0, 0.05, 1.0])
def test_both_sides_together_err_no_more_often(judged, other):
    """Two sides at the limit, or one beside a clear one: 500 detectors of each."""
    rng = np.random.default_rng(0)
    counts = np.stack([rng.binomial(200, 0.05, 500), rng.binomial(200, other, 500)], axis=1)

    @cache
    def answers(nominal, anomalous):
        sides = {"nominal": nominal, "anomalous": anomalous}
        asked = {side: {"hits": hits, "images": 200, "by_placebos": ()} for side, hits in sides.items()}
        return verdicts(judged(**asked))

    found = [answers(*pair) for pair in counts.tolist()]
    at_limit = 2 if other == 0.05 else 1  # sides where both verdicts are wrong
    for verdict in ("vulnerable", "robust"):
        wrong = sum(verdict in one[:at_limit] for one in found)
        assert wrong <= stats.binom.ppf(0.999, 500, 0.025)


@pytest.mark.parametrize(
    ("rate", "images", "verdict", "least"),
    [(0.0, 100, "robust", 1.0), (0.2, 100, "vulnerable", 0.99), (0.15, 200, "vulnerable", 0.98)],
)
def test_what_is_clear_is_seen(counted, rate, images, verdict, least):
    found = counted(images)
    chance = stats.binom.pmf(np.arange(images + 1), images, rate)
    assert chance[[one == verdict for one in found]].sum() >= least


# This mark, or any


def specific(judged, hits, by_placebos, images=100, **others):
    result = judged(nominal={"hits": hits, "images": images, "by_placebos": by_placebos}, **others)
    return result.sides[0].specific


def against(*strong, weak=0, count=39):
    """How many images placebos turn wrong: some given ones, and others that turn few."""
    return (*strong, *(weak,) * (count - len(strong)))


def test_what_no_placebo_does_is_this_mark(judged):
    found = specific(judged, 50, against(49, 10), anomalous=(0, 100))
    assert (found.answer, found.reason) == ("yes", None)
    assert (found.value.value, found.as_strong, found.p, found.p_holm) == (0.5, 0, 1 / 40, 2 / 40)
    assert found.placebos[:3] == (0.49, 0.1, 0)
    assert len(found.placebos) == 39
    assert found.excess.value == pytest.approx(0.5 - 0.59 / 39)
    assert found.excess.low < found.excess.value < found.excess.high


@pytest.mark.parametrize(
    ("strong", "answer"),
    [(0, "yes"), (1, "inconclusive"), (5, "inconclusive"), (6, "no"), (39, "no")],
)
def test_how_many_placebos_do_as_much_decides(judged, strong, answer):
    """Both sides are asked: 2 x 1/40 is .05; six of 39 have a p of .0123, and .0125 is needed."""
    found = specific(judged, 50, against(*(50,) * strong), anomalous=(0, 100))
    assert (found.answer, found.as_strong) == (answer, strong)
    assert found.reason == (
        None
        if answer != "inconclusive"
        else f"{strong} of 39 placebos turn as many decisions wrong, which doesn't settle it"
    )


def test_one_side_alone_may_have_one_placebo_that_does_as_much(judged):
    for strong, answer in ((1, "yes"), (2, "inconclusive")):
        assert specific(judged, 50, against(*(50,) * strong)).answer == answer


def test_a_mark_beyond_placebos_must_be_so_by_more_than_the_limit(judged):
    assert specific(judged, 5, against()).answer != "yes", "5 of 100 are not over 5 %"
    assert specific(judged, 6, against()).answer == "yes"


def test_a_mark_that_surely_does_little_more_than_placebos_is_not_this_one(judged):
    found = specific(judged, 1, against())
    assert found.excess.high < 0.05
    assert (found.as_strong, found.answer) == (0, "no")


@pytest.mark.parametrize("images", [100, 300])
def test_the_artifact_is_compared_on_the_images_that_placebos_are_tried_on(judged, images):
    found = specific(judged, images // 2, against(), images=images)
    assert found.value.value == pytest.approx(0.5, abs=0.01)


def test_without_placebos_it_cannot_be_asked(judged, wrong_by):
    tested, measured = wrong_by("nominal", 50, 100, by_placebos=())
    tested = replace(tested, why_none="no place")
    result = judge(
        {"nominal": tested},
        {"nominal": replace(measured, tried=np.empty((0, 0)))},
        (measured.clean, np.ones(5)),
        (measured.clean, np.ones(5)),
        THRESHOLD,
        "as given",
        30,
        LIMITS,
        RAW,
    )
    (found,) = result.sides
    assert (found.verdict, found.specific, found.why_not_specific) == ("vulnerable", None, "no place")
    assert (result.shown, result.why_not_shown) == ({}, "no place")
    assert found.kinds == ()


def test_of_a_found_artifact_its_removal_is_compared_with_removals_elsewhere(judged):
    """Half of the images are wrong as they are found, and right without it; a placebo, without another part,
    makes some of them right too, and does as much as it makes right."""
    both = {"hits": 50, "images": 100, "found": True}
    (side,) = judged(nominal={**both, "by_placebos": against()}).sides
    assert side.specific.value.value == 0.5
    assert side.specific.placebos == (0,) * 39
    assert side.specific.answer == "yes"
    (side,) = judged(nominal={**both, "by_placebos": against(*(50,) * 10)}).sides
    assert side.specific.placebos[:10] == (0.5,) * 10
    assert (side.specific.as_strong, side.specific.answer) == (10, "no")


def test_of_few_images_it_is_not_told(judged):
    for images, answer in ((4, "inconclusive"), (5, "yes")):
        found = specific(judged, images, against(), images=images)
        assert found.answer == answer
    assert specific(judged, 4, against(), images=4).reason == "4 images are too few, at least 5 are needed"
    assert specific(judged, 4, against(weak=4), images=4).answer == "inconclusive", "nor that it isn't"


@given(hits=st.integers(0, 100), placebos=st.lists(st.integers(0, 100), min_size=39, max_size=39))
@settings(max_examples=40)
def test_an_answer_on_placebos_follows_its_rule(judged, hits, placebos):
    found = specific(judged, hits, placebos)
    assert found.p == (1 + sum(count >= hits for count in placebos)) / 40
    if found.answer == "yes":
        assert found.p_holm <= 0.05 + 1e-9
        assert found.excess.value > 0.05
    if found.as_strong >= 6:
        assert found.answer == "no"
    if found.answer == "no":
        assert found.as_strong >= 5 or found.excess.high < 0.05


def test_an_artifact_like_any_placebo_is_seldom_called_specific(judged):
    """Artifact and placebos are drawn alike: at most one in twenty is called so, by its rank."""
    rng = np.random.default_rng(1)
    drawn = [rng.permutation(np.arange(10, 90))[:40].tolist() for _ in range(200)]
    answers = [specific(judged, artifact, placebos).answer for artifact, *placebos in drawn]
    assert answers.count("yes") <= stats.binom.ppf(0.999, 200, 0.05)


# Do heatmaps show it


def overlaps(artifact, placebos, images=30, scatter=0.02, seed=0):
    """Pixel AUROC of marks around given means, (1 + placebos, images)."""
    rng = np.random.default_rng(seed)
    means = np.array([artifact, *placebos])[:, None]
    noise = rng.normal(0, scatter, (len(means), images))
    return means + noise - noise.mean(axis=1, keepdims=True)


@pytest.mark.parametrize(
    ("artifact", "placebos", "answer"),
    [
        (0.9, against(weak=0.6), "yes"),
        (0.9, against(0.9, 0.95, weak=0.6), "inconclusive"),  # 3/40
        (0.9, against(*(0.95,) * 6, weak=0.6), "no"),
        (0.5, against(weak=0.3), "no"),  # it isn't shown at all
        (0.9, against(weak=0.89), "no"),  # surely hardly more than placebos
        (0.3, against(weak=0.2), "no"),
    ],
)
def test_a_heatmap_shows_the_artifact_if_it_lights_up_on_it_more_than_on_placebos(artifact, placebos, answer):
    found = judge_shown({"native": overlaps(artifact, placebos)}, LIMITS)["native"]
    assert found.answer == answer
    assert found.value.value == pytest.approx(artifact)
    assert found.placebos == pytest.approx(placebos)
    assert (found.reason is None) == (answer != "inconclusive")


def test_what_is_hardly_above_chance_is_not_shown_though_placebos_are_below_it():
    values = overlaps(0.53, against(weak=0.3), images=5, scatter=0.1)
    found = judge_shown({"native": values}, LIMITS)["native"]
    assert found.answer == "inconclusive"
    assert found.reason == "the pixel AUROC is 0.53, hardly above chance, though placebos' is lower"


def test_explanations_are_corrected_for_their_number():
    clear = overlaps(0.9, against(weak=0.6))
    alone = judge_shown({"a": clear}, LIMITS)["a"]
    both = judge_shown({"a": clear, "b": overlaps(0.5, against(weak=0.5))}, LIMITS)
    three = judge_shown(dict.fromkeys("abc", clear), LIMITS)
    assert (alone.p, alone.p_holm, alone.answer) == (1 / 40, 1 / 40, "yes")
    assert (both["a"].p_holm, both["a"].answer, both["b"].answer) == (2 / 40, "yes", "no")
    assert [one.answer for one in three.values()] == ["inconclusive"] * 3, "39 placebos are too few"
    more = overlaps(0.9, against(weak=0.6, count=59))
    assert {one.answer for one in judge_shown(dict.fromkeys("abc", more), LIMITS).values()} == {"yes"}


def test_images_whose_mask_is_none_or_all_are_left_out():
    values = overlaps(0.9, against(weak=0.6))
    bare = np.concatenate([values, np.full((40, 3), np.nan)], axis=1)
    assert judge_shown({"a": bare}, LIMITS) == judge_shown({"a": values}, LIMITS)
    found = judge_shown({"a": np.full((40, 30), np.nan), "b": values}, LIMITS)
    assert list(found) == ["a", "b"]
    assert found["a"].answer == "inconclusive"
    assert found["a"].reason == "the mask is the whole image, so that no heatmap could point to it"
    assert found["b"] == judge_shown({"b": values}, LIMITS)["b"], "it isn't among those asked together"


@pytest.mark.parametrize(
    ("images", "reason"),
    [
        (1, "1 image is too few, at least 5 are needed"),
        (2, "2 images are too few, at least 5 are needed"),
        (4, "4 images are too few, at least 5 are needed"),
        (5, None),
    ],
)
@pytest.mark.parametrize(("artifact", "answer"), [(0.9, "yes"), (0.5, "no")])
def test_heatmaps_of_few_images_tell_nothing(images, reason, artifact, answer):
    values = overlaps(artifact, against(weak=artifact - 0.3), images=images, scatter=1e-3)
    found = judge_shown({"native": values}, LIMITS)["native"]
    assert (found.answer, found.reason) == ((answer, None) if reason is None else ("inconclusive", reason))
    assert missed(found, LIMITS) == (reason is None and artifact == 0.5)


@pytest.mark.parametrize(
    ("artifact", "placebos", "answer", "expected"),
    [
        (0.9, 0.6, "yes", False),
        (0.9, 0.9, "no", False),  # it is shown, as any mark is
        (0.5, 0.5, "no", True),
        (0.3, 0.2, "no", True),
        (0.52, 0.9, "no", True),
        (0.9, 0.98, "no", False),
    ],
)
def test_missed_is_only_what_heatmaps_do_not_point_to(artifact, placebos, answer, expected):
    found = judge_shown({"native": overlaps(artifact, against(weak=placebos))}, LIMITS)["native"]
    assert (found.answer, missed(found, LIMITS)) == (answer, expected)


def test_what_is_shown_is_of_nominal_images_that_bear_it(judged):
    values = {"native": overlaps(0.9, against(weak=0.6))}
    result = judged(nominal={"hits": 50, "images": 100, "overlaps": values}, anomalous=(0, 100))
    assert result.shown["native"].answer == "yes"
    assert (result.why_not_shown, result.explained) == (None, 30)
    alone = judged(anomalous=(0, 100))
    assert (alone.shown, alone.explained) == ({}, 0)
    assert alone.why_not_shown == "no nominal image bears the artifact"


# The numbers of placebos


@pytest.mark.parametrize(("level", "needed"), [(0.05, 39), (1 - 0.95, 39), (0.01, 199), (0.1, 19), (0.5, 3)])
def test_so_many_placebos_are_needed_for_a_level(level, needed):
    assert placebos_needed(level) == needed
    assert 2 / (needed + 1) <= level + 1e-12 < 2 / needed
    assert placebos_needed(0.05, 1) == 19
    assert placebos_needed(0.05, 3) == 59


def test_with_the_least_placebos_there_is_an_answer_either_way(judged):
    assert placebos_needed(2 * LIMITS.tail) == LEAST_PLACEBOS
    both = {"anomalous": (0, 100)}
    assert specific(judged, 50, against(count=LEAST_PLACEBOS), **both).answer == "yes"
    assert specific(judged, 50, against(weak=50, count=LEAST_PLACEBOS), **both).answer == "no"
    assert specific(judged, 50, against(count=LEAST_PLACEBOS - 1), **both).answer != "yes"


def test_a_result_is_plain_json(judged):
    plain = judged(clipped=Clipped(high=1.0, notes=("x",)), nominal=(50, 100)).as_json()
    assert plain["sides"][0]["shift"] is None, "NaN is no JSON"
    assert plain["sides"][0]["specific"]["excess"].keys() == {"value", "low", "high"}
    assert plain["threshold"] == 0.5
