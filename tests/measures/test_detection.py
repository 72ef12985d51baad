import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import roc_auc_score

from fcdd_audit.measures.detection import auroc, average_precision, rate_above, threshold, weighted_auroc

scores = st.lists(st.integers(-3, 3) | st.floats(-1e6, 1e6), min_size=1, max_size=20).map(
    lambda values: np.array(values, dtype=np.float64)
)


@given(scores, scores)
def test_auroc_agrees_with_scikit_learn_whatever_the_ties(nominal, anomalous):
    labels = np.repeat([0, 1], [len(nominal), len(anomalous)])
    assert auroc(nominal, anomalous) == pytest.approx(
        roc_auc_score(labels, np.concatenate([nominal, anomalous])), abs=1e-12
    )


def test_auroc_counts_pairs_and_half_of_ties():
    # 2 > 0, 2 = 2, 3 > 0, 3 > 2
    assert auroc(np.array([0.0, 2.0]), np.array([2.0, 3.0])) == (1 + 0.5 + 1 + 1) / 4


@given(scores, scores)
def test_exchanging_the_sides_mirrors_auroc(nominal, anomalous):
    assert auroc(nominal, anomalous) + auroc(anomalous, nominal) == pytest.approx(1)


@given(scores, scores, st.data())
def test_weighted_auroc_is_the_auroc_of_the_sample_with_images_repeated(nominal, anomalous, data):
    def weights(values):
        drawn = st.lists(st.integers(0, 3), min_size=len(values), max_size=len(values))
        return np.array([data.draw(drawn.filter(any)), data.draw(drawn.filter(any))])

    of_nominal, of_anomalous = weights(nominal), weights(anomalous)
    repeated = [
        auroc(np.repeat(nominal, n), np.repeat(anomalous, a))
        for n, a in zip(of_nominal, of_anomalous, strict=True)
    ]
    got = weighted_auroc(nominal, anomalous, of_nominal.astype(float), of_anomalous.astype(float))
    assert got.tolist() == pytest.approx(repeated, abs=1e-12)


@pytest.mark.parametrize(
    ("nominal", "anomalous"),
    [([0.0, 1.0], [np.nan, np.nan]), ([0.0, np.nan], [2.0, 3.0]), ([np.nan], [np.nan])],
)
def test_scores_that_are_no_numbers_give_no_auroc(nominal, anomalous):
    try:
        value = auroc(np.array(nominal), np.array(anomalous))
    except ValueError:
        return
    assert np.isnan(value)


def test_average_precision_takes_anomalous_as_positive():
    # from the top: 4 (anomalous, 1/1), 3 (nominal), 2 (anomalous, 2/3), 1 (nominal)
    assert average_precision(np.array([1.0, 3.0]), np.array([2.0, 4.0])) == pytest.approx((1 + 2 / 3) / 2)
    assert average_precision(np.zeros(6), np.zeros(2)) == pytest.approx(2 / 8)


def test_the_threshold_is_the_95_percent_quantile_and_a_score_on_it_is_nominal():
    validation = np.arange(101.0)[::-1]
    limit = threshold(validation)
    assert limit == 95
    assert rate_above(validation, limit) == 5 / 101
    assert threshold(validation, 0.5) == 50
    assert rate_above(np.array([limit, limit + 1e-9]), limit) == 0.5
