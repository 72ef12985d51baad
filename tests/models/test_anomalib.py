import sys
from typing import NamedTuple

import pytest
import torch
from torch import nn

from fcdd_audit.core.errors import InputError
from fcdd_audit.models import open_model, wrap
from fcdd_audit.models.anomalib import RAW, UNKNOWN

CPU = torch.device("cpu")


class Result(NamedTuple):
    pred_score: torch.Tensor | None = None
    anomaly_map: torch.Tensor | None = None


class Normalising(nn.Module):
    """Like anomalib's post-processor: what it gives is clamped."""

    def __init__(self):
        super().__init__()
        self.enable_normalization = True

    def forward(self, found):
        return found._replace(pred_score=found.pred_score.clamp(0, 1)) if self.enable_normalization else found


class Other(nn.Module):
    """Another one, without a switch."""

    def forward(self, found):
        return found


class Stub(nn.Module):
    """Like a model of anomalib, whose package need not be there."""

    def __init__(self, post_processor, pre_processor=None):
        super().__init__()
        self.post_processor, self.pre_processor = post_processor, pre_processor

    def forward(self, x):
        x = x if self.pre_processor is None else self.pre_processor(x)
        return self.post_processor(Result(10 * x.mean(dim=(1, 2, 3)), x.mean(dim=1, keepdim=True)))


Stub.__module__ = "anomalib.models.stub"


def test_scores_are_the_raw_ones_and_the_users_object_stays_as_it_was(wrapped, x):
    stub = Stub(Normalising()).eval()
    model = wrapped(stub)
    assert model.format == "anomalib"
    assert model.notes == [RAW]
    torch.testing.assert_close(model.score(x), 10 * x.mean(dim=(1, 2, 3)))
    torch.testing.assert_close(model.anomaly_map(x), x.mean(dim=1, keepdim=True))
    assert model.no_gradient is None
    assert stub.post_processor.enable_normalization


def test_a_post_processor_that_cannot_be_switched_off_is_said(wrapped):
    assert wrapped(Stub(Other()).eval()).notes == [UNKNOWN]


def test_a_model_that_standardises_its_images_gets_no_mean():
    with pytest.raises(InputError, match="but the model's own pre-processor standardises its images itself"):
        wrap(Stub(Normalising(), nn.Identity()), name="mine", device=CPU, mean=[0], std=[1])


def test_without_anomalib_it_says_what_to_install(monkeypatch, tmp_path):
    (tmp_path / "m.ckpt").touch()
    monkeypatch.setitem(sys.modules, "anomalib", None)
    monkeypatch.setitem(sys.modules, "anomalib.models", None)
    with pytest.raises(InputError, match=r"pip install 'fcdd-audit\[anomalib\]'"):
        open_model(f"{tmp_path}/m.ckpt:Padim", device=CPU, trust=True)


@pytest.fixture(scope="module")
def padim():
    models = pytest.importorskip("anomalib.models")
    model = models.Padim(
        backbone="resnet18",
        pre_trained=False,
        layers=["layer1"],
        n_features=10,
        pre_processor=models.Padim.configure_pre_processor((32, 32)),
    )
    model.model.train()
    model.model(torch.rand(12, 3, 32, 32, generator=torch.Generator().manual_seed(0)))
    model.fit()
    for end, value in (("image_min", 0), ("image_max", 1), ("pixel_min", 0), ("pixel_max", 1)):
        getattr(model.post_processor, end).fill_(value)  # so that it clamps
    return model.eval()


def test_padim_as_an_object_and_as_its_torch_export(padim, images, x, tmp_path):
    assert padim(x).pred_score.unique().tolist() == [1]
    model = wrap(padim, name="padim", device=CPU).tried(images)
    assert RAW in model.notes
    assert len(model.score(x).unique()) == len(x)
    assert model.anomaly_map(x).shape == (5, 1, 16, 16)
    exported = open_model(str(padim.to_torch(tmp_path)), device=CPU, trust=True).tried(images)
    assert exported.format == "anomalib"
    torch.testing.assert_close(exported.score(x), model.score(x))
    with pytest.raises(InputError, match="add --trust-model"):
        open_model(str(padim.to_torch(tmp_path)), device=CPU)


def test_padim_from_its_checkpoint(padim, images, x, tmp_path):
    lightning = pytest.importorskip("lightning.pytorch")
    trainer = lightning.Trainer(logger=False, enable_checkpointing=False, accelerator="cpu", max_epochs=0)
    trainer.strategy.connect(padim)
    trainer.save_checkpoint(tmp_path / "m.ckpt")
    model = open_model(f"{tmp_path}/m.ckpt:Padim", device=CPU, trust=True).tried(images)
    expected = wrap(padim, name="padim", device=CPU).tried(images).score(x)
    torch.testing.assert_close(model.score(x), expected)
    with pytest.raises(InputError, match=r"a checkpoint doesn't say of which it is; name its class, such as"):
        open_model(f"{tmp_path}/m.ckpt", device=CPU, trust=True)
    with pytest.raises(InputError, match="anomalib has no model 'Padin'; did you mean 'Padim'"):
        open_model(f"{tmp_path}/m.ckpt:Padin", device=CPU, trust=True)
