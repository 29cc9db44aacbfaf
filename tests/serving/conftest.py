from tests.tracking.conftest import (
    _quiet,
    answering,
    make_study,
    make_trial,
    read_runs,
    store_uri,
)

__all__ = [
    "_quiet",
    "answering",
    "make_study",
    "make_trial",
    "read_runs",
    "store_uri",
]
