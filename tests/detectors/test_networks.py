from urllib.error import URLError

import pytest
import torch
from torch import nn

from fcdd_audit.core.errors import InputError
from fcdd_audit.core.recipe import Recipe
from fcdd_audit.detectors import Frozen, build, fit, networks
from fcdd_audit.detectors.networks import (
    NETWORKS,
    OwnNetwork,
    convolutions,
    embedding,
    expansion,
    output_shape,
    transposed,
    widths_for,
)
from fcdd_audit.detectors.receptive import receptive_field

HERE = [network for network in NETWORKS if network != "vgg11-imagenet"]  # its weights are a download


@pytest.mark.parametrize(
    ("shape", "grid"),
    [((1, 16, 16), (4, 4)), ((3, 32, 48), (8, 12)), ((3, 64, 64), (16, 16)), ((3, 128, 128), (16, 16))],
)
def test_every_network_turns_shapes_as_it_says(shape, grid):
    widths = widths_for(min(shape[1:]))
    x = torch.rand(2, *shape)
    features = convolutions(shape[0], widths)(x)
    vector = embedding(widths, shape, 5)(features)
    assert features.shape == (2, 64, *grid)
    assert vector.shape == (2, 5)
    assert expansion(widths, shape, 5)(vector).shape == features.shape
    assert transposed(shape[0], widths)(features).shape == x.shape


def test_images_from_128_px_on_get_one_more_block():
    assert [len(widths_for(side)) for side in (16, 127, 128, 224)] == [3, 3, 4, 4]


def test_without_bias_zero_stays_zero():
    widths = (4, 8)
    bare = nn.Sequential(convolutions(1, widths, bias=False), embedding(widths, (1, 8, 8), 3, bias=False))
    assert not [name for name, _ in bare.named_parameters() if "bias" in name]
    assert bare.eval()(torch.zeros(2, 1, 8, 8)).abs().max() == 0
    biased = nn.Sequential(convolutions(1, widths), embedding(widths, (1, 8, 8), 3))
    assert biased.eval()(torch.zeros(2, 1, 8, 8)).abs().max() > 0


def test_the_decoder_ends_in_a_bare_convolution_so_that_it_reaches_any_value():
    assert isinstance(transposed(3, (4, 8))[-1], nn.Conv2d)


@pytest.mark.parametrize("shape", [(3, 32, 32), (1, 40, 40), (3, 37, 50)])
@pytest.mark.parametrize("name", HERE)
def test_every_registered_network_fits_together(name, shape):
    network, x = NETWORKS[name](shape), torch.rand(2, *shape)
    features = network.features()(x)
    vector = network.embedding(7)(features)
    assert vector.shape == (2, 7)
    assert network.expansion(7)(vector).shape == features.shape
    rebuilt = network.decoder()(features)
    assert rebuilt.shape[:2] == x.shape[:2]
    assert rebuilt.shape == x.shape or name == "small"
    assert isinstance(network.decoder()[-1], nn.Conv2d | nn.ConvTranspose2d)
    assert NETWORKS.summary(name)


@pytest.mark.parametrize("name", HERE)
def test_without_bias_no_layer_has_one(name):
    network = NETWORKS[name]((3, 32, 32))
    bare = nn.Sequential(network.features(bias=False), network.embedding(4, bias=False))
    assert all(weight.ndim > 1 for weight in bare.parameters())
    assert bare.eval()(torch.zeros(2, 3, 32, 32)).abs().max() == 0


@pytest.mark.parametrize(
    ("name", "shape", "field", "features", "dimensions"),
    [
        ("cnn28", (1, 28, 28), (16, 4, 1.5), (128, 7, 7), 48),
        ("cnn32", (3, 32, 32), (22, 4, 1.5), (128, 8, 8), 64),
        ("cnn32-s", (3, 32, 32), (18, 4, 1.5), (128, 8, 8), 64),
        ("vgg11", (3, 224, 224), (62, 8, 3.5), (512, 28, 28), 4096),
    ],
)
def test_the_papers_networks_have_its_fields_maps_and_dimensions(name, shape, field, features, dimensions):
    network = NETWORKS[name](shape)
    found = receptive_field(network.features())
    assert (found.size, found.stride, found.start) == field
    assert output_shape(network.features(), shape) == features
    assert network.dimensions == network.bottleneck == dimensions


def kinds(layers):
    return [type(layer).__name__ for layer in layers]


