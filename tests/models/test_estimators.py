import numpy as np
import pytest
import torch
from sklearn.decomposition import PCA
from sklearn.ensemble import IsolationForest
from sklearn.linear_model import LogisticRegression
from sklearn.neighbors import LocalOutlierFactor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import OneClassSVM

from fcdd_audit.core.errors import InputError
from fcdd_audit.models import pyod, wrap
from fcdd_audit.models.sklearn import NEGATED, NO_GRADIENT

CPU = torch.device("cpu")


@pytest.fixture
def flat(x):
    return x.flatten(1).numpy()


@pytest.mark.parametrize(
    "estimator",
    [
        make_pipeline(StandardScaler(), IsolationForest(n_estimators=5, random_state=0)),
        LocalOutlierFactor(n_neighbors=2, novelty=True),
        OneClassSVM(),
        PCA(2),
    ],
    ids=lambda one: type(one).__name__,
)
def test_the_negative_of_what_is_higher_for_normal_is_taken(wrapped, x, flat, estimator):
    model = wrapped(estimator.fit(flat))
    assert model.format == "sklearn"
    assert model.notes == [NEGATED]
    assert model.no_gradient == NO_GRADIENT
    np.testing.assert_allclose(model.score(x).numpy(), -estimator.score_samples(flat), rtol=1e-5)
    assert not hasattr(model, "anomaly_map")


def test_an_estimator_gets_the_standardised_images(wrapped, x):
    estimator = OneClassSVM().fit(((x - 0.5) / 0.25).flatten(1).numpy())
    model = wrapped(estimator, mean=[0.5], std=[0.25])
    expected = -estimator.score_samples(((x - 0.5) / 0.25).flatten(1).numpy())
    np.testing.assert_allclose(model.score(x).numpy(), expected, rtol=1e-5)


def test_colour_becomes_grey_for_an_estimator_of_grey(wrapped, grey):
    model = wrapped(OneClassSVM().fit(grey.float().flatten(1).numpy() / 255))
    assert model.shape[0] == 1


@pytest.mark.parametrize(
    ("estimator", "said"),
    [
        (LocalOutlierFactor(), "neither score_samples nor decision_function; give an outlier detector that"),
        (
            LogisticRegression(),
            "the LogisticRegression is a classifier, whose scores are for its own classes",
        ),
        (StandardScaler(), "the StandardScaler of scikit-learn has neither"),
    ],
)
def test_an_estimator_that_scores_nothing_is_refused(estimator, said):
    with pytest.raises(InputError, match=said):
        wrap(estimator, name="mine", device=CPU)


def test_an_estimator_that_was_not_fitted_says_so(wrapped):
    with pytest.raises(InputError, match="NotFittedError"):
        wrapped(OneClassSVM())


def test_an_estimator_of_another_size_names_the_size(wrapped):
    generator = np.random.default_rng(0)
    estimator = OneClassSVM().fit(generator.random((5, 3 * 28 * 28), dtype=np.float32))
    with pytest.raises(InputError, match=r"but those of 28x28 px; set --image-size 28"):
        wrapped(estimator)


class Outliers:
    """Like a detector of pyod."""

    __module__ = "pyod.models.mine"

    def decision_function(self, values):
        return values.mean(axis=1)


def test_what_is_higher_for_outliers_is_taken_as_it_is(wrapped, x):
    model = wrapped(Outliers())
    assert model.format == "pyod"
    assert model.notes == [pyod.AS_THEY_ARE]
    assert model.no_gradient == pyod.NO_GRADIENT
    torch.testing.assert_close(model.score(x), x.mean(dim=(1, 2, 3)))


def test_a_pyod_object_that_scores_nothing_is_refused():
    other = type("Other", (), {"__module__": "pyod.models.other"})
    with pytest.raises(InputError, match="the Other of pyod has no decision_function"):
        wrap(other(), name="mine", device=CPU)
