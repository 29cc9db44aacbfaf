"""Experiment files: found, read, and checked before anything runs."""

import math
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import fields
from pathlib import Path

from pydantic import ValidationError

from harness.data.profile import published_characteristics
from harness.errors import (
    ExperimentError,
    HarnessError,
    SpaceError,
    UnknownNameError,
    UnsupportedError,
)
from harness.evaluation.measures import MEASURES
from harness.evaluation.requirements import find_objectives, find_requirements
from harness.evaluation.results import BIAS_BASELINE, MEAN_BASELINE
from harness.experiment.claims import NO_FIGURE
from harness.experiment.measured import DATA, PARAM, check_metric
from harness.experiment.spec import (
    WINNER,
    Claim,
    Criterion,
    ExperimentSpec,
    FamilySpec,
)
from harness.files import find_experiment
from harness.models.base import Recommender
from harness.models.blend import Blend
from harness.models.families import load_family
from harness.search.distributions import Float, Value
from harness.search.space import SearchSpace, find_space, load_space, space_of
from harness.toml import as_sentence, broken_rule, first_problem, line_of

__all__ = [
    "complaint",
    "complaints",
    "find_spaces",
    "load_experiment",
]


def complaints(spec: ExperimentSpec) -> Iterator[tuple[str, str]]:
    """Find what is wrong with a file that is well-formed."""
    if WINNER in spec.families:
        yield (
            f"families.{WINNER}",
            f"{WINNER!r} stands for the family that is chosen: take another key.",
        )
    yield from _about_labels(spec)
    yield from _about_blends(spec)
    yield from _about_variants(spec)
    yield from _about_decision(spec)
    yield from _about_search(spec)
    for position, criterion in enumerate(spec.criteria):
        for key, rule in _about_criterion(spec, criterion):
            yield f"criteria.{position}.{key}", rule
    for position, claim in enumerate(spec.claims):
        for key, rule in _about_claim(spec, claim):
            yield f"claims.{position}.{key}", rule


def _about_labels(spec: ExperimentSpec) -> Iterator[tuple[str, str]]:
    """Refuse names that two families share: no reader could tell them apart."""
    labels = [spec.label(candidate) for candidate in spec.families]
    for candidate, entry in spec.families.items():
        if entry.label is not None and labels.count(entry.label) > 1:
            yield (
                f"families.{candidate}.label",
                f"{entry.label!r} is the name of another family: choose another.",
            )


def _about_blends(spec: ExperimentSpec) -> Iterator[tuple[str, str]]:
    for candidate, entry in spec.families.items():
        if spec.is_blend(candidate):
            yield from _about_members(spec, candidate)
        elif entry.members is not None:
            rule = "only a blend has members: leave it out."
            yield f"families.{candidate}.members", rule


def _about_members(spec: ExperimentSpec, blend: str) -> Iterator[tuple[str, str]]:
    key, members = f"families.{blend}.members", spec.members(blend)
    for member in members:
        if member not in spec.families:
            known = [c for c in spec.families if not spec.is_blend(c)]
            yield key, str(UnknownNameError("member", member, known))
        elif spec.is_blend(member):
            yield key, f"a blend is made of other families, but {member!r} is a blend."
    if len(set(members)) < max(2, len(members)):
        found = ", ".join(map(repr, members)) or "none"
        where = f"families.{blend}" if spec.families[blend].members is None else key
        yield where, f"a blend needs two or more different families, but has {found}."


def _about_variants(spec: ExperimentSpec) -> Iterator[tuple[str, str]]:
    taken = {BIAS_BASELINE, MEAN_BASELINE, *spec.families}
    taken |= {f"{c}, {role}" for c in spec.families for role in ("initial", "tuned")}
    for position, variant in enumerate(spec.variants):
        if variant.candidate not in spec.families:
            yield f"variants.{position}.candidate", _unknown(spec, variant.candidate)
        elif spec.is_blend(variant.candidate):
            rule = f"{variant.candidate!r} is a blend, of which there are no variants."
            yield f"variants.{position}.candidate", rule
        if not variant.params:
            yield (
                f"variants.{position}.params",
                "a variant must change at least one setting, but params is empty.",
            )
        if variant.name in taken:
            yield (
                f"variants.{position}.name",
                f"{variant.name!r} is the name of another model: choose another.",
            )
        taken.add(variant.name)


