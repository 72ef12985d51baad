import random

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from fcdd_audit.core.seeding import derive_seed, numpy_generator, seeded, torch_generator

SEEDS = st.integers(0, 2**40)
PURPOSES = st.text(max_size=20)


def test_the_derived_seed_is_the_same_on_every_machine():
    # The first 8 bytes of sha256(b"0/batches"), halved: cells on disk depend on it.
    assert derive_seed(0, "batches") == 0x20161356A757B048


@settings(deadline=None)
@given(SEEDS, PURPOSES)
def test_a_derived_seed_is_a_non_negative_63_bit_number(seed, purpose):
    assert 0 <= derive_seed(seed, purpose) < 2**63


@settings(deadline=None)
@given(st.tuples(SEEDS, PURPOSES), st.tuples(SEEDS, PURPOSES))
def test_derived_seeds_are_equal_only_for_equal_arguments(one, other):
    assert (derive_seed(*one) == derive_seed(*other)) == (one == other)


def test_a_stream_repeats_itself_and_differs_by_seed_and_purpose():
    def torch_draws(seed, purpose):
        return torch.rand(4, generator=torch_generator(seed, purpose)).tolist()

    def numpy_draws(seed, purpose):
        return numpy_generator(seed, purpose).random(4).tolist()

    for draws in (torch_draws, numpy_draws):
        assert draws(3, "noise") == draws(3, "noise")
        assert draws(3, "noise") != draws(4, "noise")
        assert draws(3, "noise") != draws(3, "batches")


def test_streams_of_neighbouring_seeds_are_uncorrelated():
    streams = [torch.randn(10_000, generator=torch_generator(seed, "noise")) for seed in range(6)]
    correlation = np.corrcoef(torch.stack(streams).numpy()) - np.eye(6)
    assert np.abs(correlation).max() < 0.05  # 5 standard deviations


def test_generators_leave_the_global_streams_alone():
    torch.manual_seed(7)
    expected = torch.rand(3)
    torch.manual_seed(7)
    torch.rand(3, generator=torch_generator(0, "noise"))
    numpy_generator(0, "noise").random(3)
    assert torch.equal(torch.rand(3), expected)


def test_a_generator_is_on_the_cpu_unless_asked_otherwise():
    assert torch_generator(0, "noise").device == torch.device("cpu")


def drawn():
    return float(torch.rand(())), float(np.random.random()), random.random()


def test_global_streams_begin_anew_within_and_go_on_afterwards():
    torch.manual_seed(7)
    np.random.seed(7)
    random.seed(7)
    undisturbed = drawn(), drawn()
    torch.manual_seed(7)
    np.random.seed(7)
    random.seed(7)
    first = drawn()
    found = []
    for seed in (3, 3, 4):
        with seeded(seed, "noise"):
            found.append(drawn())
    with pytest.raises(ValueError, match="negative"), seeded(3, "noise"):
        random.sample(range(3), -1)
    assert (first, drawn()) == undisturbed
    assert found[0] == found[1]
    assert not set(found[0]) & set(found[2])
