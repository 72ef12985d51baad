"""What is known of the user's own training code before twins are planned."""

import pytest

from fcdd_audit.designs.twins.meeting import met
from fcdd_audit.experiment.setup import prepare
from fcdd_audit.experiment.store import Store
from fcdd_audit.models.own import own_kind, own_training

SEEDS = []


@pytest.fixture
def meet(exposed_config, tmp_path):
    """Meets code in a context of its own; its explainers."""

    def explainers(fit, **changed):
        SEEDS.clear()
        store = Store(tmp_path / "store")
        with own_training(fit, "mine") as name, store.opened():
            config = exposed_config.having(detectors=(name,), **{"explainers": None, **changed})
            setup = met(config, prepare(config), store, True)
            return setup.explainers[name], own_kind(name)

    return explainers


def mean(x):
    return x.mean(dim=(1, 2, 3))


def train(nominal, anomalous, seed):
    SEEDS.append(seed)
    return mean


def failing_at_0(nominal, anomalous, seed):
    SEEDS.append(seed)
    return mean if seed else 1 / seed


def failing(nominal, anomalous, seed):
    SEEDS.append(seed)
    raise ValueError("never")


def test_the_first_control_says_what_explains_all(meet):
    explainers, kind = meet(train, seeds=3)
    assert explainers == ("gradient", "random", "edges")
    assert kind.explained_by == ("gradient",)
    assert kind.seconds > 0
    assert SEEDS == [0]


def test_its_record_says_it_again(meet):
    first, _ = meet(failing_at_0, seeds=3)
    assert SEEDS == [0, 1]
    again, _ = meet(failing_at_0, seeds=3)
    assert SEEDS == [0], "what failed is tried again"
    assert first == again == ("gradient", "random", "edges")


def test_code_that_fails_for_all_of_the_first_look_is_explained_by_occlusion(meet):
    explainers, kind = meet(failing, seeds=3)
    assert SEEDS == [0, 1, 2]
    assert explainers == ("occlusion", "random", "edges")
    assert kind.traits is None


def test_explainers_that_are_named_stay_and_detectors_of_this_package_too(meet):
    assert meet(train, explainers=("native", "center"))[0] == ("native", "center")


def test_detectors_of_this_package_are_left_alone(exposed_config, tmp_path):
    setup = prepare(exposed_config)
    assert met(exposed_config, setup, Store(tmp_path / "none"), True).explainers == setup.explainers
    assert not (tmp_path / "none").exists()
