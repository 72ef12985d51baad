import pytest

from fcdd_audit.datasets.one_vs_rest import ImageNetOE
from fcdd_audit.datasets.sources import SOURCES
from fcdd_audit.datasets.wordnet import SHOWN, ids_named, imagenet_names, plain, same_thing, wordnet_ids

NAMES = imagenet_names()


def shown(name):
    return {NAMES[i] for i in wordnet_ids(name)}


def test_there_are_a_thousand_classes_in_order():
    assert len(NAMES) == 1000
    assert list(NAMES) == sorted(NAMES)
    assert all(len(i) == 9 and i[0] == "n" and i[1:].isdigit() for i in NAMES)
    assert NAMES["n01440764"] == "tench"


def test_every_id_and_range_is_one_of_the_thousand():
    for ids in SHOWN.values():
        for part in ids.split():
            for end in part.split("-"):
                assert end in NAMES, end


def test_cifar_10_is_covered():
    for name in SOURCES["cifar10"].known:
        assert wordnet_ids(name), name
    assert "horse" in SHOWN, "Pascal VOC's"


@pytest.mark.parametrize(
    ("name", "members", "strangers"),
    [
        ("bird", {"cock", "ostrich", "toucan", "goose", "king_penguin", "albatross"}, {"tench", "platypus"}),
        ("dog", {"Chihuahua", "Mexican_hairless", "pug"}, {"dingo", "timber_wolf", "red_fox"}),
        ("cat", {"tabby", "Siamese_cat", "Egyptian_cat"}, {"lion", "tiger", "cougar"}),
        ("frog", {"bullfrog", "tree_frog"}, {"axolotl", "loggerhead"}),
        ("airplane", {"airliner", "warplane"}, {"airship"}),
        ("ship", {"container_ship", "fireboat"}, {"dock"}),
        ("truck", {"fire_engine", "garbage_truck", "tow_truck"}, {"tractor"}),
        ("automobile", {"convertible", "sports_car", "ambulance"}, {"go-kart"}),
        ("horse", {"sorrel"}, {"zebra"}),
    ],
)
def test_classes_show_what_they_should(name, members, strangers):
    assert members <= shown(name)
    assert not strangers & shown(name)


def test_dogs_are_many_and_no_reptile_is_a_bird():
    assert len(wordnet_ids("dog")) >= 118
    reptiles = {i for i in NAMES if "n01664065" <= i <= "n01770081"}
    assert len(reptiles) > 30
    assert not reptiles & wordnet_ids("bird")
    assert len(wordnet_ids("bird")) == 59


def test_no_class_of_imagenet_shows_two_classes_of_cifar_but_for_police_vans():
    both = [i for i in NAMES if sum(i in wordnet_ids(name) for name in SOURCES["cifar10"].known) > 1]
    assert {NAMES[i] for i in both} <= {"police_van"}


def test_names_are_compared_without_case_spaces_and_hyphens():
    assert plain(" American  alligator") == plain("american_alligator") == plain("American-Alligator")
    assert ids_named("american alligator") == ("n01698640",)
    assert len(ids_named("crane")) == 2
    assert ids_named("no such thing") == ()
    assert wordnet_ids("n01440764") == {"n01440764"}


@pytest.mark.parametrize("name", ImageNetOE.names)
def test_each_of_hendrycks_30_is_one_class(name):
    assert len(ids_named(name)) == 1
    assert wordnet_ids(name) == set(ids_named(name))


def test_the_same_thing_by_name_or_id():
    assert same_thing("n02084071", "n02084071")
    assert same_thing("n02085620", "dog")
    assert same_thing("dog", "Chihuahua")
    assert same_thing("Tench", "n01440764")
    assert not same_thing("tench", "goldfish")
    assert not same_thing("cat", "dog")
    assert not same_thing("some folder", "other folder")