def _about_decision(spec: ExperimentSpec) -> Iterator[tuple[str, str]]:
    prefer = spec.decision.prefer
    known = [m.name for m in MEASURES.values() if m.direction is not None]
    for position, name in enumerate(prefer):
        if name not in known:
            error = UnknownNameError("preference", name, known)
            yield "decision.prefer", str(error)
        if name in prefer[:position]:
            yield "decision.prefer", f"{name!r} must be named once only."
    for name in spec.decision.negligible:
        if name not in known:
            error = UnknownNameError("preference", name, known)
            yield f"decision.negligible.{name}", str(error)


def _about_search(spec: ExperimentSpec) -> Iterator[tuple[str, str]]:
    for key, find in (
        ("search.metric", lambda: find_objectives(spec.search.metric)),
        ("search.require", lambda: find_requirements(spec.search.require or ())),
    ):
        try:
            find()
        except HarnessError as error:
            yield key, str(error)


def _about_criterion(
    spec: ExperimentSpec, criterion: Criterion
) -> Iterator[tuple[str, str]]:
    yield from _about_metric(criterion.metric)
    if criterion.candidate != WINNER and criterion.candidate not in spec.families:
        yield "candidate", _unknown(spec, criterion.candidate, WINNER)
    low, high = criterion.at_least, criterion.at_most
    if low is not None and high is not None and low > high:
        yield (
            "at_least",
            f"at_least must not exceed at_most, but at_least={low} and at_most={high}.",
        )


def _about_claim(spec: ExperimentSpec, claim: Claim) -> Iterator[tuple[str, str]]:
    yield from _about_metric(claim.metric)
    is_data = claim.metric.startswith(DATA)
    if is_data and claim.candidate is not None:
        yield (
            "candidate",
            f"{claim.metric!r} belongs to no candidate: leave it out.",
        )
    elif not is_data and claim.candidate is None:
        yield (
            "metric",
            f"{claim.metric!r} needs a candidate: one of {sorted(spec.families)}.",
        )
    elif not is_data and claim.candidate not in spec.families:
        yield "candidate", _unknown(spec, str(claim.candidate))
    yield from _about_value(claim)
    measure = MEASURES.get(claim.metric)
    is_cost = measure is not None and measure.kind == "cost"
    if is_cost and claim.metric != "fit_seconds" and claim.role == "initial":
        yield (
            "role",
            f'{claim.metric!r} is measured of tuned models only: add role = "tuned".',
        )


def _about_value(claim: Claim) -> Iterator[tuple[str, str]]:
    """Refuse texts for numbers: such a claim could never be judged."""
    name = claim.metric.removeprefix(DATA)
    is_text = isinstance(published_characteristics().get(name, 0.0), str)
    if isinstance(claim.value, float):
        if math.isnan(claim.value) or math.isinf(claim.value):
            yield (
                "value",
                f"a published figure must be finite, but it is {claim.value}.",
            )
        if is_text and claim.metric.startswith(DATA):
            yield "value", f"{claim.metric!r} is a text, but value is {claim.value:g}."
    elif (
        not is_text and not claim.metric.startswith(PARAM) and claim.value != NO_FIGURE
    ):
        yield (
            "value",
            f"must be a number or {NO_FIGURE!r}, but it is the text {claim.value!r}.",
        )


def _about_metric(name: str) -> Iterator[tuple[str, str]]:
    try:
        check_metric(name)
    except UnknownNameError as error:
        yield "metric", str(error)


def _unknown(spec: ExperimentSpec, name: str, *also: str) -> str:
    return str(UnknownNameError("candidate", name, [*spec.families, *also]))


EXTENDS = "extends"
MOST_STEPS = 10


def load_experiment(
    path: Path, changes: Mapping[str, object] | None = None
) -> ExperimentSpec:
    """Read an experiment file.

    ``extends = "other"`` takes over what another experiment says; tables are merged key
    by key, everything else is replaced.
    """
    content = _merge(_read(path, MOST_STEPS), changes or {})
    try:
        spec = ExperimentSpec.model_validate(content)
    except ValidationError as error:
        first = first_problem(error)
        rule = broken_rule(first, ExperimentSpec)
        raise complaint(path, _named(first["loc"]), rule) from error
    for key, rule in complaints(spec):
        raise complaint(path, key, rule)
    return spec


