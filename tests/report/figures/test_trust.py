import re

from fcdd_audit.report.figures import trust_bars, trust_rows


def rate(truth="planted", relied_on="yes", carries_over=False, **verdicts):
    return {
        "detector": "fcdd",
        "truth": truth,
        "label": f"{truth} on 20 %",
        "null": truth != "planted",
        "audits": sum(verdicts.values()),
        "verdicts": {name.replace("_", "-"): count for name, count in verdicts.items()},
        "carries_over": carries_over,
        "relied_on": relied_on,
    }


RATES = [
    rate(relies=17, inconclusive=3),
    rate("other-artifact", relies=5, carries_over=True),
    rate("both-sides", "no", relies=1, does_not_rely=98),
    rate("any-null", "unclear", does_not_rely=99),
    rate("unrelated-seeds", "no"),
]


def test_the_table_has_each_kind_with_audits_and_no_sums():
    assert trust_rows(RATES) == [
        {
            "group": "the artifact planted",
            "detector": "FCDD",
            "kind": "planted on 20 %",
            "audits": 20,
            "relies": 17,
            "does not rely": 0,
            "can't tell": 3,
            "truth": "relies",
        },
        {
            "group": "look-alikes that carry over: relying is right",
            "detector": "FCDD",
            "kind": "other-artifact on 20 %",
            "audits": 5,
            "relies": 5,
            "does not rely": 0,
            "can't tell": 0,
            "truth": "relies",
        },
        {
            "group": "nulls: nothing that could be relied on",
            "detector": "FCDD",
            "kind": "both-sides on 20 %",
            "audits": 99,
            "relies": 1,
            "does not rely": 98,
            "can't tell": 0,
            "truth": "does not rely",
        },
    ]


def test_counts_stand_in_their_bars_where_there_is_room():
    svg = trust_bars(RATES, "x")
    words = [" ".join(text.split()) for text in re.findall("<text [^>]*>([^<]*)</text>", svg)]
    assert "17" in words
    assert "98" in words
    assert "1" not in words, "one of 99 has no room"
    said = re.search("<desc[^>]*>([^<]+)", svg)[1]
    assert "nulls: nothing that could be relied on: relies 1, does not rely 98, can&#x27;t tell 0" in said


def test_the_groups_stand_apart_and_empty_ones_are_left_out():
    svg = trust_bars(RATES, "x")
    order = [
        svg.rindex(f">{text}") for text in ("the artifact planted<", "nulls: nothing", "look-alikes that")
    ]
    assert order == sorted(order)
    assert "look-alikes" not in trust_bars(RATES[:1], "x")
