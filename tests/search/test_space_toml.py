import pytest

from harness.models.families import family_names, load_family
from harness.plain import from_json
from harness.search.distributions import Distribution
from harness.search.space import find_space, load_space, space_toml


@pytest.mark.parametrize("name", family_names())
def test_each_shipped_space_is_read_back_as_it_was(name, tmp_path):
    family = load_family(name)
    try:
        space = load_space(find_space(name), family)
    except LookupError:
        pytest.skip(f"{name} ships no space")
    path = tmp_path / "space.toml"
    path.write_text(space_toml(name, space.distributions, space.initial))
    again = load_space(path, family)
    assert again.distributions == space.distributions
    assert again.initial == space.initial


def test_every_kind_of_value_survives():
    import tomllib

    space = {
        'odd "name"': {"type": "float", "low": 1e-05, "high": 0.5, "log": True},
        "kind": {"type": "categorical", "choices": ["é\n", True, 3, 2.5]},
        "when": {
            "type": "int",
            "low": 1,
            "high": 2,
            "log": False,
            "when": {"kind": [True, 3]},
        },
    }
    text = space_toml("toy", from_json(dict[str, Distribution], space), {"kind": True})
    assert tomllib.loads(text) == {
        "family": "toy",
        "parameters": space,
        "initial": {"kind": True},
    }