def test_the_papers_networks_are_laid_as_it_says():
    conv, norm, leaky, pool = "Conv2d", "BatchNorm2d", "LeakyReLU", "MaxPool2d"
    assert kinds(NETWORKS["cnn28"]((1, 28, 28)).features()) == [conv, norm, leaky, pool, conv, pool]
    cnn32 = NETWORKS["cnn32"]((3, 32, 32))
    block = [conv, norm, leaky]
    assert kinds(cnn32.features()) == [*block, pool, *block, *block, pool, conv]
    assert [la.out_channels for la in cnn32.features() if isinstance(la, nn.Conv2d)] == [128, 256, 256, 128]
    embedding = cnn32.embedding()
    assert kinds(embedding) == ["Flatten", "Linear", "BatchNorm1d", leaky, "Linear"]
    assert [la.out_features for la in embedding if isinstance(la, nn.Linear)] == [512, 64]
    assert (embedding[2].num_features, embedding[2].eps) == (512, 1e-4)
    assert all(la.eps == 1e-4 for la in cnn32.features() if isinstance(la, nn.BatchNorm2d))


def test_vgg_is_torchvisions_to_its_fourth_block():
    from torchvision.models.vgg import cfgs, make_layers

    theirs, ours = make_layers(cfgs["A"], batch_norm=True), NETWORKS["vgg11"]((3, 64, 64)).features()
    ours.load_state_dict(theirs[:21].state_dict())
    x = torch.rand(2, 3, 64, 64)
    assert torch.equal(ours.eval()(x), theirs[:21].eval()(x))


def test_vgg_starts_with_pytorchs_default_weights():
    torch.manual_seed(0)
    network = NETWORKS["vgg11"]((3, 32, 32))
    for layer in (*network.features(), *network.embedding(4)):
        if isinstance(layer, nn.Conv2d):
            bound = layer.weight[0].numel() ** -0.5
            for values in (layer.weight, layer.bias):
                assert 0.9 * bound < values.abs().max() <= bound


@pytest.fixture
def checkpoint(tmp_path, monkeypatch):
    """A file of random weights where torch.hub keeps torchvision's."""
    from torchvision.models.vgg import cfgs, make_layers

    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    networks._imagenet_weights.cache_clear()
    torch.manual_seed(3)
    layers = make_layers(cfgs["A"], batch_norm=True)
    for layer in layers:
        if isinstance(layer, nn.BatchNorm2d):
            layer.running_mean.normal_(0, 0.01)
    file = tmp_path / "hub" / "checkpoints" / "vgg11_bn-6002323d.pth"
    file.parent.mkdir(parents=True)
    torch.save({f"features.{key}": value for key, value in layers.state_dict().items()}, file)
    yield layers
    networks._imagenet_weights.cache_clear()


def test_pretrained_layers_are_torchvisions_and_the_first_15_stay_as_they_are(checkpoint):
    images = torch.randint(0, 256, (4, 3, 32, 32), dtype=torch.uint8)
    detector = build("fcdd", images, 0, network="vgg11-imagenet", normalise="imagenet").train()
    x = torch.rand(2, 3, 32, 32, requires_grad=True)
    assert torch.equal(detector.features.eval()(x), checkpoint[:21].eval()(x))
    detector.train()
    frozen, free = detector.features[0], detector.features[1:]
    assert isinstance(frozen, Frozen)
    assert len(frozen) == 15
    assert not any(weight.requires_grad for weight in frozen.parameters())
    assert all(weight.requires_grad for weight in free.parameters())
    before = [value.clone() for value in frozen.state_dict().values()]
    optimizer = torch.optim.Adam(detector.parameters(), lr=0.1)
    detector.loss(x, torch.tensor([0.0, 1.0])).backward()
    optimizer.step()
    assert all(torch.equal(a, b) for a, b in zip(before, frozen.state_dict().values(), strict=True))
    assert not any(module.training for module in frozen.modules())
    assert all(module.training for module in free.modules())
    assert x.grad.abs().sum() > 0
    field = receptive_field(detector.features)
    assert (field.size, field.stride, field.start) == (62, 8, 3.5)


def test_the_pretrained_embedding_goes_on_where_the_trunk_ends(checkpoint, monkeypatch):
    stack, stacked = networks.Stacked._stack, []
    monkeypatch.setattr(
        networks.Stacked, "_stack", lambda self, *plan: stacked.append(plan) or stack(self, *plan)
    )
    embed = NETWORKS["vgg11-imagenet"]((3, 32, 32)).embedding(4)
    assert [plan for _, plan, _ in stacked] == [networks.VGG11.tail]  # not the trunk, 9 million weights
    features = torch.rand(2, 512, 4, 4)
    assert torch.equal(embed.eval()[:8](features), checkpoint[21:].eval()(features))


