"""What a function handed over is known by."""

from dataclasses import dataclass
from functools import partial, wraps

import pytest
import torch

from fcdd_audit.models.code import code_of, name_of

RATE = 0.1
TABLE = {"width": [4, 8]}
SHARED = torch.zeros(2)


def helper(x):
    return RATE * x


class Base:
    def within(self):
        return TABLE


class Net(Base):
    """Names itself, so that there is a circle."""

    @property
    def twin(self):
        return Net


@dataclass
class Trainer:
    epochs: int = 3

    def __call__(self, nominal, anomalous, seed):
        return helper(self.epochs)

    def method(self, nominal, anomalous, seed):
        return self.epochs


def train(nominal, anomalous, seed, steps=5, *, decay=0.5):
    return [helper(Net()) for _ in range(steps)], torch.ones(1), SHARED, decay


def closing_over(width):
    def inner(nominal, anomalous, seed):
        return width

    return inner


def decorated(function):
    @wraps(function)
    def inner(*given):
        return function(*given)

    return inner


def test_what_it_names_in_its_own_module_is_followed():
    code = code_of(train)
    assert code.parts == (train, Net, Base, helper)
    assert code.values == {
        "RATE": "0.1",
        "TABLE": "{'width': [4, 8]}",
        "train.0": "5",
        "train.decay": "0.5",
    }


@pytest.mark.parametrize(
    ("function", "name", "parts", "values"),
    [
        (partial(helper, 3, y=2), "helper", (helper,), {"helper.0": "3", "helper.y": "2", "RATE": "0.1"}),
        (Trainer(7), "Trainer", (Trainer, helper), {"Trainer.epochs": "7", "RATE": "0.1"}),
        (
            Trainer(7).method,
            "Trainer.method",
            (Trainer.method, Trainer, helper),
            {"Trainer.method.epochs": "7", "RATE": "0.1"},
        ),
        (len, "len", (), {}),
    ],
)
def test_what_it_was_given_counts(function, name, parts, values):
    code = code_of(function)
    assert name_of(function) == name
    assert set(parts) <= set(code.parts)
    assert values.items() <= code.values.items()


def test_what_it_closes_over_counts():
    one, other = code_of(closing_over(3)), code_of(closing_over(4))
    assert one.values == {"closing_over.<locals>.inner.width": "3"}
    assert other.values != one.values
    assert helper in code_of(decorated(helper)).parts
