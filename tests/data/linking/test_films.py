import pytest

from harness.data.linking.link import link


def mud(**known):
    return {"title": "Mud", "release_year": 2012, **known}


def test_a_film_on_several_platforms_is_one_film_with_what_each_knows(
    rated, shown, pair
):
    catalogue = shown(
        mud(source="HULU", unique_id="HLU_0", duration_minutes=131, description="hulu"),
        mud(
            source="AMAZON", unique_id="AMZ_0", director="Jeff Nichols",
            duration_minutes=130, description="amazon", rating="13+", maturity=13,
        ),
        mud(source="NETFLIX", unique_id="NFX_9", director="jeff nichols", rating="NR",
            country="United States"),
        *pair,
    )  # fmt: skip
    result = link(rated(("Mud", 2012), *pair), catalogue)
    row = result.dataset.catalogue.frame.iloc[0]
    assert row["source"] == "NETFLIX, AMAZON, HULU"
    assert result.links["unique_id"].iloc[0] == "NFX_9, AMZ_0, HLU_0"
    assert row["country"] == "United States"  # from Netflix
    assert row["description"] == "amazon"  # Netflix has none
    assert row["duration_minutes"] == 130
    assert (row["rating"], row["maturity"]) == ("13+", 13)  # from one and the same


def test_without_people_equal_durations_tell_one_film_from_two(
    rated, shown, links, pair
):
    near = mud(source="HULU", unique_id="HLU_0", duration_minutes=130)
    far = mud(source="HULU", unique_id="HLU_0", duration_minutes=91)
    amazon = mud(source="AMAZON", director="Jeff Nichols", duration_minutes=131)
    dataset = rated(("Mud", 2012), *pair)
    assert "m0" in links(dataset, shown(amazon, near, *pair))
    assert "m0" not in links(dataset, shown(amazon, far, *pair))


@pytest.mark.parametrize("platform", ["NETFLIX", "HULU"])  # the first, the last
def test_a_row_without_people_does_not_bridge_two_films(
    rated, shown, links, pair, platform
):
    catalogue = shown(
        mud(source="AMAZON", director="One", duration_minutes=100),
        mud(source="AMAZON", director="Two", duration_minutes=102),
        mud(source=platform, duration_minutes=101),
        *pair,
    )
    assert "m0" not in links(rated(("Mud", 2012), *pair), catalogue)


def test_one_film_in_neighbouring_years_is_one_film(rated, shown, pair):
    catalogue = shown(
        mud(director="Jeff Nichols"),
        mud(release_year=2013, director="Jeff Nichols", source="AMAZON"),
        *pair,
    )
    result = link(rated(("Mud", 2013), *pair), catalogue)
    assert result.links["kind"].iloc[0] == "exact"
    assert result.dataset.catalogue.frame["source"].iloc[0] == "NETFLIX, AMAZON"


def test_an_edition_gives_way_to_the_plain_film(rated, shown, pair):
    catalogue = shown(
        mud(title="Mud (Extended Cut)", director="Jeff Nichols", duration_minutes=150),
        mud(source="HULU", director="Jeff Nichols", duration_minutes=131),
        *pair,
    )
    result = link(rated(("Mud", 2012), *pair), catalogue)
    assert result.dataset.catalogue.frame["duration_minutes"].iloc[0] == 131