def test_weights_that_cannot_be_downloaded_are_named_with_their_source_and_the_alternative(
    tmp_path, monkeypatch
):
    def offline(*arguments, **options):
        raise URLError("no network")

    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    monkeypatch.setattr(torch.hub, "download_url_to_file", offline)
    networks._imagenet_weights.cache_clear()
    with pytest.raises(InputError) as caught:
        NETWORKS["vgg11-imagenet"]((3, 32, 32)).features()
    message = str(caught.value)
    assert str(tmp_path / "hub" / "checkpoints" / "vgg11_bn-6002323d.pth") in message
    assert "https://download.pytorch.org" in message
    assert "vgg11" in message.split("choose")[1]
    assert "\n" not in message


def test_grey_images_are_refused_by_the_pretrained_network():
    with pytest.raises(InputError, match="3 channels"):
        NETWORKS["vgg11-imagenet"]((1, 32, 32))


def test_a_dry_run_changes_neither_modes_nor_buffers_nor_random_numbers():
    layers = nn.Sequential(nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2).eval(), nn.Dropout2d(), nn.MaxPool2d(2))
    layers[2].train()
    modes, state = [module.training for module in layers.modules()], torch.get_rng_state()
    before = [value.clone() for value in layers.state_dict().values()]
    assert output_shape(layers, (1, 10, 12)) == (2, 4, 5)
    assert [module.training for module in layers.modules()] == modes
    assert torch.equal(torch.get_rng_state(), state)
    assert all(torch.equal(a, b) for a, b in zip(before, layers.state_dict().values(), strict=True))


def make_trunk():
    return nn.Sequential(nn.Conv2d(3, 64, 5, stride=2, padding=2), nn.ReLU(), nn.MaxPool2d(2))


@pytest.mark.parametrize("shape", [(3, 32, 32), (3, 21, 34)])
def test_a_trunk_of_your_own_gets_a_field_an_embedding_and_a_decoder(shape):
    network, x = OwnNetwork(shape, make_trunk), torch.rand(2, *shape)
    assert (network.field.size, network.field.stride) == (5 + 2, 4)
    features = network.features()(x)
    assert network.map == features.shape[1:]
    vector = network.embedding(3)(features)
    assert network.expansion(3)(vector).shape == features.shape
    assert network.decoder()(features).shape == x.shape


def test_the_frozen_layers_of_a_trunk_of_your_own_keep_their_statistics(noise):
    frozen = Frozen(nn.Conv2d(3, 4, 3, bias=False), nn.BatchNorm2d(4))
    trunk = nn.Sequential(frozen, nn.ReLU(), nn.Conv2d(4, 4, 3))
    detector = build("fcdd", noise, 0, network=OwnNetwork((3, 16, 16), trunk))
    fit(detector, noise, noise, Recipe.of(epochs=1), 0, torch.device("cpu"))
    for name, value in frozen.state_dict().items():
        assert torch.equal(detector.features[0].state_dict()[name], value)
    assert not torch.equal(detector.features[2].weight, trunk[2].weight)


def test_a_function_that_makes_a_trunk_has_its_weights_from_the_detectors_seed(noise):
    state = torch.get_rng_state()
    network = OwnNetwork((3, 16, 16), make_trunk)
    assert torch.equal(torch.get_rng_state(), state)
    first, again, other = (build("fcdd", noise, seed, network=network).features[0] for seed in (1, 1, 2))
    assert torch.equal(first.weight, again.weight)
    assert not torch.equal(first.weight, other.weight)


@pytest.mark.parametrize(
    ("trunk", "why"),
    [
        (nn.Conv2d(3, 4, 3), "nn.Sequential is needed"),
        (nn.Sequential(nn.Conv2d(1, 4, 3)), "channels"),
        (nn.Sequential(nn.Conv2d(3, 4, 3), nn.AdaptiveAvgPool2d(1)), "AdaptiveAvgPool2d"),
        (nn.Sequential(nn.Conv2d(3, 4, 40)), "[Kk]ernel"),
    ],
    ids=["no sequence", "channels", "no field", "too large"],
)
def test_a_trunk_that_cannot_serve_is_refused(trunk, why):
    with pytest.raises(InputError, match=why):
        OwnNetwork((3, 32, 32), trunk)


def test_a_trunk_with_biases_is_refused_for_deep_svdd(noise):
    with pytest.raises(InputError, match="without bias"):
        build("dsvdd", noise, 0, network=OwnNetwork((3, 16, 16), make_trunk))
