from typing import NamedTuple

import numpy as np
import pytest
import torch

from fcdd_audit.core.errors import InputError
from fcdd_audit.models.outputs import DECISIONS, FROM_MAP, WHOLE, at_size, read, read_maps

SCORES = torch.tensor([1.0, 3.0])
MAPS = torch.tensor([[[[1.0, 0.0], [0.0, 0.0]]], [[[0.0, 3.0], [0.0, 2.0]]]])


class Batch(NamedTuple):
    """Like anomalib's."""

    pred_score: object = None
    pred_label: object = None
    anomaly_map: object = None


class Result:
    def __init__(self, **parts):
        vars(self).update(parts)

    def __repr__(self):
        return f"Result({', '.join(vars(self))})"


@pytest.mark.parametrize(
    "output",
    [
        SCORES,
        SCORES[:, None],
        SCORES.double(),
        SCORES.half(),
        SCORES.numpy(),
        SCORES.numpy()[:, None],
        [1.0, 3.0],
        (1.0, 3.0),
        [np.float32(1), np.float32(3)],
        [torch.tensor(1.0), torch.tensor([3.0])],
        (SCORES, None),
        {"pred_score": SCORES, "other": None},
        Batch(SCORES),
        Result(pred_score=SCORES),
    ],
    ids=str,
)
def test_scores_come_in_many_shapes(output):
    found = read(output, 2)
    assert found.scores.tolist() == [1, 3]
    assert found.scores.dtype in (torch.float32, torch.float64)
    assert found.maps is None
    assert found.notes == ()


@pytest.mark.parametrize(
    "output", [0.5, torch.tensor(0.5), np.float64(0.5), [0.5], torch.tensor([[0.5]])], ids=str
)
def test_of_one_image_one_number_is_enough(output):
    assert read(output, 1).scores.tolist() == [0.5]


@pytest.mark.parametrize(
    "output",
    [
        (SCORES, MAPS),
        (MAPS, SCORES),
        [SCORES, MAPS],
        (SCORES[:, None], MAPS[:, 0]),
        {"pred_score": SCORES, "anomaly_map": MAPS},
        {"pred_score": SCORES.numpy(), "anomaly_map": MAPS[:, 0].numpy()},
        Batch(SCORES, None, MAPS),
        Result(pred_score=SCORES, anomaly_map=MAPS),
    ],
    ids=[*"abcdefgh"],
)
def test_scores_and_maps_come_together(output):
    found = read(output, 2)
    assert torch.equal(found.scores, SCORES)
    assert torch.equal(found.maps, MAPS)
    assert found.notes == ()


@pytest.mark.parametrize(
    "output", [MAPS, MAPS[:, 0], MAPS.numpy(), {"anomaly_map": MAPS}, Batch(anomaly_map=MAPS), (None, MAPS)]
)
def test_of_maps_alone_the_maximum_is_the_score(output):
    found = read(output, 2)
    assert found.scores.tolist() == [1, 3]
    assert torch.equal(found.maps, MAPS)
    assert found.notes == (FROM_MAP,)


def test_further_outputs_are_left_out_and_said():
    found = read((torch.zeros(2, 7), SCORES, MAPS, torch.tensor([0.0, 1.0])), 2)
    assert torch.equal(found.scores, SCORES)
    assert torch.equal(found.maps, MAPS)
    assert found.notes == ("Of the model's 4 outputs the first that can be scores or maps are taken.",)


@pytest.mark.parametrize(("output", "note"), [(torch.tensor([True, False]), DECISIONS), ([1, 3], WHOLE)])
def test_scores_that_are_no_real_numbers_are_said(output, note):
    found = read(output, 2)
    assert found.notes == (note,)
    assert found.scores.dtype == torch.float32


def test_gradients_flow_through_every_shape():
    for made in (
        lambda x: x,
        lambda x: x[:, None],
        lambda x: list(x),
        lambda x: (x, None),
        lambda x: {"anomaly_map": x[:, None, None, None] * MAPS},
    ):
        values = SCORES.clone().requires_grad_()
        read(made(values), 2).scores.sum().backward()
        assert values.grad.abs().min() > 0


@pytest.mark.parametrize(
    ("output", "said"),
    [
        (
            torch.zeros(2, 5),
            "the model gives a tensor of shape (2, 5) for 2 images; one number an image is needed, higher "
            "for more anomalous (of logits return the anomalous class's, less the other's; of features a "
            "distance)",
        ),
        (
            torch.zeros(2, 3, 8, 8),
            "the model gives a tensor of shape (2, 3, 8, 8) for 2 images; one number an image is needed, "
            "higher for more anomalous (of a reconstruction return its error, averaged over channels and "
            "pixels)",
        ),
        (
            torch.zeros(()),
            "the model gives a tensor of shape () for 2 images; one number an image is needed, higher for "
            "more anomalous",
        ),
        (
            None,
            "the model gives None; one number an image is needed, higher for more anomalous, as a tensor or "
            "an array",
        ),
        (
            {"score": SCORES},
            "the model gives a dict of score; 'pred_score' or 'anomaly_map' is needed in it",
        ),
        ({}, "the model gives a dict of nothing; 'pred_score' or 'anomaly_map' is needed in it"),
        (
            Batch(),
            "the model gives neither a pred_score nor an anomaly_map: both are None; one number an image is "
            "needed, higher for more anomalous",
        ),
        (
            (torch.zeros(2, 5), torch.zeros(2, 3, 4, 4)),
            "the model gives a tuple of 2 (a tensor of shape (2, 5), a tensor of shape (2, 3, 4, 4)) for 2 "
            "images; a score, one number an image is needed, higher for more anomalous, or an anomaly map is "
            "needed among them",
        ),
        (
            SCORES.to(torch.complex64),
            "the model gives complex numbers; one number an image is needed, higher for more anomalous",
        ),
        (
            {"pred_score": SCORES, "anomaly_map": torch.zeros(2, 3, 4, 4)},
            "the model gives an anomaly_map of shape (2, 3, 4, 4) for 2 images; (N, 1, h, w) is needed",
        ),
    ],
    ids=[
        "logits",
        "image",
        "none for each",
        "nothing",
        "dict",
        "empty",
        "unnamed",
        "tuple",
        "complex",
        "map",
    ],
)
def test_what_is_no_score_is_said_in_one_line(output, said):
    with pytest.raises(InputError) as error:
        read(output, 2)
    assert str(error.value) == said


def test_text_is_no_score():
    with pytest.raises(InputError, match="one number an image"):
        read("0.5", 1)


def test_maps_of_a_method_for_them():
    assert torch.equal(read_maps(MAPS[:, 0], 2), MAPS)
    assert torch.equal(read_maps({"anomaly_map": MAPS}, 2), MAPS)
    with pytest.raises(InputError, match="where anomaly maps are asked for"):
        read_maps({"pred_score": SCORES}, 2)


def test_a_map_is_shifted_only_where_it_is_negative_and_resized_bilinearly():
    maps = torch.tensor([[[[-1.0, 1.0]]], [[[1.0, 2.0]]]])
    assert torch.equal(at_size(maps, 1, 2), torch.tensor([[[[0.0, 2.0]]], [[[1.0, 2.0]]]]))
    wide = at_size(maps, 2, 4)
    assert wide.shape == (2, 1, 2, 4)
    torch.testing.assert_close(wide[1, 0, 0], torch.tensor([1.0, 1.25, 1.75, 2.0]))
