"""The page of a discovery, of made-up candidates."""

import io
import json
import re
import subprocess
import sys
from base64 import b64decode
from html import unescape

import numpy as np
import pytest
from PIL import Image

from fcdd_audit import InputError, render_report
from fcdd_audit.cli.tables import print_candidates
from fcdd_audit.core.colours import OUTLINE
from fcdd_audit.discovery.saying import answer, group_of, p_words, place_words, shares_words
from fcdd_audit.report.discovery import outlined, part_around, pixels_of

EVIL = "</script><script>alert(1)</script><img src=x onerror=alert(1)>"
LARGEST = 1_500_000
WITHOUT = """
import sys
sys.modules["torch"] = sys.modules["captum"] = None
from fcdd_audit.cli.app import main
sys.argv[0] = "fcdd-audit"
main()
"""


def candidate(number=1, p=0.005, box=(0.05, 0.7, 0.25, 0.2), counts=None, **changes):
    counts = {"nominal": [20, 240], "anomalous": [0, 240]} if counts is None else counts
    return {
        "id": f"#{number}",
        "kind": "repeated",
        "bearers": [f"train/nominal/{place:03}.png" for place in range(20)],
        "share": {side: one[0] / one[1] for side, one in counts.items()},
        "counts": counts,
        "difference": 0.00000083 if len(counts) == 2 else None,
        "view": "image",
        "box": None if box is None else list(box),
        "p": p,
        "null": "mirrored",
        "mark": None,
        "masks": None,
        "evidence": {"field": "gradient", "strength": 5.25, "side": "nominal", "varies": None},
        **changes,
    }


def copies(number):
    return candidate(
        number,
        None,
        None,
        kind="near-copies",
        null="near-copies are what they are: no null is needed",
        evidence={"groups": 4, "groups across sides": 2},
    )


def placeless(number, sure=True):
    return candidate(
        number,
        None,
        None,
        {"nominal": [0, 240], "anomalous": [0, 240]},
        kind="placeless",
        bearers=[],
        null="the interval of the AUROC by which the sides are told apart",
        evidence={
            "differs in": ["original width (32 px against 64 px)"],
            "groups": {"file": 0.97},
            "content-free": sure,
        },
    )


def spiked(found, opacity=0.5):
    p = 0.005 if found else None
    return {"mark": "watermark", "opacity": opacity, "bearers": 10, "found": found, "p": p}


def content(*candidates, sensitivity=(), images=None):
    images = {"nominal": 240, "anomalous": 240} if images is None else images
    return {
        "schema": 1,
        "dataset": "folder",
        "images": images,
        "searched": dict(images),
        "draws": 199,
        "sensitivity": list(sensitivity),
        "notes": ["The null mirrors images."],
        "candidates": list(candidates),
    }


def pictures(names, side=32, shown=12):
    rng = np.random.default_rng(0)
    masks = np.zeros((shown, side, side), bool)
    masks[:, -8:-4, 2:9] = True
    return {
        "images": rng.integers(0, 256, (shown, 3, side, side), np.uint8),
        "names": np.array(names[:shown]),
        "sides": np.array(["nominal"] * shown),
        "mean_bearing": rng.integers(0, 256, (3, side, side), np.uint8),
        "mean_others": rng.integers(0, 256, (3, side, side), np.uint8),
        "mark": rng.integers(0, 256, (4, 7, 4), np.uint8),
        "masks": masks,
    }


