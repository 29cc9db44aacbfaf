import pytest

from harness.data.load import load_dataset
from harness.data.options import ReadOptions
from harness.data.ratings import RatingScale
from harness.errors import DataError

TABLE = "who,what,liked\na,x,3\na,x,4\nb,y,5\n"
TOML = """# how to read ratings.csv
user_column = "who"
item_column = "what"
rating_column = "liked"
scale = [0, 10]
duplicates = "last"
name = "mine"
simulated = true
"""


def test_a_toml_beside_the_file_says_how_to_read_it(write):
    write(TOML, "ratings.toml")
    dataset = load_dataset(str(write(TABLE)))
    assert (dataset.name, dataset.simulated) == ("mine", True)
    assert dataset.ratings.scale == RatingScale(0, 10)
    assert list(dataset.ratings.values) == [4, 5]


def test_explicit_options_win_over_the_toml(write):
    write(TOML, "ratings.toml")
    options = ReadOptions(scale=(1, 5), duplicates="mean")
    dataset = load_dataset(str(write(TABLE)), options)
    assert dataset.ratings.scale == RatingScale(1, 5)
    assert list(dataset.ratings.values) == [3.5, 5]


def test_catalogues_in_the_toml_are_found_beside_it(write):
    write("item_id,title\nx,Ex\n", "titles.csv")
    write(TOML + 'catalogue = ["titles.csv"]\n', "ratings.toml")
    frame = load_dataset(str(write(TABLE))).catalogue.frame
    assert frame["title"].fillna("-").tolist() == ["Ex", "-"]


@pytest.mark.parametrize(
    ("toml", "message"),
    [
        (
            TOML + "scael = [1, 5]\n",
            r"toml:9: scael: .*'scael'.* Did you mean 'scale'\?$",
        ),
        (TOML + "xyz = 1\n", r"toml:9: xyz: .* Choose from .*[^.]\.$"),
        ('# x\nduplicates = "first"\n', "toml:2: duplicates: .* 'first'"),
        ("scale = 5\n", "toml:1: scale: .* got 5"),
        ("user_column = 3\n", "user_column: must be text, in quotes, but is 3"),
        ('simulated = "yes"\n', "simulated: must be true or false, but is 'yes'"),
        ('catalogue = "t.csv"\n', r"catalogue: must be a list, in \[ \], but is"),
        ('title = "x"\n[families.svd]\n', "Give the experiment another name"),
        ("scale = [1,\n", "must be a TOML file"),
        ('user_column = "usr"\n', "no column named 'usr'"),
    ],
)
def test_a_mistake_in_the_toml_is_named_by_its_line(write, toml, message):
    write(toml, "ratings.toml")
    with pytest.raises(DataError, match=message):
        load_dataset(str(write(TABLE)))
