"""Where it is calculated."""

import platform

import pytest
import torch

from fcdd_audit import Recipe
from fcdd_audit.experiment import devices
from fcdd_audit.experiment.devices import cores, default_workers, device_name, precision_of


def test_a_processor_has_a_name(monkeypatch):
    monkeypatch.setattr(platform, "processor", lambda: "some processor")
    monkeypatch.setattr(platform, "machine", lambda: "x86_64")
    assert device_name("cpu") == "some processor"
    monkeypatch.setattr(platform, "processor", lambda: "")
    assert device_name("cpu") == "x86_64"


@pytest.mark.parametrize("device", ["cuda", "cuda:1"])
def test_a_card_has_its_own(monkeypatch, device):
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda asked: f"card of {asked}")
    assert device_name(device) == f"card of {device}"


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_the_precision_is_the_one_that_is_asked_for(precision):
    assert precision_of(Recipe.of(precision=precision), "cpu") == precision
    assert precision_of(Recipe.of(precision=precision), "cuda") == precision


@pytest.mark.parametrize(("capability", "expected"), [((7, 5), "float32"), ((8, 0), "bfloat16")])
def test_or_the_one_that_the_device_calculates_in(monkeypatch, capability, expected):
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device: capability)
    assert precision_of(Recipe.of(precision="auto"), "cuda") == expected


def test_workers_are_as_many_as_cores_that_may_be_used_and_a_card_has_this_process_alone(monkeypatch):
    monkeypatch.setattr(devices.loky, "cpu_count", lambda: 3)
    assert cores() == devices.default_workers("cpu") == 3
    assert default_workers("cuda") == default_workers("mps") == 1


def test_cores_are_counted_without_semaphores_too(monkeypatch):
    before = cores()
    monkeypatch.setattr("joblib.parallel.mp", None)  # as joblib leaves it where there is no shared memory
    assert cores() == before
