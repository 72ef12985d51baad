import pytest
import torch
from torch import nn

from fcdd_audit.core.errors import InputError
from fcdd_audit.detectors import build

ZEROS = torch.zeros(2, 1, 8, 8, dtype=torch.uint8)


def transparent(**options):
    """The vector is the image's 64 pixels themselves."""
    detector = build("dsvdd", ZEROS, 0, {"dimensions": 64, **options})
    detector.features, detector.embed = nn.Sequential(), nn.Flatten()
    detector.mean[:], detector.std[:] = 0, 1
    return detector


def pictures(*squares):
    """Images whose squared norm is as given."""
    x = torch.zeros(len(squares), 1, 8, 8)
    x[:, 0, 2, 2] = torch.tensor(squares).sqrt()
    return x


@pytest.mark.parametrize(
    ("network", "side"), [("small", 16), ("small", 128), ("cnn28", 28), ("cnn32", 32), ("vgg11", 32)]
)
@pytest.mark.parametrize("objective", ["one-class", "soft-boundary"])
def test_no_layer_has_a_bias(network, side, objective):
    images = torch.zeros(2, 3, side, side, dtype=torch.uint8)
    detector = build("dsvdd", images, 0, {"objective": objective, "dimensions": 8}, network)
    assert not [name for name, _ in detector.named_parameters() if "bias" in name]
    assert all(parameter.ndim > 1 for parameter in detector.parameters())  # no scales of a batch norm either


def test_the_score_is_the_squared_distance_from_the_centre():
    detector = transparent()
    detector.centre[18] = 2.0  # row 2, column 2
    assert detector.score(pictures(4.0, 25.0)).tolist() == pytest.approx([0, 9])
    assert detector.loss(pictures(4.0, 25.0), torch.tensor([0.0, 1.0])).item() == pytest.approx(4.5)


def test_the_centre_is_the_mean_vector_kept_off_zero():
    detector = transparent()
    detector.mean[:] = 0.4
    images = torch.zeros(2, 1, 8, 8, dtype=torch.uint8)
    images[:, 0, 0, :4] = torch.tensor([[255, 0, 112, 100], [153, 0, 114, 90]])
    detector.start(images)
    # minus 0.4: 0.6 and 0.2; -0.4; 0.039 and 0.047; -0.008 and -0.047
    assert detector.centre[:4].tolist() == pytest.approx([0.4, -0.4, 0.1, -0.1])
    assert (detector.centre.abs() >= 0.1 - 1e-6).all()
    detector.mean[:] = 0
    detector.start(images)
    assert detector.centre[1] == pytest.approx(0.1)  # of exactly 0


@pytest.mark.parametrize("training", [False, True])
def test_the_centre_is_that_of_evaluation_whatever_the_number_of_images_and_nothing_else_changes(training):
    images = torch.randint(0, 256, (65, 3, 32, 32), dtype=torch.uint8)  # one more than a chunk
    detector = build("dsvdd", images, 0, network="cnn32").train(training)
    before = {name: value.clone() for name, value in detector.state_dict().items() if name != "centre"}
    detector.start(images)
    assert all(torch.equal(detector.state_dict()[name], value) for name, value in before.items())
    assert all(module.training == training for module in detector.modules())
    with torch.no_grad():
        mean = detector.eval().embed(detector.features(detector.normalise(images / 255))).mean(dim=0)
    expected = torch.where(mean.abs() < 0.1, torch.where(mean < 0, -0.1, 0.1), mean)
    torch.testing.assert_close(detector.centre, expected)


def test_the_soft_boundary_is_the_quantile_of_the_epochs_distances_once_warmed_up():
    detector = transparent(objective="soft-boundary", nu=0.25, warm_up=2)
    for epoch, scale in enumerate((1.0, 10.0, 100.0)):
        seen = []
        for batch in ([1.0, 2.0, 3.0], [4.0, 5.0]):
            images = pictures(*(scale * value for value in batch))
            seen.append(detector.loss_and_seen(images, torch.zeros(len(batch)))[1])
        detector.end_epoch(epoch, torch.cat(seen))
        # 75 % of 1, 2, 3, 4, 5 is 4; of this epoch alone
        assert detector.squared_radius.item() == pytest.approx([0, 40, 400][epoch])
    assert detector.score(pictures(400.0, 500.0, 100.0)).tolist() == pytest.approx([0, 100, -300])


def test_the_soft_boundary_loss_is_the_radius_and_the_excess_over_nu():
    detector = transparent(objective="soft-boundary", nu=0.5)
    detector.squared_radius.fill_(3.0)
    # excess of 1, 5, 9 over 3: 0, 2, 6
    assert detector.loss(pictures(1.0, 5.0, 9.0), torch.zeros(3)).item() == pytest.approx(3 + 8 / 3 / 0.5)


def test_the_one_class_objective_has_no_radius():
    detector = transparent()
    for epoch in range(4):
        _, seen = detector.loss_and_seen(pictures(1.0, 2.0), torch.zeros(2))
        detector.end_epoch(epoch, seen)
    assert detector.squared_radius == 0


@pytest.mark.parametrize(
    ("options", "named"),
    [({"objective": "hard"}, "hard"), ({"nu": 0.0}, "nu"), ({"nu": 1.0}, "nu")],
)
def test_an_impossible_objective_or_nu_is_refused(options, named):
    with pytest.raises(InputError, match=named):
        build("dsvdd", ZEROS, 0, options)


def test_the_centre_has_the_networks_own_dimensions_unless_given():
    assert build("dsvdd", ZEROS, 0).centre.shape == (32,)
    assert build("dsvdd", ZEROS, 0, network="cnn28").centre.shape == (48,)
    assert build("dsvdd", ZEROS, 0, {"dimensions": 5}).centre.shape == (5,)


def test_pretrained_layers_are_refused():
    colour = torch.zeros(2, 3, 32, 32, dtype=torch.uint8)
    with pytest.raises(InputError, match="without bias"):
        build("dsvdd", colour, 0, network="vgg11-imagenet")
