import pytest

from harness.data.linking.spelling import read_title, title_key


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("Léon", "LEON"),
        ("Amélie", "Ame\u0301lie"),  # composed and decomposed
        ("Æon Flux", "Aeon Flux"),
        ("WALL·E", "Wall-E"),
        ("Spider-Man", "Spider Man"),
        ("S.W.A.T.", "SWAT"),
        ("Schindler's List", "Schindler\u2019s List"),
        ("Fast & Furious", "Fast and Furious"),
        ("Matrix, The", "The Matrix"),
        ("Haine, La", "La haine"),
        (
            "Lord of the Rings: The Two Towers, The",
            "The Lord of the Rings - The Two Towers",
        ),
        ("Rocky IV", "Rocky 4"),
        ("Kill Bill: Vol. 1", "Kill Bill Volume 1"),
        ("Kramer vs. Kramer", "Kramer Versus Kramer"),
        ("Alien³", "Alien 3"),
    ],
)
def test_spellings_of_one_title_have_one_key(one, other):
    assert title_key(one) == title_key(other)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("Rocky II", "Rocky III"),
        ("I, Robot", "1, Robot"),  # a lone I is no number
        ("The Kid", "Kid"),  # the short form is another matter
        ("Se7en", "Seven"),
        ("Toy Story", "Toy Story 2"),
    ],
)
def test_different_titles_have_different_keys(one, other):
    assert title_key(one) != title_key(other)


@pytest.mark.parametrize("title", ["...", "$", "!!!", "?"])
def test_a_title_without_letters_is_its_own_key(title):
    assert title_key(title) == title


def test_titles_in_other_scripts_keep_their_letters():
    assert title_key("Солярис") == "солярис"
    assert title_key("千と千尋の神隠し") != title_key("もののけ姫")


def test_the_short_form_lacks_a_leading_english_article_only():
    assert read_title("Matrix, The").short == read_title("The Matrix").short == "matrix"
    assert read_title("A Few Good Men").short == "fewgoodmen"
    assert read_title("La Haine").short == "lahaine"
    assert read_title("Léon: The Professional").short == "leontheprofessional"
    assert read_title("Then She Found Me").short == "thenshefoundme"


def test_a_title_that_is_an_article_stays():
    assert read_title("The").short == "the"
    assert read_title("A").short == "a"


@pytest.mark.parametrize(
    ("title", "others"),
    [
        ("Seven (a.k.a. Se7en)", {"se7en"}),
        ("City of Lost Children, The (Cité des enfants perdus, La)",
         {"lacitedesenfantsperdus"}),
        ("Léon: The Professional (a.k.a. The Professional) (Léon)",
         {"professional", "leon"}),
        ("Star Wars: Episode IV - A New Hope", {"starwarsanewhope"}),
    ],
)  # fmt: skip
def test_titles_in_brackets_are_alternatives(title, others):
    assert others <= set(read_title(title).others)


@pytest.mark.parametrize(
    "title",
    [
        "Die Hard 2 (4K UHD)",
        "Rambo: Last Blood (Extended Cut)",
        "Master (Telugu) [4K UHD]",
        "Pinocchio (2020) [English Subtitled]",
    ],
)
def test_the_name_of_an_edition_is_no_title(title):
    assert read_title(title).others == ()


def test_a_bracket_inside_a_title_belongs_to_it():
    assert read_title("(500) Days of Summer").full == title_key("500 Days of Summer")


def test_a_year_in_brackets_is_the_year():
    forms = read_title("The Courier (2021) (4K UHD)")
    assert (forms.full, forms.year) == ("thecourier", 2021)
    assert read_title("Blade Runner 2049").year is None
