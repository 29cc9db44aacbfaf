"""The families beside each other: error, cold start, lists, costs, variants."""

from collections.abc import Iterator, Mapping
from itertools import combinations
from typing import Any

from harness.experiment.decision import CHANCE, beats_bias_of
from harness.experiment.measures import measured
from harness.experiment.results import ExperimentRecord
from harness.formatting import Comparison, interval, stars
from harness.report.context import (
    LONGEST,
    Draft,
    Model,
    baselines,
    compare,
    label,
    name_of,
    paragraphs,
    rivals,
    tuned_models,
    write,
    write_published,
)
from harness.report.figures import draw_depth, draw_rmse
from harness.report.figures.results import FEWEST_PAIRS, draw_pareto, pareto_front
from harness.report.markdown import escape, table
from harness.report.verdict import reasons

__all__ = ["beyond_accuracy", "cold_start", "comparison", "efficiency", "pairs"]


def comparison(draft: Draft) -> str:
    """Lay the RMSE of all models side by side, and say what speaks for each family."""
    record, decision = draft.record, draft.decision
    if decision is None:
        return ""
    return paragraphs(
        "## RMSE of all families",
        _family_table(draft),
        _how(record),
        _about_bias(record),
        _about_tuning(record),
        draft.figure(
            draw_rmse,
            "rmse.png",
            "Test RMSE: published, initial and tuned, all families",
        ),
        _notes(record),
    )


def _family_table(draft: Draft) -> str:
    record = draft.record
    models = [*tuned_models(record), *baselines(record)]
    models.sort(key=lambda model: model["metrics"]["rmse"]["value"])
    ranks = {m["name"]: k for k, m in enumerate(tuned_models(record), 1)}
    rows = [_family_row(draft, model, ranks.get(model["name"])) for model in models]
    judged = {model["candidate"] for model in models}
    rows += [
        [label(record, c), _published(draft, c), "-", "not judged", "-", "-", "-"]
        for c in record.spec.families
        if c not in judged
    ]
    head = ["family", "published", "initial", "tuned [95 % interval]", "rank"]
    head += ["p, against the best", "for and against"]
    return table(head, rows, align="lrrrrrl")


def _family_row(draft: Draft, model: Model, rank: int | None) -> list[str]:
    record = draft.record
    decision, candidate = draft.decision, model["candidate"]
    assert decision is not None
    chosen = candidate is not None and candidate == decision.winner
    name = name_of(record, model)
    rmse = interval("rmse", model["metrics"]["rmse"])
    if candidate is None:
        return [f"*baseline:* {name}", "-", "-", rmse, "-", _p(draft, model), "-"]
    initial = record.model(candidate, "initial")
    is_tied = bool(decision.tied) and candidate in decision.contenders
    return [
        f"**{name}** (chosen)" if chosen else name,
        _published(draft, candidate),
        stars(initial["metrics"]["rmse"]["value"]) if initial else "-",
        f"**{rmse}**" if chosen else rmse,
        f"{rank} (tied)" if is_tied else str(rank),
        _p(draft, model),
        reasons(record, candidate),
    ]


def _published(draft: Draft, candidate: str) -> str:
    return write_published("rmse", draft.published("rmse", candidate))


def _p(draft: Draft, model: Model) -> str:
    assert draft.decision is not None
    best = draft.record.model(draft.decision.best)
    found = compare(draft.record, model, best)
    return "-" if found is None else found.p_text.removeprefix("= ")


def _how(record: ExperimentRecord) -> str:
    final = record.final or {}
    n_seeds = len(final.get("seeds", ()))
    users = f" of {final['n_test_users']:,} users" if "n_test_users" in final else ""
    return (
        f"RMSE in stars on the sealed test set, {final.get('n_test', 0):,} ratings{users}, "
        f"after training on the whole training part, with {n_seeds} seeds where models "
        "draw random numbers (means over them). Intervals count that ratings of one user "
        "and of one title are not independent (two-way clustered standard errors). They "
        "are wide because users and titles differ; models are compared on the same "
        "ratings, so their differences are known better. p: of no "
        "difference to the lowest RMSE, corrected for all pairs (Holm); it decides who is "
        "tied. Intervals of differences are not corrected, so that one may exclude zero "
        "where p does not."
        + (
            " Cold users and titles have at most 5 training ratings."
            if _speaks_of_cold(record)
            else ""
        )
    )


