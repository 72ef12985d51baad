import pytest

from fcdd_audit.images.sealed import sealed, unsealed


def test_what_is_sealed_comes_back():
    content = {"a": [1, "ä", None], "b": 0.5}
    assert unsealed(sealed(content)) == content
    assert sealed(content).count("\n") == 1


@pytest.mark.parametrize(
    "damage",
    [lambda t: "", lambda t: t[:-1], lambda t: t.replace("1", "2"), lambda t: t[1:], lambda t: t + "\n"],
)
def test_what_is_damaged_is_noticed(damage):
    with pytest.raises(ValueError, match="a checksum is wrong"):
        unsealed(damage(sealed({"a": 1})))
