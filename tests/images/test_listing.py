from fcdd_audit.images.listing import listed


def test_five_names_and_how_many_more():
    assert listed(["a", "b"]) == "a, b"
    assert listed(list("abcde"), "; ") == "a; b; c; d; e"
    assert listed(list("abcdefg")) == "a, b, c, d, e and 2 more"
