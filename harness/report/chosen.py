"""The model that the rule has chosen, and what the models have learnt."""

from collections.abc import Iterator, Sequence

from harness.evaluation.measures import BLOCK, MEASURES, Measure
from harness.evaluation.results import CalibrationGroup, Factor, ModelResult, StarGroup
from harness.experiment.results import ExperimentRecord
from harness.features.blocks import PUBLISHED_WEIGHTS, block_weights
from harness.formatting import percent
from harness.report.claims import published_rmse
from harness.report.context import (
    Context,
    baselines,
    compare,
    error,
    label,
    listed,
    measures_of,
    objective,
    paragraphs,
    tuned_models,
    unit,
)
from harness.report.families import tuning
from harness.report.figures.results import (
    draw_blocks,
    draw_residuals,
    effective_weights,
    star_names,
    statistics_weight,
)
from harness.report.markdown import escape, fold, table
from harness.report.tables import difference_cells, measures_by_model
from harness.search.importance import has_importance

__all__ = ["chosen_model", "explainability"]


def chosen_model(context: Context) -> str:
    """Describe the tuned model of the winner, beside its initial settings and the floor."""
    record, decision = context.record, context.record.decision
    tuned = record.model(decision.winner) if decision is not None else None
    if decision is None or tuned is None:
        return ""
    heading = (
        "## Result on the sealed test set"
        if record.is_study
        else f"## The chosen model: {label(record, decision.winner)}"
    )
    initial = record.model(decision.winner, "initial")
    models = {"initial": initial} if initial else {}
    models |= {escape(model.name): model for model in baselines(record)}
    return paragraphs(
        heading,
        measures_by_model({**models, "tuned": tuned}, _measures(record), last="tuned"),
        _about_intervals(record),
        _beside_published(context, decision.winner, tuned),
        _about_seeds(record, tuned),
        tuning(context),
        _residuals(context, tuned),
    )


def _measures(record: ExperimentRecord) -> list[Measure]:
    """List the measures of accuracy, after the objective where it is none of them."""
    accuracy, first = measures_of(record, "accuracy"), objective(record)
    is_there = any(measure.name == first.name for measure in accuracy)
    return accuracy if is_there else [first, *accuracy]


def _about_intervals(record: ExperimentRecord) -> str:
    judging = record.judging
    assert judging is not None
    if not record.is_study:
        return ""
    return (
        f"RMSE and MAE in {unit(record)}, on {judging.n_test:,} ratings of "
        f"{judging.n_test_users:,} users, after training on the whole training part with "
        f"{len(judging.seeds)} seeds where models draw random numbers. Intervals allow for "
        "ratings that share a user or a title, and for seeds; differences of models are on "
        "the same ratings, and so are known better."
    )


def _beside_published(context: Context, winner: str, tuned: ModelResult) -> str:
    """Lay published figures of the winner beside the measured ones.

    Publications describe the family that they choose more closely than the others: what
    is not said of the winner stands there of the one with the lowest published RMSE.
    """
    record, rows = context.record, []
    for measure in measures_of(record, "accuracy"):
        for candidate in (winner, *list(published_rmse(record))[:1]):
            value = context.published(measure.name, candidate)
            if not isinstance(value, float | int):
                continue
            found = tuned.value(measure.name)
            rows.append(
                [
                    escape(measure.label),
                    measure.given(value),
                    label(record, candidate),
                    measure.format(found),
                ]
            )
            break
    if not rows:
        return ""
    head = ["measure", "published", "of", f"{label(record, winner)}, tuned, here"]
    return paragraphs("### Beside the publication", table(head, rows, align="lrlr"))


def _about_seeds(record: ExperimentRecord, tuned: ModelResult) -> str:
    seeds = () if record.judging is None else record.judging.seeds
    errors = tuned.rmse_by_seed
    if len(errors) < 2 or len(errors) != len(seeds):
        return ""
    shown = ", ".join(
        f"{error(value)} (seed {seed})"
        for seed, value in zip(seeds, errors, strict=True)
    )
    return f"Measures are means over refits. RMSE of each: {shown}."


def _residuals(context: Context, tuned: ModelResult) -> str:
    groups = tuned.residuals.by_star
    if not groups:
        return ""
    names = star_names(groups)
    rows = [
        [
            name,
            f"{group.n:,}",
            # Adding 0 turns -0.0 into 0.0.
            f"{round(group.mean_error, 3) + 0.0:+.3f}",
            error(group.rmse),
        ]
        for name, group in zip(names, groups, strict=True)
    ]
    head = ["rating given", "test ratings", "prediction minus rating, mean", "RMSE"]
    return paragraphs(
        "### Errors by rating, and calibration",
        context.figure(
            draw_residuals,
            "residuals.png",
            "Errors by the rating given, and mean rating against prediction",
        ),
        _about_ends(context.record, groups, names),
        _about_calibration(context.record, tuned.residuals.calibration),
        fold("Errors by rating, as a table", table(head, rows, align="rrrr")),
    )


def _about_ends(
    record: ExperimentRecord, groups: Sequence[StarGroup], names: Sequence[str]
) -> str:
    low, high = groups[0], groups[-1]
    if not (low.mean_error > 0 > high.mean_error):
        return ""
    return (
        "Predictions lie nearer to the mean than ratings do, as they must where they are "
        f"unsure: ratings of {names[0]} are predicted {low.mean_error:.2f} {unit(record)} too "
        f"high on average, ratings of {names[-1]} {-high.mean_error:.2f} too low."
    )