def _speaks_of_cold(record: ExperimentRecord) -> bool:
    return any(
        " cold " in reasons(record, model["candidate"])
        for model in tuned_models(record)
    )


def _about_bias(record: ExperimentRecord) -> str:
    """Name the families that are not worth their cost."""
    bias = record.baseline()
    lines = []
    for model in tuned_models(record):
        found = compare(record, model, bias)
        if bias is None or found is None or beats_bias_of(record, model["candidate"]):
            continue
        how = (
            f"the difference of {found.size} stars may be chance (p {found.p_text})"
            if found.outcome == "tied"
            else f"it is worse by {found.size} stars (p {found.p_text})"
        )
        lines.append(
            f"- {name_of(record, model)} **does not beat the {escape(bias['name'])} "
            f"baseline**: {how}."
        )
    return "\n".join(lines)


def _about_tuning(record: ExperimentRecord) -> str:
    """Say what tuning is worth for each family."""
    lines = []
    for model in tuned_models(record):
        initial = record.model(model["candidate"], "initial")
        found = compare(record, model, initial)
        if found is None:
            continue
        if initial is not None and _is_part(model["params"], initial["params"]):
            name = name_of(record, model)
            lines.append(f"- {name}: the same, for the search has found none better")
            continue
        if found.low == found.high == 0:
            lines.append(f"- {name_of(record, model)}: the same predictions")
            continue
        verb = {"better": "lower by", "worse": "**higher** by"}.get(
            found.outcome, "indistinguishable, they differ by"
        )
        lines.append(
            f"- {name_of(record, model)}: {verb} {found.size} stars (p {found.p_text})"
        )
    head = "The RMSE of the tuned settings, compared with that of the initial ones:"
    return paragraphs(head, "\n".join(lines)) if lines else ""


def _is_part(params: Mapping[str, Any], initial: Mapping[str, Any]) -> bool:
    """Tell whether settings are the initial ones; these also have what is not active."""
    return initial.items() >= params.items()


def _notes(record: ExperimentRecord) -> str:
    lines = [
        f"- {label(record, candidate)}: {escape(family.note, longest=LONGEST)}"
        for candidate, family in record.spec.families.items()
        if family.note
    ]
    return (
        paragraphs("What the initial settings are:", "\n".join(lines)) if lines else ""
    )


def pairs(draft: Draft) -> str:
    """Lay out how any two of the tuned models and the bias baseline differ."""
    record = draft.record
    ranked = sorted(rivals(record), key=lambda m: float(m["metrics"]["rmse"]["value"]))
    found = [_pair_row(record, one, other) for one, other in combinations(ranked, 2)]
    rows = [row for row in found if row]
    if len(rows) < 2:
        return ""
    head = ["lower RMSE", "higher RMSE", "higher by, in stars [95 % interval]"]
    head += ["p (Holm)", "in words"]
    return paragraphs(
        "### All pairs",
        table(head, rows, align="llrrl"),
        "Differences of the test RMSE on the same test ratings. "
        f"p: corrected for these {len(rows)} comparisons; a pair with a p of "
        f"{record.spec.decision.significance:g} or more is indistinguishable.",
    )


def _pair_row(record: ExperimentRecord, one: Model, other: Model) -> list[str]:
    """Compare the second with the first, whose RMSE is not above its; empty if untested."""
    difference = compare(record, other, one)
    if difference is None:
        return []
    is_tied = difference.outcome == "tied"
    better, worse = name_of(record, one), name_of(record, other)
    words = "**indistinguishable**" if is_tied else f"{better} is better"
    p_value = difference.p_text.removeprefix("= ")
    return [better, worse, difference.size, p_value, words]


