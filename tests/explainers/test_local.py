"""Features of images that differ in one place are those that the layers make of the whole images."""

import pytest
import torch
from torch import nn

from fcdd_audit.explainers.local import remembering

STACKS = {
    "padded": lambda: [nn.Conv2d(2, 4, 3, padding=1), nn.BatchNorm2d(4), nn.LeakyReLU(0.01), nn.MaxPool2d(2)],
    "bare": lambda: [nn.Conv2d(2, 4, 3), nn.ReLU(inplace=True), nn.Conv2d(4, 3, 5, bias=False)],
    "striding": lambda: [nn.Conv2d(2, 4, 3, stride=2, padding=1), nn.MaxPool2d(3, stride=2, padding=1)],
    "leaping": lambda: [nn.Conv2d(2, 4, 1, stride=3), nn.MaxPool2d(1, stride=2)],
    "dilated": lambda: [nn.Conv2d(2, 4, 3, dilation=2, groups=2), nn.MaxPool2d(2, stride=1, dilation=2)],
    "oblong": lambda: [nn.Conv2d(2, 4, (3, 1), stride=(2, 1), padding=(2, 0)), nn.MaxPool2d((1, 2))],
    "nested": lambda: [
        nn.Sequential(nn.Conv2d(2, 4, 3, padding=2), nn.Tanh()),
        nn.Dropout(),
        nn.MaxPool2d(2),
    ],
}
OTHERS = {
    "mixing": lambda: [nn.Conv2d(2, 4, 3), nn.Softmax2d()],
    "mirroring": lambda: [nn.Conv2d(2, 4, 3, padding=1, padding_mode="reflect")],
    "by name": lambda: [nn.Conv2d(2, 4, 3, padding="same")],
    "rounding up": lambda: [nn.MaxPool2d(2, ceil_mode=True)],
}


class Model(nn.Module):
    def __init__(self, layers):
        super().__init__()
        self.features = nn.Sequential(*layers)

    def score(self, x):
        return self.features(x)


def model_of(layers):
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = Model(layers())
        for module in model.modules():
            if isinstance(module, nn.BatchNorm2d):
                module.running_mean.normal_()
                module.weight.data.normal_()
    return model.eval()


def images():
    return torch.rand(3, 2, 13, 17, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("kind", [*STACKS, *OTHERS])
@pytest.mark.parametrize("rows", [(0, 3), (4, 5), (6, 13), (0, 13), (12, 13)])
@pytest.mark.parametrize("columns", [(0, 4), (7, 8), (5, 12), (16, 17)])
@torch.no_grad()
def test_features_are_those_of_the_whole_images(kind, rows, columns):
    model, x = model_of({**STACKS, **OTHERS}[kind]), images()
    changed = x.clone()
    changed[1:, :, slice(*rows), slice(*columns)] += 1
    with remembering(model):
        found = [model.score(one.clone()) for one in (x, changed, x, changed)]
    for one, other in zip(found, (x, changed, x, changed), strict=True):
        torch.testing.assert_close(one, model.score(other.clone()))


@torch.no_grad()
def test_only_what_a_change_can_reach_is_made_anew(monkeypatch):
    model, x, seen = model_of(STACKS["padded"]), images(), []
    changed = x.clone()
    changed[:, :, 4:6, 8:12] = 0
    convolve = nn.functional.conv2d
    monkeypatch.setattr(
        nn.functional, "conv2d", lambda x, *given: seen.append(tuple(x.shape[2:])) or convolve(x, *given)
    )
    with remembering(model):
        for one in (x, changed, x):
            model.score(one)
    assert seen == [(13, 17), (6, 8)], "a pixel more on each side is reached, and looks one further"


@torch.no_grad()
def test_other_shapes_are_begun_with_anew():
    model, x = model_of(STACKS["padded"]), images()
    with remembering(model):
        for one in (x, x[:2], x[:2, :, :9]):
            torch.testing.assert_close(model.score(one), model_of(STACKS["padded"]).score(one))


@torch.no_grad()
def test_in_training_a_batch_is_looked_at_as_a_whole():
    model, x = model_of(STACKS["padded"]).train(), images()
    expected = model.score(x + 1)
    with remembering(model):
        model.score(x)
        torch.testing.assert_close(model.score(x + 1), expected)


def test_a_model_is_left_as_it_was_whatever_happens():
    model = model_of(STACKS["padded"])
    before = dict(vars(model.features))
    with pytest.raises(RuntimeError, match="4D"), remembering(model):
        model.score(torch.zeros(2, 5, 5, 5, 5))
    assert vars(model.features) == before
    with remembering(object()):
        pass