def made_up_run(folder, found, name="discover-folder", side=32, **discovery):
    """Writes a discovery's folder, and its page."""
    folder.mkdir(parents=True, exist_ok=True)
    described = {
        "schema": 7,
        "run": name,
        "design": "discovery",
        "config": {
            "data": {
                "dataset": "folder",
                "data_root": name,
                "nominal_class": [],
                "oe": None,
                "oe_limit": None,
                "masks_per_defect": 0,
                "bit_depth": None,
                "skip_corrupt": False,
            },
            "discovery": {
                "draws": 199,
                "sample": 256,
                "sensitivity": True,
                "seed": 0,
                "model": None,
                "mean": [],
                "std": [],
                "trust_model": False,
                **discovery,
            },
            "run": {"out": "reports"},
        },
        "shape": [3, side, side],
        "fingerprints": dict.fromkeys(found["images"], "0123456789abcdef"),
        "versions": {"fcdd-audit": "0.1.0", "python": "3.11"},
        "device": {"system": "Linux", "cores": 2},
        "finished": "2026-01-01 00:00:00 UTC",
        "seconds": 5.5,
    }
    (folder / "config.json").write_text(json.dumps(described), encoding="utf-8")
    (folder / "candidates.json").write_text(json.dumps(found), encoding="utf-8")
    for one in found["candidates"]:
        if one["bearers"]:
            stored = pictures(one["bearers"], side)
            if one["kind"] == "near-copies":
                stored = {key: stored[key] for key in ("images", "names", "sides")}
            np.savez(folder / f"pictures-{one['id'][1:]}.npz", **stored)
    return render_report(folder)


def usual(folder):
    """A page with one of everything."""
    marked = {"mark": "mark-1.png", "masks": "masks-1"}
    rows = [candidate(1, **marked), candidate(2, 0.03, (0, 0, 1, 1)), candidate(3, 0.4), candidate(4, None)]
    rows[3]["null"] = "symmetric"
    rows += [copies(5), placeless(6)]
    return made_up_run(folder, content(*rows, sensitivity=[spiked(True), spiked(False, 0.8)]))


def words(page):
    text = page.read_text(encoding="utf-8")
    body = re.sub(r"<(script|style|svg).*?</\1>", "", text, flags=re.DOTALL)
    return re.sub(r" ([.,;:])", r"\1", " ".join(unescape(re.sub("<.*?>", " ", body)).split()))


# Sentences by rule


@pytest.mark.parametrize(
    ("found", "said"),
    [
        (
            content(candidate(), candidate(2)),
            "2 marks repeat in these images; the surest, at the lower left, is on 20 of 240 normal and 0 of "
            "240 anomalous images.",
        ),
        (
            content(candidate()),
            "1 mark repeats in these images: at the lower left, on 20 of 240 normal and 0 of 240 anomalous "
            "images.",
        ),
        (
            content(candidate(box=(0, 0, 1, 1), counts={"images": [20, 240]})),
            "1 mark repeats in these images: all over the image, on 20 of 240 images.",
        ),
        (
            content(candidate(kind="pasted"), candidate(2)),
            "1 mark repeats and 1 kind of window moves the score in these images; the surest, at the lower "
            "left, is on 20 of 240 normal and 0 of 240 anomalous images.",
        ),
        (
            content(candidate(p=0.32), sensitivity=[spiked(True)] * 3 + [spiked(False)]),
            "Nothing repeats beyond what chance gives (the strongest has p = 0.32): of marks put on 10 of "
            "these images, 3 of 4 were found.",
        ),
        (
            content(),
            "Nothing repeats beyond what chance gives. Whether a mark would have been found was not asked, "
            "or could not be tried.",
        ),
    ],
)
def test_the_first_sentence(found, said):
    assert answer(found) == [said]


def test_how_images_were_made_has_sentences_of_its_own():
    said = answer(content(candidate(), copies(2), placeless(3), placeless(4, sure=False)))
    assert said[1:] == [
        "20 images are near-copies of another, and 2 groups have images of both sides.",
        "The sides can be told apart without looking at what they show: original width (32 px against 64 "
        "px).",
        "The sides differ in how their images look: original width (32 px against 64 px); that can be due to "
        "what they show.",
    ]


