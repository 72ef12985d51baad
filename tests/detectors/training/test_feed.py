import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from fcdd_audit.detectors.training.feed import Ranking, Streamed, TrainingImages, choose_feeding, open_feed

CPU = torch.device("cpu")
NOMINAL = torch.randint(0, 256, (7, 3, 4, 5), dtype=torch.uint8)
ANOMALOUS = torch.randint(0, 256, (5, 3, 4, 5), dtype=torch.uint8)
MASKS = torch.rand(5, 1, 4, 5) < 0.5


@settings(deadline=None)
@given(chosen=st.lists(st.integers(0, 11), min_size=1, max_size=20))
def test_mixing_is_indexing_the_joined_images(chosen):
    index = torch.tensor(chosen)
    ranking = Ranking.of(index[None], 7)
    assert torch.equal(ranking.gather(0, NOMINAL, ANOMALOUS), torch.cat([NOMINAL, ANOMALOUS])[index])


@pytest.mark.parametrize("feeding", ["direct", "resident", "streamed", None])
@pytest.mark.parametrize("masks", [None, MASKS])
def test_all_ways_serve_the_same_batches(feeding, masks):
    chosen = torch.randint(0, 12, (6, 4))
    batches = list(open_feed([TrainingImages(NOMINAL, ANOMALOUS, masks)], CPU, feeding).epoch(chosen))
    assert len(batches) == 6
    all_masks = torch.cat([torch.zeros(7, 1, 4, 5, dtype=torch.bool), MASKS])
    for row, (images, mask) in zip(chosen, batches, strict=True):
        assert torch.equal(images, torch.cat([NOMINAL, ANOMALOUS])[row])
        assert mask is None if masks is None else torch.equal(mask, all_masks[row])


@pytest.mark.parametrize("feeding", ["direct", "resident", "streamed"])
def test_nominal_images_alone_are_served_too(feeding):
    feed = open_feed([TrainingImages(NOMINAL, ANOMALOUS[:0], MASKS[:0])], CPU, feeding)
    ((images, mask),) = feed.epoch(torch.tensor([[6, 0, 6]]))
    assert torch.equal(images, NOMINAL[[6, 0, 6]])
    assert not mask.any()


@pytest.mark.parametrize("feeding", ["direct", "streamed"])
def test_images_in_a_file_are_read_and_not_copied(feeding, tmp_path):
    path = tmp_path / "images.bin"
    path.write_bytes(bytes(range(240)) * 5)
    images = torch.from_file(str(path), shared=False, size=1200, dtype=torch.uint8).reshape(20, 3, 4, 5)
    feed = open_feed([TrainingImages(images, ANOMALOUS, None)], CPU, feeding)
    held = feed if feeding == "direct" else feed.source
    assert held.nominal.data_ptr() == images.data_ptr()
    ((batch, _),) = feed.epoch(torch.tensor([[19, 22, 3]]))
    assert torch.equal(batch, torch.stack([images[19], ANOMALOUS[2], images[3]]))


def test_a_failure_of_the_thread_reaches_the_caller():
    feed = open_feed([TrainingImages(NOMINAL, ANOMALOUS, None)], CPU, "streamed")
    batches = feed.epoch(torch.tensor([[0, 1], [0, 99]]))
    next(batches)
    with pytest.raises((IndexError, RuntimeError)):
        next(batches)


@pytest.mark.parametrize(("size", "way"), [(50, "resident"), (51, "streamed")])
def test_gpus_keep_what_fits_into_half_of_their_free_memory(size, way, monkeypatch):
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda device: (60, 1000))
    monkeypatch.setattr(torch.cuda, "memory_reserved", lambda device: 90)
    monkeypatch.setattr(torch.cuda, "memory_allocated", lambda device: 50)  # 40 more are torch's, and free
    monkeypatch.setattr(torch.mps, "recommended_max_memory", lambda: 100, raising=False)
    assert choose_feeding(size, torch.device("cuda", 0)) == way
    assert choose_feeding(size, torch.device("mps")) == way
    assert choose_feeding(size, CPU) == "direct"


def test_images_are_streamed_where_the_memory_isnt_known(monkeypatch):
    monkeypatch.delattr(torch.mps, "recommended_max_memory", raising=False)
    assert choose_feeding(1, torch.device("mps")) == "streamed"


@pytest.mark.parametrize(("kind", "waits"), [("cuda", False), ("mps", True)])
def test_only_copies_from_pinned_memory_are_not_waited_for(kind, waits, monkeypatch):
    feed, copies = Streamed(NOMINAL, ANOMALOUS, MASKS, torch.device(kind)), []
    monkeypatch.setattr(torch.Tensor, "pin_memory", lambda tensor: tensor)
    monkeypatch.setattr(
        torch.Tensor, "to", lambda tensor, device, non_blocking=False: copies.append((device, non_blocking))
    )
    assert list(feed.epoch(torch.tensor([[0, 8]]))) == [(None, None)]
    assert copies == [(feed.device, not waits)] * 2


@pytest.mark.parametrize(("way", "device"), [("resdient", "cpu"), ("direct", "meta")])
def test_a_way_that_is_unknown_or_cannot_work_is_refused(way, device):
    with pytest.raises(ValueError, match=f"feeding is '{way}' on {device}"):
        open_feed([TrainingImages(NOMINAL, ANOMALOUS, None)], torch.device(device), way)


def test_what_trainings_share_is_on_the_device_once():
    """Two planted twins share their nominal images, and a control shares its anomalous ones with nobody."""
    planted = [ANOMALOUS.flip(0), 255 - ANOMALOUS]
    sources = [TrainingImages(NOMINAL, one, MASKS) for one in (*planted, ANOMALOUS)]
    feed = open_feed(sources, CPU, "resident")
    assert len(feed.images) == len(NOMINAL) + 3 * len(ANOMALOUS)
    assert len(feed.masks) == 1 + len(MASKS)
    nobody = [TrainingImages(NOMINAL, NOMINAL[:0], None) for _ in range(3)]
    assert len(open_feed(nobody, CPU, "resident").images) == len(NOMINAL)


@pytest.mark.parametrize("feeding", ["direct", "resident", "streamed"])
@pytest.mark.parametrize("masks", [None, MASKS])
def test_several_trainings_get_their_own_images_one_after_the_other(feeding, masks):
    count = len(NOMINAL) + len(ANOMALOUS)
    sources = [
        TrainingImages(NOMINAL, ANOMALOUS, masks),
        TrainingImages(NOMINAL.flip(0), ANOMALOUS.flip(0), masks),
    ]
    generator = torch.Generator().manual_seed(0)
    chosen = torch.randint(0, count, (4, 2 * 3), generator=generator)
    for (images, where), row in zip(open_feed(sources, CPU, feeding).epoch(chosen), chosen, strict=True):
        for source, numbers, place in ((sources[0], row[:3], 0), (sources[1], row[3:], 3)):
            every = torch.cat([source.nominal, source.anomalous])
            assert torch.equal(images[place : place + 3], every[numbers])
            if masks is not None:
                blank = torch.zeros(len(source.nominal), *masks.shape[1:], dtype=torch.bool)
                assert torch.equal(where[place : place + 3], torch.cat([blank, masks])[numbers])
