"""Pools of pairs of twins, made by hand."""

import numpy as np
import pytest

from fcdd_audit.studies.pool import Pool


@pytest.fixture(scope="session")
def pool_of():
    """A pool whose control's shift, alarms and drop are 0 and whose planted twins' are given, one number a
    pair; of detectors that work."""

    def made(shift, alarms=0.0, drop=0.0, auroc=0.9, **about):
        shift = np.asarray(shift, float)
        full = np.ones(len(shift))
        known = {"dataset": "textures", "detector": "fcdd", "truth": "planted", "decoy": ""}
        known |= {"prevalence": 1.0, "plant_on": "anomalous", **about}
        scores = {
            "score_shift": (shift, 0 * full),
            "new_alarms": (alarms * full, 0 * full),
            "drop": (drop * full, 0 * full),
            "clean_auroc": (0.9 * full, auroc * full),
            "right_in_use": (0.95 * full, 0.95 * full),
        }
        return Pool(**known, scores=scores)

    return made
