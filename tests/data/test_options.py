"""A reading option is declared once; command line, sidecar and experiment file have it."""

import inspect
from dataclasses import dataclass, fields

import pytest
from pydantic import ValidationError

from harness.cli.options import DataOptions, spread_options
from harness.data.options import ReadOptions, read_option, with_read_options
from harness.errors import DataError
from harness.experiment.spec import DataSpec
from harness.toml import Part


@dataclass(frozen=True, kw_only=True)
class Toy(ReadOptions):
    toy: str | None = read_option("Wind it up.", "TURNS")
    crowd: tuple[str, ...] = read_option("Toys. Repeatable.", many=True)


def test_an_option_added_in_one_place_is_in_the_sidecar_and_in_experiment_files():
    for extend in (with_read_options(Toy), with_read_options(Toy, sidecar=True)):

        @extend
        class File(Part):
            name: str = "toys"

        read = File.model_validate({"toy": "3", "crowd": ["a"]})
        assert (read.toy, read.crowd, read.name) == ("3", ("a",), "toys")
        with pytest.raises(ValidationError):
            File.model_validate({"toy": 3})


def test_an_option_added_in_one_place_is_on_the_command_line():
    @dataclass(frozen=True, kw_only=True)
    class ToyOptions(Toy):
        pass

    def command(*, data):
        got.append(data)

    got = []
    command.__annotations__ = {"data": ToyOptions}
    spread = spread_options(command)
    shown = inspect.signature(spread).parameters["toy"].annotation.__metadata__[0]
    assert (shown.help, shown.metavar) == ("Wind it up.", "TURNS")
    given = dict.fromkeys((f.name for f in fields(Toy)), None)
    spread(**(given | {"toy": "3", "scale": "1:5", "crowd": ["a", "b"]}))
    assert got == [ToyOptions(toy="3", scale=(1.0, 5.0), crowd=("a", "b"))]


def test_all_options_of_today_are_at_all_three_doors():
    names = {f.name for f in fields(ReadOptions)}
    assert names <= {*DataSpec.model_fields}
    assert names <= {f.name for f in fields(DataOptions)}


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"scale": "0.5:5", "missing": ["0", "-1"]},
        {"scale": "0:inf", "duplicates": "last", "user_column": "who"},
        {"scale": "0.123456789:5", "catalogue": ["a.csv", "HULU=b.csv"]},
    ],
)
def test_what_was_given_comes_back_for_the_record(options):
    read = ReadOptions.of(options)
    assert read.given() == options
    assert ReadOptions.of(read.given()) == read
    spec = DataSpec.model_validate(options)
    assert spec.read_options() == read
    assert DataSpec.model_validate(spec.model_dump(mode="json")) == spec


def test_a_scale_is_text_or_two_numbers():
    assert ReadOptions.of({"scale": [1, 5]}) == ReadOptions.of({"scale": "1:5"})
    for wrong in ("5", "a:b", "1:2:3", 5, [1]):
        with pytest.raises(DataError, match="LOW:HIGH"):
            ReadOptions.of({"scale": wrong})
