from dataclasses import replace
from itertools import islice, product

import optuna
import pytest
from optuna.distributions import (
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)

from harness.errors import SpaceError, UnknownNameError
from harness.models.families import family_names, load_family
from harness.models.svd.model import SVD
from harness.search.distributions import Categorical, Fixed
from harness.search.space import find_space, load_space


def svd_space(parameters, rest=""):
    return f'family = "svd"\n\n[parameters]\n{parameters}\n{rest}'


@pytest.mark.parametrize(
    ("line", "recorded"),
    [
        (
            'n_factors = { type = "int", low = 10, high = 200, log = true }',
            IntDistribution(10, 200, log=True),
        ),
        (
            'n_factors = { type = "int", low = 10, high = 200, step = 10 }',
            IntDistribution(10, 200, step=10),
        ),
        (
            'init_std = { type = "float", low = 0, high = 1 }',
            FloatDistribution(0.0, 1.0),
        ),
        (
            'biased = { type = "categorical", choices = [true, false] }',
            CategoricalDistribution((True, False)),
        ),
    ],
)
def test_a_trial_records_what_the_file_declares(space_of, line, recorded):
    space = space_of(svd_space(line), SVD)
    trial = optuna.create_study().ask()
    name = line.split()[0]
    params = space.suggest(trial)
    assert trial.distributions == {name: recorded}
    assert params == trial.params


def test_fixed_values_are_not_sampled(space_of):
    space = space_of(svd_space('n_factors = { type = "fixed", value = 7 }'), SVD)
    trial = optuna.create_study().ask()
    assert space.suggest(trial) == {"n_factors": 7}
    assert trial.params == {}


def test_a_condition_decides_whether_a_parameter_is_sampled(space_of):
    text = svd_space(
        'biased = { type = "categorical", choices = [true, false] }\n'
        'init_std = { type = "float", low = 0, high = 1, when = { biased = true } }'
    )
    space = space_of(text, SVD)
    seen = set()
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=0))
    for _ in range(20):
        params = space.suggest(study.ask())
        seen.add(tuple(sorted(params)))
        assert ("init_std" in params) == params["biased"]
    assert len(seen) == 2


def test_initial_point_is_the_defaults_unless_the_file_says_otherwise(space_of):
    text = svd_space(
        'n_factors = { type = "int", low = 10, high = 200 }\n'
        'init_std = { type = "float", low = 0, high = 1 }',
        "[initial]\nn_factors = 50",
    )
    space = space_of(text, SVD)
    assert space.initial_point() == {"n_factors": 50, "init_std": 0.1}


@pytest.mark.parametrize(
    ("parameters", "complaint"),
    [
        (
            'n_factors = { type = "int", low = 64, high = 8 }',
            r"space.toml:4: n_factors: low must not exceed high, but low=64 and high=8",
        ),
        (
            'n_factors = { type = "int", low = 0, high = 8 }',
            r"space.toml:4: n_factors: must be at least 1, but can be 0 here",
        ),
        (
            'n_factor = { type = "int", low = 1, high = 8 }',
            r"space.toml:4: n_factor: .* Did you mean 'n_factors'\?",
        ),
        (
            'n_factors = { type = "int", low = 1, hihg = 8 }',
            r"space.toml:4: n_factors: hihg: There is no key .* Did you mean 'high'\?",
        ),
        (
            'n_factors = { type = "int", low = 1, high = 200, logg = true }',
            r"n_factors: logg: There is no key .* Did you mean 'log'\?",
        ),
        (
            'n_factors = { type = "integer", low = 1, high = 8 }',
            r"space.toml:4: n_factors: .*'int', 'float'",
        ),
        (
            'init_std = { type = "float", low = 0, high = 1, log = true }',
            r"init_std: a log range must start above 0, but low=0",
        ),
        (
            'init_std = { type = "float", low = 0.1, high = 1, log = true, step = 0.1 }',
            r"init_std: log and step exclude each other",
        ),
        (
            'biased = { type = "categorical", choices = [] }',
            r"biased: choices: .*1 or more entries, but has 0",
        ),
        (
            'init_std = { type = "epochs", high = 10 }',
            r'init_std: type "epochs" is for n_epochs',
        ),
        (
            'init_std = { type = "float", low = 0, high = 1, when = { biased = true } }',
            r"init_std: when: 'biased' must be a parameter that stands above it",
        ),
        (
            'n_factors = { type = "int", low = 1, high = 8 }',
            r"n_factors: the initial value 100 must lie in the space",
        ),
        (
            'n_factors = { type = "int", low = 16, high = 160, step = 16 }',
            r"n_factors: the initial value 100 must be low plus a multiple of step",
        ),
        (
            'init_std = { type = "float", low = 0, high = 1, step = 0.3 }',
            r"init_std: high must be low plus a multiple of step",
        ),
        (
            'n_factors = { type = "float", low = 16, high = 160 }',
            r"space.toml:4: n_factors: must be an integer, but can be 16.0 here",
        ),
        (
            'biased = { type = "fixed", value = "yes" }',
            r"biased: must be true or false, but can be 'yes' here",
        ),
        (
            'bias_learning_rate = { type = "fixed", value = true }',
            r"bias_learning_rate: must be a number, but can be True here",
        ),
        (
            (
                'biased = { type = "fixed", value = true }\n'
                'init_std = { type = "float", low = 0, high = 1, when = { biased = "yes" } }'
            ),
            r"init_std: when: 'biased' is never 'yes': choose from \[True\], or leave init_std",
        ),
        (
            (
                'n_factors = { type = "fixed", value = 8 }\n'
                'n_epochs = { type = "epochs", high = 9, when = { n_factors = 8 } }'
            ),
            r'n_epochs: when: type "epochs" takes no condition',
        ),
        (
            (
                'n_epochs = { type = "epochs", high = 9 }\n'
                'init_std = { type = "float", low = 0, high = 1, when = { n_epochs = 8 } }'
            ),
            r"init_std: when: 'n_epochs' must be a parameter that stands above it",
        ),
        ("n_factors = 8", r"space.toml:4: n_factors: "),
        ("n_factors = {", r"is not valid TOML"),
    ],
)
def test_an_unsound_space_is_refused_with_file_line_and_key(
    space_of, parameters, complaint
):
    with pytest.raises(SpaceError, match=complaint):
        space_of(svd_space(parameters), SVD)


