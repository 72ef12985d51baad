"""What an artifact does beyond placebos, by hand."""

import numpy as np
import pytest

from fcdd_audit.measures.placebos import auroc_lost, beyond_placebos, likeness, rank_p_value


def test_the_p_value_is_the_share_of_placebos_as_high_with_the_artifact_counted():
    others = np.array([0.1, 0.2, 0.3, 0.4])
    assert rank_p_value(0.5, others) == 1 / 5
    assert rank_p_value(0.3, others) == 3 / 5, "a tie speaks against it"
    assert rank_p_value(0.0, others) == 1


def test_what_is_lost_is_the_clean_auroc_less_the_marked_one():
    nominal, anomalous = np.array([0.0, 3.0]), np.array([1.0, 2.0])
    assert auroc_lost(1.0, nominal, anomalous) == 0.5, "two of four pairs are in order"
    assert auroc_lost(0.25, nominal, anomalous) == -0.25, "a mark may help"


def test_the_median_of_placebos_is_taken_off():
    assert beyond_placebos(np.array([0.5, 0.1, 0.2, 0.9])) == pytest.approx(0.3)
    assert beyond_placebos(np.array([0.2, 0.2])) == 0


def test_likeness_knows_no_sign():
    assert likeness(np.array([-0.4, 0.1, 0.2])) == pytest.approx(0.2)
    assert likeness(np.array([-0.4, -0.3])) == pytest.approx(0.35)
