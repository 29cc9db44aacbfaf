"""The made-up experiment that most tests look at."""

import pytest

from tests.experiment.records import make_record


@pytest.fixture(scope="session")
def record():
    return make_record()