def test_an_initial_value_of_the_wrong_type_is_refused(space_of):
    text = svd_space(
        'n_factors = { type = "int", low = 1, high = 100 }',
        "[initial]\nn_factors = 50.5",
    )
    with pytest.raises(SpaceError, match=r"must be an integer, but can be 50\.5"):
        space_of(text, SVD)


def test_whole_numbers_are_numbers_and_steps_of_a_tenth_are_whole(space_of):
    text = svd_space(
        'init_std = { type = "float", low = 0, high = 0.3, step = 0.1 }\n'
        'regularization = { type = "fixed", value = 1 }'
    )
    assert space_of(text, SVD).initial_point() == {"init_std": 0.1}


def test_a_space_of_another_family_is_refused(space_of):
    with pytest.raises(SpaceError, match="family: must be 'svd', but is 'cf'"):
        space_of('family = "cf"\n[parameters]\n', SVD)


def test_own_spaces_come_before_shipped_ones(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    shipped = find_space("svd")
    assert shipped.is_file()
    (tmp_path / "studies").mkdir()
    own = tmp_path / "studies" / "svd.toml"
    own.write_text(shipped.read_text())
    assert find_space("svd").resolve() == own


def test_an_unknown_space_is_refused_with_a_hint():
    with pytest.raises(UnknownNameError, match="Did you mean 'svd'"):
        find_space("svdd")
    with pytest.raises(SpaceError, match="there is no such file"):
        find_space("nowhere/svd.toml")


@pytest.mark.parametrize("family", family_names())
def test_shipped_spaces_are_sound_and_their_corners_can_be_built(family):
    cls = load_family(family)
    space = load_space(find_space(family), cls)
    corners = [
        [(name, value) for value in distribution.corners()]
        for name, distribution in space.distributions.items()
    ]
    for corner in islice(product(*corners), 64):
        cls(**dict(corner))


def test_what_hangs_on_times_is_not_searched_without_them():
    space = load_space(find_space("svd"), SVD).without_times({"time": False})
    assert space.distributions["time"] == Fixed(type="fixed", value=False)
    assert "time_regularization" not in space.distributions
    assert "time_regularization" not in space.initial
    assert space.initial["time"] is False
    assert "n_factors" in space.searched


def test_what_hangs_on_a_value_that_an_experiment_fixes_is_not_searched():
    off = {"time": Fixed(type="fixed", value=False)}
    space = load_space(find_space("svd"), SVD, parameters=off)
    assert "time_regularization" not in space.distributions
    on = {"time": Fixed(type="fixed", value=True)}
    space = load_space(find_space("svd"), SVD, parameters=on)
    assert "time_regularization" in space.searched


@pytest.mark.parametrize(
    ("features", "wanted"),
    [
        (Fixed(type="fixed", value="all"), ("all",)),
        (
            Categorical(type="categorical", choices=["none", "activity"]),
            ("activity",),
        ),
        (Fixed(type="fixed", value="none"), None),
    ],
)
def test_of_several_values_to_hang_on_an_experiment_may_leave_some(features, wanted):
    space = load_space(
        find_space("hybrid"),
        load_family("hybrid"),
        parameters={"user_features": features},
    )
    hung = space.distributions.get("user_weight")
    assert (hung and hung.when) == (wanted and {"user_features": wanted})


def test_time_that_a_space_fixes_is_off_without_times_and_told_so():
    space = load_space(find_space("svd"), SVD)
    on = {**space.distributions, "time": Fixed(type="fixed", value=True)}
    without = replace(space, distributions=on).without_times({"time": False})
    assert without.distributions["time"] == Fixed(type="fixed", value=False)
    assert "time_regularization" not in without.distributions
