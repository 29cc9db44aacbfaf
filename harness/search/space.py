"""Search spaces: read from TOML, checked against their family, sampled with Optuna."""

import tomllib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import MISSING, dataclass, fields, replace
from pathlib import Path
from types import MappingProxyType
from typing import Any, ClassVar

import optuna
import tomli_w
from pydantic import BaseModel, ConfigDict, TypeAdapter, ValidationError

from harness.errors import ParameterError, SpaceError, UnknownNameError
from harness.files import shipped_folders
from harness.models.base import IterativeRecommender, Recommender
from harness.models.families import file_of, reference_of
from harness.models.hyperparameters import domains
from harness.plain import Params, ParamValue
from harness.search.distributions import (
    Categorical,
    Distribution,
    Epochs,
    Fixed,
    Float,
    Int,
    Value,
    is_multiple,
)
from harness.toml import Habits, as_sentence, broken_rule, first_problem, line_of

__all__ = ["SearchSpace", "find_space", "load_space", "read_settings", "space_toml"]


class StudyFile(Habits, BaseModel):
    """A search space: what a study samples, and where it starts.

    Parameters
    ----------
    family : str
        Name of the family of models.
    parameters : mapping
        Hyperparameter to distribution, in the order of sampling.
    initial : mapping, optional
        Hyperparameters of trial 0.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    HABITS: ClassVar[Mapping[str, str]] = {
        "model": "family",
        "space": "parameters",
        "trials": "It is an option of the command line: --trials.",
        "seed": "It is an option of the command line: --seed.",
        "metric": "It is an option of the command line: --metric.",
    }
    OTHER_KEYS: ClassVar[str] = (
        "Hyperparameters belong below [parameters], or below [initial] for trial 0."
    )

    family: str
    parameters: Mapping[str, Distribution]
    initial: Mapping[str, Value] = {}


class Complaint:
    """Builds errors that name file, line and key.

    Parameters
    ----------
    path : Path
        The file.
    text : str
        Its content.
    """

    def __init__(self, path: Path, text: str) -> None:
        self._path = path
        self._text = text

    def __call__(self, key: str, rule: str, table: str = "parameters") -> SpaceError:
        """Make the error for a key that breaks a rule; a table "" is the whole file."""
        line = line_of(self._text, f"{table}.{key}".removeprefix("."))
        where = f"{self._path}:{line}" if line else str(self._path)
        return SpaceError(f"{where}: {key}: {rule}")

    def about_validation(self, error: ValidationError) -> SpaceError:
        """Say the first thing that is wrong with the form of the file."""
        first = first_problem(error)
        rule = broken_rule(first, StudyFile)
        location = [str(part) for part in first["loc"]]
        if location[:1] in (["parameters"], ["initial"]) and len(location) > 1:
            # The discriminator's tag ("int") stands between parameter and field.
            field = ".".join(location[3:])
            rule = f"{field + ': ' if field else ''}{rule}"
            return self(location[1], as_sentence(rule), location[0])
        return self(".".join(location), as_sentence(rule), "")


def _check_names(
    content: StudyFile, family: type[Recommender], complain: Complaint
) -> None:
    known = [f.name for f in fields(family) if f.init and f.name != "seed"]
    for name, distribution in content.parameters.items():
        if name not in known:
            unknown = UnknownNameError(f"hyperparameter of {family.name}", name, known)
            raise complain(name, str(unknown))
        if isinstance(distribution, Epochs) and (
            name != "n_epochs" or not issubclass(family, IterativeRecommender)
        ):
            raise complain(
                name, 'type "epochs" is for n_epochs of families trained in epochs.'
            )
    for name in content.initial:
        if name not in known:
            unknown = UnknownNameError(f"hyperparameter of {family.name}", name, known)
            raise complain(name, str(unknown), "initial")


def _check_conditions(content: StudyFile, complain: Complaint) -> None:
    above: dict[str, Distribution] = {}
    for name, distribution in content.parameters.items():
        if isinstance(distribution, Epochs) and distribution.when:
            raise complain(name, 'when: type "epochs" takes no condition.')
        for other, wanted in (distribution.when or {}).items():
            if other not in above or isinstance(above[other], Epochs):
                raise complain(
                    name, f"when: {other!r} must be a parameter that stands above it."
                )
            _check_reachable(name, other, wanted, above[other], complain)
        above[name] = distribution


def _check_reachable(
    name: str, other: str, wanted: Any, above: Distribution, complain: Complaint
) -> None:
    if not isinstance(above, Categorical | Fixed):
        return
    possible = above.corners()
    for value in wanted if isinstance(wanted, tuple) else (wanted,):
        if value not in possible:
            raise complain(
                name,
                f"when: {other!r} is never {value!r}: choose from {possible}, or leave "
                f"{name} out.",
            )


def _check_domains(
    content: StudyFile, family: type[Recommender], complain: Complaint
) -> None:
    allowed = domains(family)
    values = [(n, v) for n, d in content.parameters.items() for v in d.corners()]
    for name, value in [*values, *content.initial.items()]:
        rule = allowed[name].broken_rule(value)
        if rule:
            raise complain(name, f"{rule}, but can be {value!r} here.")
    for name, value in values:
        # What a family asks of several values together, or checks by itself.
        try:
            family(**{name: value})
        except (ParameterError, TypeError) as error:
            raise complain(name, str(error)) from error


def check_parameters(
    content: StudyFile, family: type[Recommender], complain: Complaint
) -> None:
    """Check names, conditions and values against the family."""
    _check_names(content, family, complain)
    _check_conditions(content, complain)
    _check_domains(content, family, complain)


def check_initial(content: StudyFile, initial: Params, complain: Complaint) -> None:
    """Check that the initial settings lie in the space."""
    for name, distribution in content.parameters.items():
        value = initial[name]
        if not _holds(distribution, value):
            raise complain(
                name,
                f"the initial value {value!r} must lie in the space: widen it, "
                "or set another one under [initial].",
            )
        if not isinstance(distribution, Int | Float) or distribution.step is None:
            continue
        assert isinstance(value, int | float), "the range holds it"
        if not is_multiple(value - distribution.low, distribution.step):
            raise complain(
                name,
                f"the initial value {value!r} must be low plus a multiple of step: "
                "change them, or set another one under [initial].",
            )


def _holds(distribution: Distribution, value: Any) -> bool:
    if isinstance(distribution, Categorical):
        return value in distribution.choices
    if isinstance(distribution, Int | Float):
        return value is not None and distribution.low <= value <= distribution.high
    return True


def _why_outside(distribution: Distribution, value: Any) -> str | None:
    """Say how a value must be to lie in a distribution, unless it does."""
    whole = isinstance(distribution, Int | Epochs)
    kind = int if whole else int | float
    if (whole or isinstance(distribution, Float)) and (
        not isinstance(value, kind) or isinstance(value, bool)
    ):
        return "must be a whole number" if whole else "must be a number"
    if isinstance(distribution, Fixed) and value != distribution.value:
        return f"must be left out, or be {distribution.value!r}, as the space fixes it"
    if not _holds(distribution, value):
        if isinstance(distribution, Categorical):
            return f"must be one of {', '.join(map(repr, distribution.choices))}"
        assert isinstance(distribution, Int | Float), "the others hold anything"
        return f"must be between {distribution.low:g} and {distribution.high:g}"
    if (
        isinstance(distribution, Int | Float)
        and distribution.step is not None
        and not is_multiple(value - distribution.low, distribution.step)
    ):
        step = f"a multiple of {distribution.step:g}"
        return f"must be {distribution.low:g} plus {step}"
    return None


@dataclass(frozen=True)
class SearchSpace:
    """What a study samples, and where it starts."""

    # What `load_family` takes to find the family.
    family: str
    # Name of a hyperparameter to its distribution, in the order of sampling.
    distributions: Mapping[str, Int | Float | Categorical | Fixed | Epochs]
    # Hyperparameters of trial 0; those not named have their defaults.
    initial: Params
    # The file it was read from.
    source: str
    # What trials 1, 2, ... have; a sampler draws what they do not name.
    enqueue: tuple[Params, ...] = ()

    @property
    def epochs(self) -> Epochs | None:
        """How the number of epochs is found on the way, where it is."""
        found = (d for d in self.distributions.values() if isinstance(d, Epochs))
        return next(found, None)

    @property
    def searched(self) -> dict[str, Int | Float | Categorical]:
        """The distributions that a sampler draws from."""
        return {
            name: d
            for name, d in self.distributions.items()
            if isinstance(d, Int | Float | Categorical)
        }

    def suggest(self, trial: optuna.Trial) -> dict[str, ParamValue]:
        """Draw the active hyperparameters, and record them on `trial`."""
        return self._complete(lambda name, found: found.suggest(trial, name))

    def complete(self, drawn: Params) -> dict[str, ParamValue]:
        """Add what is fixed to what was drawn."""
        return self._complete(lambda name, _: drawn[name])

    def _complete(
        self, draw: Callable[[str, Int | Float | Categorical], Any]
    ) -> dict[str, ParamValue]:
        params: dict[str, ParamValue] = {}
        for name, distribution in self.distributions.items():
            if not distribution.is_active(params):
                continue
            if isinstance(distribution, Fixed):
                params[name] = distribution.value
            elif not isinstance(distribution, Epochs):
                params[name] = draw(name, distribution)
        return params

    def without_times(self, values: Mapping[str, Value]) -> "SearchSpace":
        """Fix what can do nothing where ratings have no times, and drop what hangs on it."""
        fixed = {
            n: Fixed(type="fixed", value=values[n])
            for n in values
            if n in self.distributions
        }
        known = {name: values[name] for name in fixed}
        found: dict[str, Distribution] = {
            name: fixed.get(name, distribution)
            for name, distribution in self.distributions.items()
            if distribution.can_be_active(known)
        }
        initial = {n: v for n, v in {**self.initial, **values}.items() if n in found}
        enqueue = tuple(
            {n: v for n, v in each.items() if n in found and n not in fixed}
            for each in self.enqueue
        )
        return replace(self, distributions=found, initial=initial, enqueue=enqueue)

    def starting_with(self, settings: Sequence[Params], where: str) -> "SearchSpace":
        """Try some settings right after trial 0; `where` is where they are written."""
        found = [
            self.searched_of(each, f"{where}: settings {number}")
            for number, each in enumerate(settings, 1)
        ]
        return replace(self, enqueue=(*self.enqueue, *found))

    def searched_of(self, settings: Params, where: str) -> Params:
        """Take what is searched of some settings, which must lie in the space."""
        for name, value in settings.items():
            if name not in self.distributions:
                known = self.distributions
                unknown = UnknownNameError("parameter in this space", name, known)
                raise SpaceError(f"{where}: {unknown}")
            rule = _why_outside(self.distributions[name], value)
            if rule:
                raise SpaceError(f"{where}: {name}: {rule}, but is {value!r}.")
        found = {name: v for name, v in settings.items() if name in self.searched}
        if not found:
            names = ", ".join(self.searched) or "nothing"
            raise SpaceError(
                f"{where}: there must be something that is searched. That is {names}."
            )
        return found

    def initial_point(self) -> dict[str, ParamValue]:
        """Collect what trial 0 has for the hyperparameters that are searched."""
        return {name: self.initial[name] for name in self.searched}


def find_space(name: str) -> Path:
    """Look up a search space: a path, then ``./studies``, then the shipped ones."""
    if name.endswith(".toml"):
        if Path(name).is_file():
            return Path(name)
        raise SpaceError(f"{name}: there is no such file.")
    folders = [Path("studies"), *shipped_folders("studies")]
    for folder in folders:
        if (folder / f"{name}.toml").is_file():
            return folder / f"{name}.toml"
    known = {path.stem for folder in folders for path in folder.glob("*.toml")}
    raise UnknownNameError("search space", name, known)


def space_of(family: type[Recommender]) -> Path:
    """Look up the search space of a family: beside its file, or by its name."""
    file = file_of(family)
    if file is None:
        return find_space(family.name)
    beside = file.with_suffix(".toml")
    if beside.is_file():
        return beside
    try:
        return find_space(family.name)
    except UnknownNameError as error:
        raise SpaceError(
            f"The family {family.name!r} needs a search space: write {beside.name} beside "
            f"{file.name}, or studies/{family.name}.toml, with the line "
            f'family = "{family.name}" and, under [parameters], a range for each of '
            f"{', '.join(n for n in domains(family) if n != 'seed') or 'nothing'}."
        ) from error


def load_space(
    path: Path,
    family: type[Recommender],
    *,
    parameters: Mapping[str, Distribution] = MappingProxyType({}),
    initial: Params = MappingProxyType({}),
) -> SearchSpace:
    """Read a search space, and check it against its family."""
    text = _read(path)
    complain = Complaint(path, text)
    try:
        content = StudyFile.model_validate(tomllib.loads(text))
    except tomllib.TOMLDecodeError as error:
        raise SpaceError(f"{path}: is not valid TOML: {error}.") from error
    except ValidationError as error:
        raise complain.about_validation(error) from error
    if content.family != family.name:
        raise complain(
            "family", f"must be {family.name!r}, but is {content.family!r}.", ""
        )
    there = {
        name: narrowed
        for name, distribution in content.parameters.items()
        if (narrowed := _narrowed(distribution, parameters)) is not None
    }
    content = content.model_copy(
        update={
            "parameters": {**there, **parameters},
            "initial": {**content.initial, **initial},
        }
    )
    check_parameters(content, family, complain)
    start = _initial(content, family)
    check_initial(content, start, complain)
    return SearchSpace(reference_of(family), content.parameters, start, str(path))


def _narrowed(
    distribution: Distribution, given: Mapping[str, Distribution]
) -> Distribution | None:
    """Leave of a condition what is possible by what an experiment gives, if anything."""
    when = dict(distribution.when or {})
    for name, wanted in when.items():
        above = given.get(name)
        if isinstance(above, Categorical | Fixed):
            values = wanted if isinstance(wanted, tuple) else (wanted,)
            left = tuple(value for value in values if value in above.corners())
            if not left:
                return None
            when[name] = left if isinstance(wanted, tuple) else wanted
    return distribution.model_copy(update={"when": when}) if when else distribution


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise SpaceError(f"{path}: cannot be read: {error}.") from error


_SETTINGS: TypeAdapter[Params | tuple[Params, ...]] = TypeAdapter(
    Params | tuple[Params, ...]
)


def read_settings(path: Path) -> tuple[Params, ...]:
    """Read settings from a JSON file: one object, or a list of them."""
    try:
        found = _SETTINGS.validate_json(_read(path))
    except ValidationError as error:
        raise SpaceError(
            f"{path}: must be JSON with one object of settings, as in "
            '{"n_factors": 50}, or a list of such objects.'
        ) from error
    return (found,) if isinstance(found, Mapping) else found


def _initial(content: StudyFile, family: type[Recommender]) -> dict[str, ParamValue]:
    defaults = {
        f.name: f.default
        for f in fields(family)
        if f.init and f.name != "seed" and f.default is not MISSING
    }
    fixed = {
        name: d.value for name, d in content.parameters.items() if isinstance(d, Fixed)
    }
    names = {*content.parameters, *content.initial}
    complete = defaults | fixed | dict(content.initial)
    return {name: value for name, value in complete.items() if name in names}


def space_toml(family: str, space: Mapping[str, Distribution], initial: Params) -> str:
    """Write a search space so that `load_space` reads the same."""
    parameters = {
        name: distribution.model_dump(mode="json", exclude_none=True)
        for name, distribution in space.items()
    }
    return tomli_w.dumps(
        {"family": family, "parameters": parameters, "initial": initial}
    )
