"""Data for all tests: small generated ratings, and the real data where it is there."""

import os
from pathlib import Path

import numpy as np
import pytest

from harness.data.ratings import Ratings, RatingScale


@pytest.fixture(scope="session")
def real_data():
    """The folder with published data, which is not part of the project."""
    beside = Path(__file__).parents[2] / "shared" / "data"
    folder = Path(os.environ.get("HARNESS_TEST_DATA", beside))
    if not folder.is_dir():
        pytest.skip(f"real data is not at {folder}; set HARNESS_TEST_DATA")
    return folder


@pytest.fixture(scope="session")
def small_ratings():
    """900 ratings of 60 users and 40 items: biases, one factor, and noise."""
    rng = np.random.default_rng(7)
    pairs = rng.choice(60 * 40, size=900, replace=False)
    users, items = pairs // 40, pairs % 40
    taste = rng.normal(size=60)[users] * rng.normal(size=40)[items]
    values = 3 + rng.normal(size=60)[users] + 0.5 * taste + 0.3 * rng.normal(size=900)
    return Ratings.from_columns(
        [f"u{u}" for u in users],
        [f"i{i}" for i in items],
        np.clip(np.round(values * 2) / 2, 1, 5),
        scale=RatingScale(1, 5),
        timestamps=rng.integers(0, 10**6, size=900),
    )
