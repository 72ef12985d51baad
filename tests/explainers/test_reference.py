import torch


def score(x):
    return x.sum(dim=(1, 2, 3))


def test_a_dots_edges_are_around_it(explain, tiny):
    x = torch.zeros(2, 1, 5, 5)
    x[0, 0, 2, 2] = 1.0
    heat = explain("edges", tiny.Formula(score), x)
    # Sobel's weights are 1, 2, 1 over 4 in both directions, and the two meet as a root mean square.
    beside = ((2 / 4) ** 2 / 2) ** 0.5
    corner = (((1 / 4) ** 2 + (1 / 4) ** 2) / 2) ** 0.5
    expected = torch.tensor([[corner, beside, corner], [beside, 0.0, beside], [corner, beside, corner]])
    torch.testing.assert_close(heat[0, 0, 1:4, 1:4], expected)
    assert heat[0].sum().item() == heat[0, 0, 1:4, 1:4].sum().item()
    assert heat[1].max() == 0


def test_edges_are_those_of_the_mean_over_colours(explain, tiny):
    x = torch.rand(2, 3, 8, 8)
    grey = x.mean(dim=1, keepdim=True)
    model = tiny.Formula(score)
    torch.testing.assert_close(explain("edges", model, x), explain("edges", model, grey))
    # A change of colour only, of the same brightness, is none.
    x = torch.zeros(1, 2, 4, 4)
    x[:, 0, :, 2:] = x[:, 1, :, :2] = 1.0
    assert explain("edges", model, x).max() == 0


def test_the_centre_is_a_gaussian_of_a_quarter_of_the_sides(explain, tiny):
    # Rows at -2, 0, 2 and columns at -2, -1, 0, 1, 2 of a sigma of 1.
    near, far = torch.tensor([-0.5, -2.0]).exp().tolist()
    down, across = torch.tensor([far, 1.0, far]), torch.tensor([far, near, 1.0, near, far])
    heat = explain("center", tiny.Formula(score), torch.rand(2, 3, 3, 5))
    torch.testing.assert_close(heat, (down[:, None] * across).expand(2, 1, 3, 5))
    heat[0] = 0  # each image has a map of its own
    assert heat[1].max() == 1.0


def test_random_maps_are_blurred_noise_from_the_generator(explain, tiny):
    heat = explain("random", tiny.Formula(score), torch.rand(2, 3, 16, 32), seed=5)
    noise = torch.randn(2, 1, 16, 32, generator=torch.Generator().manual_seed(5))
    taps = torch.tensor([-4.0, -1.0, 0.0, -1.0, -4.0]).mul(0.5).exp()  # a sixteenth of 16 px: sigma 1
    kernel = taps[:, None] * taps / taps.sum() ** 2
    # Two places, of which the lowest value of the map is taken in the same way.
    blurred = [(noise[1, 0, y - 2 : y + 3, x - 2 : x + 3] * kernel).sum() for y, x in ((5, 7), (9, 20))]
    torch.testing.assert_close(heat[1, 0, 5, 7] - heat[1, 0, 9, 20], blurred[0] - blurred[1])
    assert heat.amin(dim=(2, 3)).tolist() == [[0.0], [0.0]]


def test_blind_maps_dont_ask_the_model(explain):
    x = torch.rand(2, 3, 16, 16)
    for name in ("random", "edges", "center"):
        assert explain(name, None, x).shape == (2, 1, 16, 16)


def test_random_maps_depend_on_the_generator_alone_and_are_smooth(explain, tiny):
    x = torch.rand(3, 1, 64, 64)
    first = explain("random", tiny.Formula(score), x, seed=1)
    assert torch.equal(first, explain("random", None, 1 - x, seed=1))
    assert not torch.equal(first, explain("random", None, x, seed=2))
    assert not torch.equal(first[0], first[1])
    assert first.diff(dim=3).std() < 0.3 * first.std()
