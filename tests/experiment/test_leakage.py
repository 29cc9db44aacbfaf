"""The test ratings reach nothing that selects or learns: permute them, and all is equal."""

from dataclasses import replace

import numpy as np
import pytest

from harness.data.catalogue import Catalogue
from harness.data.dataset import Dataset
from harness.data.ratings import Ratings
from harness.errors import MissingExtraError
from harness.evaluation.final import Entry, fit_entries, fit_entry
from harness.evaluation.splits import split_off_test
from harness.experiment.run import RunSettings, prepare_study, study_spec
from harness.models.families import family_names, load_family
from harness.search.records import NoListener
from harness.search.space import find_space
from tests.models.conftest import make_catalogue, make_ratings

# What leaks in a few short trials leaks in hundreds of long ones.
N_TRIALS = 3
SHORTER = {
    "bfm": {
        'n_iterations = { type = "fixed", value = 400 }': 'n_iterations = { type = "fixed", value = 20 }'
    }
}


# A blend is searched with its members: tests/experiment/test_blending.py.
@pytest.fixture(params=[name for name in family_names() if name != "blend"])
def family(request):
    try:
        return load_family(request.param)
    except MissingExtraError as error:
        pytest.skip(str(error))


@pytest.fixture(scope="module")
def dataset():
    ratings = make_ratings()
    return Dataset(
        name="toy", ratings=ratings, catalogue=make_catalogue(ratings), source="toy"
    )


def permute_test(dataset, *, seed):
    """Deal the test ratings anew among their pairs; the training part stays."""
    split = split_off_test(dataset)
    ratings = dataset.ratings
    is_train = np.isin(
        ratings.users.astype(np.int64) * ratings.n_items + ratings.items,
        split.train.users.astype(np.int64) * ratings.n_items + split.train.items,
    )
    values = ratings.values.copy()
    values[~is_train] = np.random.default_rng(seed).permutation(values[~is_train])
    assert (values != ratings.values).any()
    return replace(dataset, ratings=replace(ratings, values=values))


def short_space(family, folder):
    """Write the shipped space of a family, with what takes long made shorter."""
    text = find_space(family.name).read_text()
    for long, short in SHORTER.get(family.name, {}).items():
        assert long in text
        text = text.replace(long, short)
    path = folder / "space.toml"
    path.write_text(text)
    return path


def outcome(dataset, family, folder):
    """Everything that a search decides, and the models that are fitted after it."""
    spec = study_spec(
        family.name,
        entry={"space": str(short_space(family, folder))},
        n_trials=N_TRIALS,
        search={"folds": 2},
    )
    settings = RunSettings(storage=str(folder / "o.log"))
    prepared = prepare_study(spec, settings, load=lambda _: dataset)
    prepared.begin()
    study = prepared.search(family.name, NoListener())
    entries = [
        Entry(name=role, family=family, params=params, role=role, candidate=family.name)
        for role, params in (
            ("initial", prepared.plans[family.name].space.initial),
            ("tuned", study.best.params),
        )
    ]
    fitted = fit_entries(
        entries,
        (
            fit_entry(each, prepared.split.train, dataset.catalogue, seeds=[0])
            for each in entries
        ),
        costs={},
        on_fitted=lambda _: None,
    )
    trials = [
        (t.number, t.state, dict(t.params), t.value, t.fold_values, t.seed)
        for t in study.trials
    ]
    return trials, [vars(each.models[0]) for each in fitted]


def assert_equal(one, other):
    assert one.keys() == other.keys()
    for name, value in one.items():
        if isinstance(value, np.ndarray):
            np.testing.assert_array_equal(value, other[name], err_msg=name, strict=True)
        elif not isinstance(value, (Ratings, Catalogue)):
            assert repr(value) == repr(other[name]), name


def test_permuting_the_test_ratings_changes_no_trial_and_no_model(
    family, dataset, tmp_path
):
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    trials, models = outcome(dataset, family, tmp_path / "a")
    others = outcome(permute_test(dataset, seed=1), family, tmp_path / "b")
    assert trials == others[0]
    for one, other in zip(models, others[1], strict=True):
        assert_equal(one, other)