def _about_calibration(
    record: ExperimentRecord, groups: Sequence[CalibrationGroup]
) -> str:
    if not groups:
        return ""
    worst = max(groups, key=lambda group: abs(group.actual - group.predicted))
    gap = worst.actual - worst.predicted
    way = "below" if gap < 0 else "above"
    return (
        f"Calibration: in {len(groups)} groups by prediction, mean rating and mean prediction "
        f"differ by {abs(gap):.2f} {unit(record)} at most (near {worst.predicted:.2f}, where "
        f"ratings lie {way} predictions)."
    )


N_FACTORS = 6
N_TITLES = 3
BLOCKS = tuple(PUBLISHED_WEIGHTS)
STATISTICS = (
    " Statistics (mean rating and popularity of a title, from the ratings of others) are "
    "not part of that sum, but relative to it."
)


def explainability(context: Context) -> str:
    """Show the strongest latent factors, and the weights of content."""
    record = context.record
    body = paragraphs(*_blends(record), *_factors(record), _weights(context))
    return paragraphs("## What the models have learnt", body) if body else ""


def _blends(record: ExperimentRecord) -> Iterator[str]:
    """Show what each blend is made of, and what it gains over each of its members."""
    measure = objective(record)
    head = ["member", "weight", f"{escape(measure.label)} alone", "against the blend"]
    for blend in record.blends:
        mixed, rows = record.model(blend.candidate), []
        for member, weight in sorted(blend.weights.items(), key=lambda p: -p[1]):
            alone = record.model(member)
            found = compare(record, alone, mixed)
            cells = difference_cells(found, measure)[:1] if found else ["-"]
            score = measure.format(record.score(member))
            rows.append([label(record, member), percent(weight, 2), score, *cells])
        yield f"### What {label(record, blend.candidate)} is made of"
        yield table(head, rows, align="lrrr")
    if record.blends:
        yield (
            "Weights by out-of-fold predictions of the training part. Against the blend: "
            "above 0 where the blend is better. A member without weight is neither fitted "
            "nor asked."
        )


def _factors(record: ExperimentRecord) -> list[str]:
    parts: list[str] = []
    for candidate, factors in record.factors.items():
        if not factors:
            continue
        head = ["", "share", "goes with", "titles at one end", "titles at the other"]
        parts += [
            f"### Latent factors: {label(record, candidate)}",
            table(head, map(_factor_row, factors[:N_FACTORS]), align="lrlll"),
        ]
    if parts:
        parts.append(
            "The strongest factors of the tuned model. Share: of the variance of what all "
            "factors add to a prediction. A factor goes with a genre or decade if the "
            "correlation (in brackets) is beyond chance; the sign only says which end."
        )
    return parts


def _factor_row(factor: Factor) -> list[str]:
    goes_with = "-"
    if factor.trait:
        how = "" if factor.correlation is None else f" ({factor.correlation:+.2f})"
        goes_with = f"{escape(factor.trait)}{how}"
    ends = [
        "; ".join(escape(title) for title in titles[:N_TITLES])
        for titles in (factor.positive, factor.negative)
    ]
    return [escape(factor.label), percent(factor.share, 1), goes_with, *ends]


def _weights(context: Context) -> str:
    record = context.record
    tuned = [m for m in tuned_models(record) if block_weights(m.params)]
    if not tuned:
        return ""
    used = any(statistics_weight(model.params) for model in tuned)
    claimed = _claimed(context, [str(model.candidate) for model in tuned])
    rows = [["published", *claimed, *(["-"] if used else [])]] if claimed else []
    rows += [_weight_row(record, model, statistics=used) for model in tuned]
    head = ["", *BLOCKS, *(["statistics"] if used else [])]
    return paragraphs(
        "### Weights of the content blocks",
        context.figure(
            draw_blocks, "blocks.png", "Weights of the content blocks, each family"
        ),
        table(head, rows, align="l" + "r" * (len(head) - 1)),
        _about_weights(record) + (STATISTICS if used else ""),
        _blocks_off(tuned),
    )


def _weight_row(
    record: ExperimentRecord, model: ModelResult, *, statistics: bool
) -> list[str]:
    shares = effective_weights(model.params, model.blocks_off)
    cells = [percent(shares[b], 1) if b in shares else "off" for b in BLOCKS]
    beside = statistics_weight(model.params)
    more = [percent(beside, 1) if beside else "-"] if statistics else []
    return [f"{label(record, str(model.candidate))}, tuned", *cells, *more]


def _claimed(context: Context, candidates: Sequence[str]) -> list[str]:
    """Find the weights that the file claims; empty where it claims none."""
    cells = []
    for block in BLOCKS:
        values = (context.published(f"{BLOCK}{block}", each) for each in candidates)
        found = next((v for v in values if isinstance(v, float | int)), None)
        cells.append(MEASURES[f"{BLOCK}{block}"].format(found))
    return cells if set(cells) != {"-"} else []


def _about_weights(record: ExperimentRecord) -> str:
    drawn = any(has_importance(study) for study in record.studies.values())
    see = " (see importance)" if drawn else ""
    return (
        "The weights of the blocks that have data are normalised to a sum of 100 %. Tuned "
        "weights are those of the best trial; where they hardly matter to the score"
        f"{see}, they are little more than where the search happened to be."
    )


def _blocks_off(tuned: Sequence[ModelResult]) -> str:
    """Say which weights count for nothing, because the catalogue has nothing for them."""
    notes = list(dict.fromkeys(note for model in tuned for note in model.notes))
    if not notes:
        return ""
    return paragraphs(
        "What the catalogue has nothing for counts for nothing, whatever its weight:",
        listed([escape(note) for note in notes]),
    )
