from fcdd_audit.images.listing import listed, printable


def test_five_names_and_how_many_more():
    assert listed(["a", "b"]) == "a, b"
    assert listed(list("abcde"), "; ") == "a; b; c; d; e"
    assert listed(list("abcdefg")) == "a, b, c, d, e and 2 more"


def test_any_files_name_can_be_written():
    assert printable("ä/b") == "ä/b"
    assert printable(b"\xff".decode("utf-8", "surrogateescape")).encode() == b"\\udcff"