def _read(path: Path, steps: int) -> dict[str, object]:
    if steps == 0:
        raise ExperimentError(f"{path}: {EXTENDS} must not lead back to the same file.")
    try:
        content = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        raise ExperimentError(f"{path}: cannot be read: {error}.") from error
    except tomllib.TOMLDecodeError as error:
        raise ExperimentError(f"{path}: is not valid TOML: {error}.") from error
    base = content.pop(EXTENDS, None)
    if base is None:
        return content
    if not isinstance(base, str):
        raise complaint(path, EXTENDS, "must name another experiment")
    beside = path.parent / f"{base.removesuffix('.toml')}.toml"
    found = beside if beside.is_file() else find_experiment(base)
    return _merge(_read(found, steps - 1), content)


def _merge(
    below: Mapping[str, object], above: Mapping[str, object]
) -> dict[str, object]:
    merged = dict(below)
    for key, value in above.items():
        there = merged.get(key)
        if isinstance(value, Mapping) and isinstance(there, Mapping):
            merged[key] = _merge(there, value)
        else:
            merged[key] = value
    return merged


def _named(location: tuple[int | str, ...]) -> str:
    """Write a place as people do, without the tags of unions that pydantic puts in."""
    parts = list(location)
    if parts[:1] == ["families"] and parts[2:3] == ["parameters"] and len(parts) > 4:
        del parts[4]
    if parts[:1] == ["families"] and parts[2:3] == ["initial"]:
        del parts[4:]
    if parts[:1] == ["families"] and parts[2:3] == ["enqueue"]:
        del parts[5:]
    return ".".join(map(str, parts))


def complaint(path: Path, key: str, rule: str) -> ExperimentError:
    """Make the error for a key that breaks a rule."""
    line = line_of(path.read_text(encoding="utf-8"), key)
    where = f"{path}:{line}" if line else str(path)
    return ExperimentError(f"{where}: {key}: {as_sentence(rule)}")


def find_spaces(path: Path | None, spec: ExperimentSpec) -> dict[str, SearchSpace]:
    """Find family and search space of each candidate; without a path of a study."""
    if path is None:
        # A family that does not exist is named before its search space.
        families = {c: load_family(e.family or c) for c, e in spec.families.items()}
        return {
            c: load_space(_space_file(entry, families[c]), families[c]).starting_with(
                entry.enqueue, "enqueue"
            )
            for c, entry in spec.families.items()
        }
    spaces = {c: _space(path, c, entry) for c, entry in spec.families.items()}
    _check_variants(path, spec, spaces)
    _check_claims(path, spec, spaces)
    return spaces


def _space(path: Path, candidate: str, entry: FamilySpec) -> SearchSpace:
    name = entry.family or candidate
    try:
        family = load_family(name)
    except (UnknownNameError, UnsupportedError) as error:
        raise complaint(path, f"families.{candidate}.family", str(error)) from error
    file = _space_file(entry, family)
    try:
        space = load_space(
            file, family, parameters=entry.parameters, initial=entry.initial
        )
    except HarnessError as error:
        if not (entry.parameters or entry.initial):
            raise
        raise complaint(path, f"families.{candidate}", str(error)) from error
    try:
        return _starting(space, family, entry)
    except SpaceError as error:
        raise complaint(path, f"families.{candidate}", str(error)) from error


def _starting(
    space: SearchSpace, family: type[Recommender], entry: FamilySpec
) -> SearchSpace:
    """Start where the entry says, a blend with the weights of least squares."""
    free: dict[str, Value] = {
        name: 0.0
        for name, distribution in space.searched.items()
        if isinstance(distribution, Float) and distribution.low == 0
    }
    if family is Blend and free:
        space = space.starting_with([free], "enqueue")
    return space.starting_with(entry.enqueue, "enqueue")


def _space_file(entry: FamilySpec, family: type[Recommender]) -> Path:
    return find_space(entry.space) if entry.space else space_of(family)


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