_COLD = ("0", "1-5")
_SIDES = {"users": "user", "items": "title"}


def cold_start(draft: Draft) -> str:
    """Compare the tuned models by the number of training ratings."""
    record = draft.record
    models = [m for m in rivals(record) if m.get("depth")]
    if not models:
        return ""
    parts = []
    for side, one in _SIDES.items():
        parts += [
            f"### By the ratings of the {one}",
            _cold_start_table(record, models, side),
            _about_coldest(record, models, side),
        ]
    return paragraphs(
        "## Cold start",
        "RMSE on the test set by how many training ratings the user, or the title, of a "
        "pair has; in brackets 95 % intervals, where there are at "
        f"least {FEWEST_PAIRS} pairs.",
        draft.figure(draw_depth, "depth.png", "RMSE by the number of training ratings"),
        *parts,
    )


def _groups(models: list[Model], side: str) -> list[dict[str, Any]]:
    """Find the depths that have test pairs; the pairs are the same for all models."""
    return [group for group in models[0]["depth"][side] if group["n_pairs"]]


def _cold_start_table(record: ExperimentRecord, models: list[Model], side: str) -> str:
    groups = _groups(models, side)
    rows = [["test pairs", *(f"{group['n_pairs']:,}" for group in groups)]]
    for model in models:
        cells = {group["depth"]: _cell(group) for group in model["depth"][side]}
        rows.append([name_of(record, model), *(cells[g["depth"]] for g in groups)])
    head = ["training ratings", *(group["depth"] for group in groups)]
    return table(head, rows, align="l" + "r" * len(groups))


def _cell(group: dict[str, Any]) -> str:
    if group["value"] is None:
        return "-"
    # Three decimals: these groups are small, and their intervals wide.
    value = f"{group['value']:.3f}"
    known = group.get("low") is not None and group.get("high") is not None
    if not known or group["n_pairs"] < FEWEST_PAIRS:
        return value
    return f"{value} [{group['low']:.3f}, {group['high']:.3f}]"


def _about_coldest(record: ExperimentRecord, models: list[Model], side: str) -> str:
    """Say who is best where ratings are fewest, and how much worse it is there."""
    groups = [g for g in _groups(models, side) if g["n_pairs"] >= FEWEST_PAIRS]
    if not groups:
        return f"There are fewer than {FEWEST_PAIRS} test pairs of each: too few to compare."
    coldest = groups[0]["depth"]
    others = len(_groups(models, side)) > 1
    only = _about_only(coldest, side, others=others) if len(groups) == 1 else ""
    if only and coldest not in _COLD:
        return only
    warmest = groups[-1]["depth"] if len(groups) > 1 else None
    ends = _about_ends(record, models, side, (coldest, warmest))
    return " ".join(filter(None, [only, ends, *_kin(record, models, side, coldest)]))


def _about_only(depth: str, side: str, *, others: bool) -> str:
    """Say what it means that all test pairs, but for a few others, are of one depth."""
    told = (
        "all that this report says of errors is about cold start"
        if depth in _COLD
        else "this split says little about cold start"
    )
    return (
        f"All{' but a few' if others else ''} test pairs have a {_SIDES[side]} with "
        f"{_amount(depth)} training ratings: {told}."
    )


def _about_ends(
    record: ExperimentRecord,
    models: list[Model],
    side: str,
    depths: tuple[str, str | None],
) -> str:
    """Name the best and the worst at the coldest depth, and the best at the warmest."""
    coldest, warmest = depths
    at = _errors(models, side)
    best = min(models, key=lambda m: at[m["name"]][coldest])
    worst = max(models, key=lambda m: at[m["name"]][coldest])
    here = f"{at[best['name']][coldest]:.3f} stars"
    if warmest is not None:
        here += f"; {at[best['name']][warmest]:.3f} with {_amount(warmest)}"
    sentence = (
        f"With {_amount(coldest)} training ratings {name_of(record, best)} errs least "
        f"({here})"
    )
    if best is worst:
        return sentence + "."
    sure = _how_sure(record, (worst, best), side=side, depth=coldest)
    return (
        f"{sentence}, {name_of(record, worst)} most ({at[worst['name']][coldest]:.3f}); "
        f"{sure}."
    )


