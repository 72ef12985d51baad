"""Plans of a search of pasted windows."""

import pytest

from fcdd_audit.core.errors import InputError
from fcdd_audit.discovery.plan import Plan


@pytest.mark.parametrize("change", [{"chosen_on": 0}, {"parts": ()}, {"parts": (0,)}, {"batch": -1}])
def test_a_plan_of_nothing_is_refused(change):
    with pytest.raises(InputError, match="a search needs at least 1"):
        Plan(**change)
