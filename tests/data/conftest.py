import os
from pathlib import Path

import pytest

HEADER = "user,item,rating,timestamp\n"


@pytest.fixture
def real_data():
    """The folder with published data, which is not part of the project."""
    beside = Path(__file__).parents[3] / "shared" / "data"
    folder = Path(os.environ.get("HARNESS_TEST_DATA", beside))
    if not folder.is_dir():
        pytest.skip(f"real data is not at {folder}; set HARNESS_TEST_DATA")
    return folder


@pytest.fixture
def write(tmp_path):
    """Write a file of text or bytes, and return its path."""

    def write_file(content, name="ratings.csv"):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return path

    return write_file


@pytest.fixture
def load(write):
    """Load a table of ratings from the text of its file."""
    from harness.data.load import load_dataset
    from harness.data.options import ReadOptions

    def load_text(content, name="ratings.csv", **options):
        return load_dataset(str(write(content, name)), ReadOptions(**options))

    return load_text


@pytest.fixture
def load_rows(load):
    """Load a table of user, item, rating and time from its rows."""

    def load_lines(*rows, **options):
        return load(HEADER + "".join(f"{row}\n" for row in rows), **options)

    return load_lines
