"""What was read once is mapped, unless anything that it was read from has changed."""

import numpy as np
import pytest

from harness.data import cache, load
from harness.data.load import load_source
from harness.evaluation.splits import split_off_test

ROWS = ["u,i,rating", *(f"{k % 7},{k // 7},{1 + k % 5}" for k in range(35))]


@pytest.fixture
def source(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(cache, "FEWEST_BYTES", 1)
    path = tmp_path / "ratings.csv"
    path.write_text("\n".join(ROWS))
    return path


@pytest.fixture
def n_reads(monkeypatch):
    reads, read = [], load._read

    def count(*arguments):
        reads.append(arguments)
        return read(*arguments)

    monkeypatch.setattr(load, "_read", count)
    return lambda: len(reads)


NAMED = {"user_column": "u", "item_column": "i"}


def test_a_second_start_maps_the_same_data(source, n_reads):
    first, second = (load_source(str(source), NAMED) for _ in range(2))
    assert n_reads() == 1
    assert isinstance(second.ratings.values, np.memmap)
    assert second.fingerprint == first.fingerprint
    assert second.facts() == first.facts()
    splits = [split_off_test(each).facts for each in (first, second)]
    assert splits[0] == splits[1]
    [listed] = cache.cached_data()
    assert (listed.source, listed.n_ratings) == (str(source), 35)
    assert cache.clear_cache() == listed.n_bytes
    assert cache.cached_data() == []


def test_other_content_options_or_sidecar_are_read(source, n_reads):
    load_source(str(source), NAMED)
    other = load_source(str(source), NAMED | {"scale": "0:5"})
    assert (n_reads(), other.ratings.scale.low) == (2, 0)
    source.write_text("\n".join([*ROWS[:-1], "6,4,1"]))
    assert (
        load_source(str(source), NAMED).ratings.values.sum()
        != other.ratings.values.sum()
    )
    source.with_suffix(".toml").write_text('name = "mine"')
    assert load_source(str(source), NAMED).name == "mine"
    assert n_reads() == 4


def test_a_catalogue_elsewhere_or_a_small_source_is_not_cached(source, monkeypatch):
    source.with_suffix(".toml").write_text('# without "catalogue"')
    load_source(str(source), NAMED)
    source.with_suffix(".toml").unlink()
    monkeypatch.setattr(cache, "FEWEST_BYTES", 10_000)
    load_source(str(source), NAMED)
    assert cache.cached_data() == []


def test_a_broken_or_unwritable_cache_costs_one_line_at_most(source, n_reads, capsys):
    load_source(str(source), NAMED)
    for file in cache.cache_folder().glob("*/rest.pickle"):
        file.write_bytes(b"")
    load_source(str(source), NAMED)
    assert n_reads() == 2
    cache.clear_cache()
    cache.cache_folder().write_text("a file where the folder should be")
    assert len(load_source(str(source), NAMED).ratings) == 35
    assert len(capsys.readouterr().err.splitlines()) == 1