@pytest.mark.parametrize(
    ("box", "said"),
    [
        ((0, 0, 0.2, 0.2), "the upper left"),
        ((0.8, 0.8, 0.2, 0.2), "the lower right"),
        ((0.4, 0.4, 0.2, 0.2), "the middle"),
        ((0.4, 0.8, 0.2, 0.2), "the middle of the bottom"),
        ((0.8, 0.4, 0.2, 0.2), "the middle of the right"),
        ((0, 0.9, 1, 0.1), "the bottom, across"),
        ((0.9, 0, 0.1, 1), "the right, from top to bottom"),
        ((0, 0, 1, 1), "all over the image"),
        (None, "–"),
    ],
)
def test_a_place_in_words(box, said):
    assert place_words(candidate(box=box)) == said


def test_a_place_in_another_view_names_it():
    assert (
        place_words(candidate(view="lower-left")) == "the lower left corner of the files, at their own scale"
    )


def test_shares_and_p_in_words():
    assert shares_words(candidate(counts={"images": [3, 40]})) == "3 of 40 images"
    assert [p_words(p) for p in (1, 0.32, 0.05, 0.005, 1e-7, None)] == [
        *("1.00", "0.32", "0.050", "0.0050", "< 0.0001", "–")
    ]


@pytest.mark.parametrize(("count", "said"), [(1, "One find is"), (2, "2 finds are")])
def test_the_answer_says_what_is_listed_apart(count, said):
    rows = [candidate(number, None, (0, 0, 1, 1), null="none: why") for number in range(1, count + 1)]
    nothing, apart = answer(content(*rows))
    assert nothing.startswith("Nothing repeats beyond what chance gives")
    which = "it is" if count == 1 else "the first is"
    assert apart == (
        f"{said} listed apart, since no null can judge how sure: {which} all over the image, on 20 of 240 "
        "normal and 0 of 240 anomalous images."
    )


def test_the_terminal_lists_apart_what_no_null_can_judge(capsys, tmp_path):
    rows = [candidate(1), candidate(2, None, (0, 0, 1, 1), null="none: why")]
    print_candidates(content(*rows), tmp_path / "report.html")
    ranked, apart = capsys.readouterr().out.split("Listed apart, since no null can judge how sure:\n")
    assert "#1" in ranked
    assert "#2" not in ranked
    assert "#2" in apart
    assert "none: why" in apart


def test_where_a_candidate_stands():
    rows = [candidate(), candidate(p=0.06), candidate(p=None), copies(1), placeless(1)]
    assert [group_of(one) for one in rows] == ["sure", "unsure", "unjudged", "made", "made"]


# Pictures


def test_the_line_is_around_the_box_and_hides_nothing_of_it():
    image = np.zeros((3, 32, 32), np.uint8)
    uri = outlined(image, (24, 0, 8, 8))  # in a corner, so that the line is outside the image
    shown = np.asarray(Image.open(io.BytesIO(b64decode(uri.split(",")[1]))).convert("RGBA")).astype(int)
    assert shown.shape == (100, 100, 4)
    assert shown[76:96, 4:24, :3].max() < 60
    assert np.abs(shown[80, 0, :3] - OUTLINE).max() < 90
    assert np.abs(shown[99, 10, :3] - OUTLINE).max() < 90
    assert shown[99, 60, 3] == 0


@pytest.mark.parametrize(
    ("box", "frame", "part"),
    [
        (None, (32, 32), (0, 0, 32, 32)),
        ((4, 4, 8, 8), (64, 64), (0, 0, 64, 64)),
        ((200, 4, 20, 20), (224, 224), (96, 0, 128, 128)),
        ((0, 0, 200, 200), (224, 224), (0, 0, 224, 224)),
    ],
)
def test_of_large_images_the_part_around_the_box_is_shown(box, frame, part):
    assert part_around(box, frame) == part


def test_shares_of_a_frame_in_pixels():
    assert pixels_of([0.05, 0.7, 0.25, 0.2], (100, 200)) == (70, 10, 20, 50)
    assert pixels_of(None, (1, 1)) is None


# The page


