"""What is harness's own of a sampler, held to Optuna's."""

import numpy as np
import optuna
import pytest
from optuna.distributions import (
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)
from optuna.samplers._tpe.parzen_estimator import _ParzenEstimator

from harness.search.samplers import _Parzen

RNG = np.random.default_rng(0)


@pytest.mark.parametrize(
    ("distribution", "observed"),
    [
        (IntDistribution(16, 100, log=True), RNG.integers(16, 101, 40)),
        (IntDistribution(0, 100, step=10), 10 * RNG.integers(0, 11, 20)),
        (FloatDistribution(1e-4, 1, log=True), 10 ** RNG.uniform(-4, 0, 40)),
        (FloatDistribution(-1, 1, step=0.125), RNG.integers(-8, 9, 20) / 8),
        # Components far narrower than the range, so that some are far in both tails.
        (FloatDistribution(0, 1e6), RNG.uniform(0, 50, 40)),
        (CategoricalDistribution(["a", "b", "c"]), RNG.integers(0, 3, 20)),
        (FloatDistribution(-1, 1), np.array([])),
    ],
)
def test_the_density_of_tpe_is_that_of_optuna(distribution, observed):
    settings = optuna.samplers.TPESampler()._parzen_estimator_parameters
    theirs, ours = (
        kind({"x": observed.astype(float)}, {"x": distribution}, settings)
        for kind in (_ParzenEstimator, _Parzen)
    )
    samples = theirs.sample(np.random.RandomState(0), 24)
    expected = theirs.log_pdf(samples)
    assert np.isfinite(expected).all()
    assert ours.log_pdf(samples) == pytest.approx(expected, rel=1e-12, abs=1e-12)
