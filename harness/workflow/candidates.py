"""The names that an experiment file takes from families: looked up before anything runs."""

from collections.abc import Mapping
from dataclasses import fields
from pathlib import Path

from harness.errors import HarnessError, UnknownNameError
from harness.experiment.file import complaint
from harness.experiment.measures import PARAM
from harness.experiment.spec import Claim, Criterion, ExperimentSpec, FamilySpec
from harness.models.families import load_family
from harness.search.space import SearchSpace, find_space, load_space

__all__ = ["find_spaces"]


def find_spaces(path: Path, spec: ExperimentSpec) -> dict[str, SearchSpace]:
    """Find family and search space of each candidate.

    Parameters
    ----------
    path : Path
        The experiment file, for messages.
    spec : ExperimentSpec
        What it says.

    Returns
    -------
    dict of str to SearchSpace
        Candidate to its space.

    Raises
    ------
    ExperimentError
        If there is no such family, or it does not have the settings that candidates,
        variants, claims or criteria name: says file and key.
    """
    spaces = {c: _space(path, c, entry) for c, entry in spec.families.items()}
    _check_variants(path, spec, spaces)
    _check_claims(path, spec, spaces)
    return spaces


def _space(path: Path, candidate: str, entry: FamilySpec) -> SearchSpace:
    name = entry.family or candidate
    try:
        family = load_family(name)
    except UnknownNameError as error:
        raise complaint(path, f"families.{candidate}.family", str(error)) from error
    file = find_space(entry.space or name)
    try:
        return load_space(
            file, family, parameters=entry.parameters, initial=entry.initial
        )
    except HarnessError as error:
        if not (entry.parameters or entry.initial):
            raise
        raise complaint(path, f"families.{candidate}", str(error)) from error


def _check_variants(
    path: Path, spec: ExperimentSpec, spaces: Mapping[str, SearchSpace]
) -> None:
    for position, variant in enumerate(spec.variants):
        space = spaces[variant.candidate]
        try:
            load_family(space.family)(**{**space.initial, **variant.params})
        except (HarnessError, TypeError) as error:
            key = f"variants.{position}.params"
            raise complaint(path, key, f"{variant.name!r}: {error}") from error


def _check_claims(
    path: Path, spec: ExperimentSpec, spaces: Mapping[str, SearchSpace]
) -> None:
    """Refuse figures of settings that the family does not have."""
    entries: dict[str, Claim | Criterion] = {
        **{f"claims.{k}": claim for k, claim in enumerate(spec.claims)},
        **{f"criteria.{k}": criterion for k, criterion in enumerate(spec.criteria)},
    }
    for key, entry in entries.items():
        name, space = entry.metric.removeprefix(PARAM), spaces.get(str(entry.candidate))
        if name == entry.metric or space is None:
            continue
        family = load_family(space.family)
        known = [f.name for f in fields(family) if f.init]
        if name not in known:
            unknown = UnknownNameError(f"hyperparameter of {family.name}", name, known)
            raise complaint(path, f"{key}.metric", str(unknown))