def test_the_page_says_all_of_it(tmp_path):
    said = words(usual(tmp_path))
    assert "2 marks repeat in these images; the surest, at the lower left" in said
    assert "The shares differ with p = < 0.0001" not in said
    assert "The shares differ with p < 0.0001 (Fisher's exact test, of this candidate alone)" in said
    assert "Family-wise p = 0.0050, null: mirrored." in said
    assert "12 of 20 images that bear it, with the place outlined." in said
    assert "6 of 20 images" in said
    assert "the mark, 7 × 4 px, 4 times enlarged" in said
    assert "watermark 0.5 10 yes 0.0050 watermark 0.8 10 no –" in said
    for heading in (
        *("What was found", "How the images were made", "Not beyond chance", "What no null can judge"),
        *("What could have been found", "What the null can't judge", "What was searched, with what?"),
    ):
        assert heading in said
    assert "No p-value: symmetric." in said
    assert "seed 0" in said


def test_without_candidates_the_page_says_so(tmp_path):
    said = words(made_up_run(tmp_path, content(), sensitivity=False))
    assert "Nothing repeats beyond what chance gives." in said
    assert "Not asked ( --no-sensitivity )" in said
    assert "Not beyond chance" not in said


def test_markup_in_names_stays_text(tmp_path):
    names = [f"{EVIL}{place}" for place in range(20)]
    one = candidate(
        bearers=names,
        view=EVIL,
        null=EVIL,
        evidence={EVIL: EVIL, "differs in": [EVIL]},
        masks=EVIL,
        mark=EVIL,
    )
    images = {"nominal": 240, EVIL: 240}
    text = made_up_run(tmp_path, content(one, images=images), name=EVIL).read_text(encoding="utf-8")
    assert "<script>alert" not in text
    assert "<img src=x" not in text
    assert EVIL in unescape(text)


def test_windows_are_outlined_each_at_its_place_and_not_listed(tmp_path):
    evidence = {"direction": "lowers", "effect": -1.5, "windows": [[0.123456, 0, 0.25, 0.25]] * 20}
    one = candidate(
        kind="pasted", box=None, counts={"nominal": [20, 60]}, null="exchanged", evidence=evidence
    )
    page = made_up_run(tmp_path, content(one))
    stored = {key: value for key, value in pictures(one["bearers"]).items() if key not in ("masks", "mark")}
    np.savez(tmp_path / "pictures-1.npz", **stored, boxes=np.array(evidence["windows"][:12]))
    page = render_report(tmp_path)
    assert "1 kind of window moves the score in these images: on 20 of 60 normal images." in words(page)
    assert "what it does to the score lowers" in words(page)
    assert "0.123" not in words(page)
    assert 'href="#null-exchanged"' in page.read_text(encoding="utf-8")


def test_an_id_that_is_none_leads_nowhere(tmp_path):
    one = {**candidate(), "id": "#../../up"}
    with pytest.raises(InputError, match="no candidate's id"):
        made_up_run(tmp_path, content({**one, "bearers": []}))


def test_nothing_points_outside_the_file_ids_are_unique_and_links_lead_somewhere(tmp_path):
    text = usual(tmp_path).read_text(encoding="utf-8")
    assert not re.search(r'(src|href)="(?!#|data:)', text)
    ids = re.findall(r' id="([^"]+)"', text)
    assert len(ids) == len(set(ids))
    assert set(re.findall(r'href="#([^"]+)"', text)) <= set(ids)


def test_a_page_of_many_candidates_on_large_images_can_be_mailed(tmp_path):
    rows = [candidate(number, 0.005, (0.05, 0.7, 0.25, 0.2)) for number in range(1, 11)]
    page = made_up_run(tmp_path, content(*rows), side=224)
    assert page.stat().st_size < LARGEST, "even of noise, the worst of all pictures"


def test_the_page_is_rendered_without_torch_and_captum(tmp_path):
    before = usual(tmp_path).read_text(encoding="utf-8")
    (tmp_path / "report.html").unlink()
    command = [sys.executable, "-c", WITHOUT, "report", tmp_path]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert (tmp_path / "report.html").read_text(encoding="utf-8") == before