def _errors(models: list[Model], side: str) -> dict[str, dict[str, float]]:
    return {
        m["name"]: {g["depth"]: g["value"] for g in m["depth"][side]} for m in models
    }


def _kin(
    record: ExperimentRecord, models: list[Model], side: str, depth: str
) -> Iterator[str]:
    """Compare entries of one family: what sets them apart may be made for cold start."""
    at = _errors(models, side)
    tuned = [m for m in models if m["role"] == "tuned"]
    for pair in combinations(tuned, 2):
        if pair[0]["family"] != pair[1]["family"]:
            continue
        one, other = sorted(pair, key=lambda m: at[m["name"]][depth])
        sure = _how_sure(record, (other, one), side=side, depth=depth)
        yield (
            f"Of the same family, {name_of(record, one)} errs less there "
            f"({at[one['name']][depth]:.3f}) than {name_of(record, other)} "
            f"({at[other['name']][depth]:.3f}); {sure}."
        )


def _how_sure(
    record: ExperimentRecord, models: tuple[Model, Model], *, side: str, depth: str
) -> str:
    """Compare worst and best on the same pairs, which intervals of each cannot."""
    names = [model["name"] for model in models]
    found = record.depth_difference(*names, side=side, depth=depth)
    if found is None:
        return "they were not compared, so this may be chance"
    comparison = Comparison(
        other=names[1],
        value=found["value"],
        low=found["low"],
        high=found["high"],
        p_value=found["p_holm"],
        significance=record.spec.decision.significance,
    )
    size = f"on the same pairs they differ by {comparison.size} stars"
    if comparison.outcome == "tied":
        return f"{size}, which may be chance (p {comparison.p_text})"
    return f"{size}, beyond chance (p {comparison.p_text})"


def _amount(depth: str) -> str:
    if depth == "0":
        return "no"
    return depth.replace(">", "more than ").replace("-", " to ")


COLUMNS = {
    "ndcg_at_10": "NDCG@10",
    "recall_at_10": "recall@10",
    "catalogue_coverage": "catalogue shown",
    "intra_list_diversity": "diversity",
    "novelty": "novelty",
    "serendipity": "serendipity",
}
DEFINITIONS = """\
- NDCG@10, recall@10: whether a user's top 10 holds the titles that the user has liked in \
the test set (from three quarters up the scale), and near its top. Low values are usual, \
for most titles that a user would like have no rating there. ±: 95 % interval of \
NDCG, for other users would have given another mean.
- Catalogue shown: share of all titles that are in the top 10 of one of these users.
- Diversity: how different the titles of one list are in genre and decade, from 0 to 1.
- Novelty: in bits, how few of the users have rated a recommended title.
- Serendipity: share of a list that is liked, and is not among the most rated titles."""


def beyond_accuracy(draft: Draft) -> str:
    """Compare the top tens of the tuned models."""
    record = draft.record
    ranked = [m for m in rivals(record) if m.get("ranking")]
    if not ranked:
        return ""
    return paragraphs(
        "## Beyond accuracy",
        f"{_whose(record, ranked[0])} The highest value of a column is bold.",
        _beyond_accuracy_table(record, ranked),
        DEFINITIONS,
    )


def _whose(record: ExperimentRecord, model: Model) -> str:
    """Say whose lists these are, and of how many of them hits can be expected."""
    n_asked, n_all = (
        model["ranking"].get("n_users"),
        (record.final or {}).get("n_test_users"),
    )
    if not n_asked or not n_all:
        return "The top 10 of the users of the test set, by each tuned model."
    return (
        f"The top 10 of the {n_all:,} users of the test set, by each tuned model; NDCG, "
        f"recall and serendipity are means over the {n_asked:,} of them who like a title "
        "there."
    )


