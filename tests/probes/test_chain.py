import pytest
import torch

from fcdd_audit.core.errors import InputError
from fcdd_audit.edits.plant import plant
from fcdd_audit.probes import PROBES, Chain, make_probe, mark_all, probe_names
from fcdd_audit.probes.overlays import Frame
from fcdd_audit.probes.stamps import Patch, Watermark
from fcdd_audit.probes.tones import Brightness, Jpeg, Noise


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def images(count=3):
    return torch.rand(count, 3, 40, 40, generator=generator(9))


def test_probes_are_applied_in_order():
    x = torch.full((1, 1, 10, 10), 0.4)
    white = Patch(pattern="plain", colour="white", jitter=0)
    last, first = (
        Chain(order).apply(x, generator())[0]
        for order in ((white, Brightness(0.5)), (Brightness(0.5), white))
    )
    assert last.unique().tolist() == pytest.approx([0.2, 0.5])
    assert first.unique().tolist() == pytest.approx([0.2, 1.0])


def test_the_mask_is_the_union_of_those_that_have_one():
    frame, patch = Frame(), Patch(jitter=0)
    chain = Chain((frame, Jpeg(), patch))
    mask = chain.apply(images(), generator())[1]
    expected = frame.apply(images(), generator())[1] | patch.apply(images(), generator())[1]
    assert torch.equal(mask, expected)
    assert chain.placed


def test_without_a_place_there_is_no_mask():
    chain = Chain((Jpeg(), Noise()))
    assert chain.apply(images(), generator())[1] is None
    assert not chain.placed


def test_each_probe_goes_on_with_the_generator():
    stream = generator(4)
    once, _ = Watermark(jitter=0.2).apply(images(), stream)
    expected, _ = Noise().apply(once, stream)
    assert torch.equal(Chain((Watermark(jitter=0.2), Noise())).apply(images(), generator(4))[0], expected)


@pytest.mark.parametrize("chain", ["watermark+jpeg", "jpeg+noise", "frame+date+blur"])
def test_a_chain_is_planted_like_any_probe(chain):
    stored = (images(20) * 255).to(torch.uint8)
    probe = make_probe(chain, {})
    marked, mask = mark_all(stored, probe, generator())
    planted = plant(stored, probe, 0.5, generator())
    assert (planted != stored).flatten(1).any(dim=1).sum() == 10
    assert (mask is not None) == probe.placed
    assert marked.shape == stored.shape


def test_one_name_is_that_probe_and_several_are_a_chain_each_with_its_options():
    options = {"watermark": {"size": 0.5}, "jpeg": {"quality": 50}, "blur": {"sigma": 0.1}}
    assert make_probe("watermark", options) == Watermark(size=0.5)
    assert make_probe("jpeg+watermark", options) == Chain((Jpeg(quality=50), Watermark(size=0.5)))
    assert make_probe("frame", options) == Frame()


@pytest.mark.parametrize(
    ("chain", "expected"),
    [
        ("watermark+", "probe 'watermark+' has an empty name; give one name, or several joined by +, as in "),
        ("", "probe '' has an empty name"),
        ("+", "probe '+' has an empty name"),
        ("jpeg++blur", "probe 'jpeg++blur' has an empty name"),
        ("watermark+jpg", "unknown probe 'jpg'; did you mean 'jpeg'? (known: watermark, "),
        ("watermark + jpeg", "unknown probe 'watermark '; did you mean 'watermark'?"),
        (
            "watermark+jpeg+watermark",
            "probe 'watermark' is named twice in 'watermark+jpeg+watermark', but its options are given once; "
            "name it once",
        ),
    ],
)
def test_names_that_make_no_chain_are_told_why(chain, expected):
    for use in (probe_names, lambda names: make_probe(names, {})):
        with pytest.raises(InputError) as error:
            use(chain)
        assert str(error.value).startswith(expected)
        assert "\n" not in str(error.value)


def test_every_name_can_be_chained():
    assert "+" not in "".join(PROBES)
    chain = "+".join(PROBES)
    assert probe_names(chain) == tuple(PROBES)
    marked, mask = make_probe(chain, {}).apply(images(), generator())
    assert marked.shape == (3, 3, 40, 40)
    assert mask.any()
