import pytest

from fcdd_audit.core.directions import DIRECTIONS
from fcdd_audit.report import wording
from fcdd_audit.report.wording import artifact_words, telling_digits, trained


def finding(plant_on, prevalence=0.2):
    return {"plant_on": plant_on, "prevalence": prevalence}


@pytest.mark.parametrize("plant_on", DIRECTIONS)
def test_words_name_the_share_the_side_and_what_is_done(plant_on):
    direction = DIRECTIONS[plant_on]
    was, does = trained(finding(plant_on)), wording.tested(finding(plant_on))
    assert "20 %" in was
    assert was.startswith("found on" if direction.found else "planted on")
    side = ("nominal", "anomalous").index(direction.changed)
    put_on = direction.conflict[side] == "marked"
    assert does.startswith("put on the" if put_on else ("removed from the", "taken off the"))
    assert f"the {direction.changed} test images" in does
    assert does.endswith("that bear it") == direction.removed


@pytest.mark.parametrize(
    ("prevalence", "words"), [(1.0, "100 %"), (0.0512, "5.12 %"), (2 / 3, "66.7 %"), (0, "0 %")]
)
def test_shares_are_in_per_cent(prevalence, words):
    assert trained(finding("nominal", prevalence)) == f"planted on {words} of the nominal training images"


def test_one_source_of_images_is_named():
    assert "outlier exposure and nowhere else" in trained(finding("oe"))
    assert "all training images but the outlier exposure" in trained(finding("all-but-oe"))


@pytest.mark.parametrize(
    ("carries_over", "words"),
    [(False, "bars planted instead on 20 %"), (True, "bars planted instead on 20 %, which carries over")],
)
def test_a_kind_of_audit_of_a_calibration_is_called_by_its_label(carries_over, words):
    rate = {"label": "bars planted instead on 20 %", "carries_over": carries_over}
    assert wording.kind_of_audit(rate) == words


@pytest.mark.parametrize(
    ("probe", "words"),
    [
        (
            "Watermark(text='© PHOTO', corner='lower-left', size=0.7)",
            "watermark: text © PHOTO, corner lower-left, size 0.7",
        ),
        ("JPEG()", "jpeg"),
        ("Frame(width=0.08), JPEG()", "frame: width 0.08; jpeg"),
        ("Frame(width=0.08), <own.Dot object at 0x7f>", "Frame(width=0.08), <own.Dot object at 0x7f>"),
        ("Tint(colour=(1, 0.5, 0))", "tint: colour (1, 0.5, 0)"),
        ("<own.Dot object at 0x7f>", "<own.Dot object at 0x7f>"),
        ("a + b", "a + b"),
    ],
)
def test_an_artifact_is_told_by_its_name_and_options(probe, words):
    assert artifact_words(probe) == words


@pytest.mark.parametrize(
    ("planted", "control", "digits"), [(0.54, 0.0, 2), (-28.01, 0.02, 1), (0.1, 228.5, 0), (None, 1.0, 2)]
)
def test_large_effects_have_fewer_digits(planted, control, digits):
    assert telling_digits({"planted": {"value": planted}, "control": {"value": control}}) == digits