def _beyond_accuracy_table(record: ExperimentRecord, models: list[Model]) -> str:
    keys = [m["candidate"] or m["name"] for m in models]
    values = {
        metric: [measured(record, metric, key) for key in keys] for metric in COLUMNS
    }
    columns = [_column(metric, values[metric]) for metric in COLUMNS]
    columns[0] = [
        cell + _scatter(model) for cell, model in zip(columns[0], models, strict=True)
    ]
    rows = [
        [name_of(record, model), *cells]
        for model, *cells in zip(models, *columns, strict=True)
    ]
    return table(
        ["tuned model", *COLUMNS.values()], rows, align="l" + "r" * len(COLUMNS)
    )


def _scatter(model: Model) -> str:
    """Write how far NDCG, which can decide between families, reaches by chance."""
    error = model["ranking"].get("ndcg_error")
    return "" if error is None else f" ± {CHANCE * error:.3f}"


def _column(metric: str, values: list[float | None]) -> list[str]:
    known = [value for value in values if value is not None]
    cells = [write(metric, value) for value in values]
    highest = write(metric, max(known)) if known else ""
    if all(cell == cells[0] for cell in cells):
        return cells
    return [f"**{cell}**" if cell == highest else cell for cell in cells]


COSTS = {
    "fit_seconds": "training",
    "latency_p50_ms": "p50",
    "latency_p95_ms": "p95",
    "latency_p99_ms": "p99",
    "peak_memory_bytes": "peak memory",
    "model_bytes": "on disk",
}


def efficiency(draft: Draft) -> str:
    """Say what each tuned model costs."""
    record = draft.record
    if not record.efficiency:
        return ""
    picture = draft.figure(
        draw_pareto, "pareto.png", "RMSE on the test set against latency"
    )
    return paragraphs(
        "## Efficiency",
        _cost_table(record),
        _how_measured(record),
        picture,
        _about_front(record) if picture else "",
    )


def _cost_table(record: ExperimentRecord) -> str:
    rmse = {
        m["candidate"] or m["name"]: interval("rmse", m["metrics"]["rmse"])
        for m in rivals(record)
    }
    order = [c for c in rmse if c in record.efficiency]
    order += [c for c in record.efficiency if c not in rmse]
    rows = [
        [label(record, c)]
        + [write(cost, measured(record, cost, c)) for cost in COSTS]
        + [rmse.get(c, "-").partition(" ")[0]]
        for c in order
    ]
    head = ["tuned model", *COSTS.values(), "test RMSE"]
    return table(head, rows, align="l" + "r" * (len(head) - 1))


def _how_measured(record: ExperimentRecord) -> str:
    first = next(iter(record.efficiency.values()))
    n_calls = first.get("latency_ms", {}).get("n_calls")
    of = f" of {n_calls:,} calls" if n_calls else ""
    titles = f" out of {first['n_titles']:,} titles" if first.get("n_titles") else ""
    return (
        "Each model is trained and asked in a fresh process of its own, warmed up, one "
        f"after the other on the same machine. p50, p95 and p99 are percentiles{of}: the "
        f"time to find one user's top 10{titles}. Peak memory is what training "
        "and asking need on top of Python, the libraries and the data."
    )


def _about_front(record: ExperimentRecord) -> str:
    keys = [m["candidate"] or m["name"] for m in rivals(record)]
    found = {
        key: (measured(record, "latency_p95_ms", key), measured(record, "rmse", key))
        for key in keys
    }
    known = {
        k: (t, e) for k, (t, e) in found.items() if t is not None and e is not None
    }
    names = [label(record, key) for key in known]
    front = pareto_front(list(known.values()))
    if len(front) == 1:
        best = names[front[0]]
        return f"No other model has a lower RMSE than {best}, and none a lower latency."
    return (
        "On the Pareto front, where a lower RMSE is only to be had for a higher latency: "
        f"{', '.join(names[place] for place in front)}."
    )
