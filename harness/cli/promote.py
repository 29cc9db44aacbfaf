"""``harness promote``: the gate between an experiment and what is served."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any

import typer

from harness.cli.completion import complete_names
from harness.cli.options import StoreOptions, spread_options
from harness.errors import StudyError

if TYPE_CHECKING:
    from harness.serving.promotion import Promotion
    from harness.serving.registry import RegisteredVersion
    from harness.tracking.location import Location

__all__ = ["promote"]


def _bound(name: str, text: str, **more: Any) -> Any:
    panel = "Bounds, besides the criteria of the experiment"
    return typer.Option(name, help=text, rich_help_panel=panel, **more)


@dataclass(frozen=True, kw_only=True)
class BoundOptions:
    """What a model may cost, and what it must cover."""

    max_latency_ms: Annotated[
        float | None,
        _bound(
            "--max-latency-ms",
            "Longest p95 latency of one user's top 10.",
            min=0,
            show_default="20, where no criterion bounds it",
        ),
    ] = None
    max_size_mb: Annotated[
        float | None,
        _bound(
            "--max-size-mb",
            "Largest size of the packaged model.",
            min=0,
            show_default="500, where no criterion bounds it",
        ),
    ] = None
    min_coverage: Annotated[
        float | None,
        _bound(
            "--min-coverage",
            "Smallest share of test pairs whose user and title have training ratings.",
            min=0,
            max=1,
            show_default="0.5, where no criterion bounds it",
        ),
    ] = None
    min_gain: Annotated[
        float | None,
        _bound(
            "--min-gain",
            "Smallest gain in RMSE over user and item bias.",
            show_default="above both baselines, beyond chance",
        ),
    ] = None


@dataclass(frozen=True, kw_only=True)
class Modes:
    """What else to do than to promote."""

    challenger: Annotated[
        bool,
        typer.Option(
            "--challenger", help="Only register it as @challenger, without comparing."
        ),
    ] = False
    rejudge: Annotated[
        bool,
        typer.Option(
            "--rejudge",
            help="If the champion was judged on another test set, compare both on that of "
            "the new model, without the ratings that the champion was trained on.",
        ),
    ] = False
    dry_run: Annotated[
        bool,
        typer.Option(
            "--dry-run",
            help="Say what would happen, and change nothing in MLflow. If that takes "
            "opening the test set, the opening counts.",
        ),
    ] = False
    force: Annotated[
        bool,
        typer.Option(
            "--force", help="Promote even a model that does not beat the baselines."
        ),
    ] = False
    margin: Annotated[
        float | None,
        typer.Option(
            metavar="RMSE",
            min=0,
            help="Smallest difference to the champion that matters: the new model must "
            "be shown not to be worse by that much.",
            show_default="that of the experiment",
        ),
    ] = None
    force_undecided: Annotated[
        bool,
        typer.Option(
            "--force-undecided",
            help="Promote even if the test set cannot tell whether the model is worse.",
        ),
    ] = False
    refit_all: Annotated[
        bool,
        typer.Option(
            "--refit-all",
            help="Serve the same settings, fitted to all ratings. The figures remain those "
            "of the model that was judged, which was fitted to the training part.",
        ),
    ] = False
    rollback: Annotated[
        bool,
        typer.Option("--rollback", help="Swap @champion and @previous."),
    ] = False
    model: Annotated[
        str | None,
        typer.Option(
            metavar="NAME",
            help="Registered model to roll back.",
            show_default="the only one with a champion",
        ),
    ] = None


@spread_options
def promote(
    *,
    source: Annotated[
        str | None,
        typer.Argument(
            metavar="EXPERIMENT|STUDY",
            help="What to promote: the winner of an experiment, or the best of a study.",
            show_default="the only experiment in the storage",
            autocompletion=complete_names,
        ),
    ] = None,
    how: Modes,
    bounds: BoundOptions,
    stores: StoreOptions,
) -> None:
    """Make the winner of an experiment, or the best of a study, the champion.

    It must meet the acceptance criteria of the experiment, beat the baselines beyond
    chance, stay within the bounds, and be shown not to be worse than the champion by the
    margin. That comparison opens the same test set once more, and is stricter each time. If
    everything holds, the model becomes @champion and the old champion @previous; otherwise
    it becomes @challenger, and the exit code is 1.

    Examples
    --------
      harness promote published

      harness promote svd-ott --max-latency-ms 8 --dry-run

      harness promote --rollback
    """
    from rich.console import Console

    console = Console(stderr=True, highlight=False, soft_wrap=True, markup=False)
    location = stores.location()
    if how.rollback:
        _require_alone(source, how, bounds)
        _roll_back(location, how.model)
        return
    _require_for_rollback_only(how.model)
    from harness.cli.compare import only_experiment
    from harness.serving.promotion import Bounds, PromotionSettings
    from harness.serving.promotion import promote as pass_gate

    settings = PromotionSettings(
        name=source or only_experiment(stores.storage),
        storage=stores.storage,
        location=location,
        bounds=Bounds(**vars(bounds)),
        rejudge=how.rejudge,
        dry_run=how.dry_run,
        challenge=how.challenger,
        force=how.force,
        margin=how.margin,
        force_undecided=how.force_undecided,
        refit_all=how.refit_all,
    )
    with console.status("promoting") as status:
        promotion = pass_gate(settings, on_step=status.update)
    _print(promotion, dry_run=how.dry_run)
    if promotion.outcome == "refused":
        raise typer.Exit(1)


def _require_alone(source: str | None, how: Modes, bounds: BoundOptions) -> None:
    if source is not None:
        raise StudyError(
            f"--rollback takes no experiment or study, but got {source!r}: name the "
            "registered model with --model."
        )
    others = [
        name
        for name, value in vars(how).items()
        if name not in {"rollback", "model"} and value not in {None, False}
    ]
    others += [name for name, value in vars(bounds).items() if value is not None]
    if others:
        options = " and ".join(f"--{name.replace('_', '-')}" for name in others)
        raise StudyError(
            f"--rollback goes with --model alone, but got {options}: leave that out; "
            "`harness models` shows which versions would change places."
        )


def _roll_back(location: "Location", model: str | None) -> None:
    from harness.serving.registry import only_champion, roll_back

    name = model or only_champion(location)
    champion, previous = roll_back(location, name)
    typer.echo(
        f"Version {champion.version} of {name} is @champion again; version "
        f"{previous.version} is @previous."
    )


def _require_for_rollback_only(model: str | None) -> None:
    if model is not None:
        raise StudyError(
            f"--model goes with --rollback, but got {model!r} alone: a promotion takes "
            "the registered model of its data set."
        )


def _print(promotion: "Promotion", *, dry_run: bool) -> None:
    source = promotion.source
    seeds = source.judging.seeds
    mean = f", mean over {len(seeds)} seeds" if len(seeds) > 1 else ""
    typer.echo(
        f"{source.name}: {source.study.family}, trial {source.trial.number}, test "
        f"{source.shown_score()}{mean}"
    )
    for check in promotion.checks:
        typer.echo(f"{check.word:6} {check.sentence}")
    _print_fairness(promotion)
    typer.echo(_would_be(promotion) if dry_run else _outcome(promotion))


def _print_fairness(promotion: "Promotion") -> None:
    comparison, before = promotion.comparison, promotion.before
    if promotion.opening is not None and promotion.budget is not None:
        budget = promotion.budget
        typer.echo(
            f"The test set was opened for this: opening no. {promotion.opening}. After "
            f"{budget.openings} promotion{'s' if budget.openings > 1 else ''} decided on "
            f"it, {budget.left:.3g} of the error budget of {budget.alpha:g} is left; the next is "
            f"tested at level {budget.next_level:.2g}."
        )
    if comparison is None or before is None:
        return
    seeds, measure = promotion.source.judging.seeds, promotion.source.measure
    mean = promotion.source.model.value(promotion.source.study.metric.name)
    if len(seeds) > 1:
        typer.echo(
            f"Compared are the two fits that can be served, not means over seeds: that "
            f"of seed {seeds[0]} has {measure.label} {measure.format(comparison.score)}, "
            f"the mean over {len(seeds)} seeds is {measure.format(mean)}."
        )
    if comparison.n_pairs < comparison.n_test:
        typer.echo(
            f"The champion was judged on another test set. Both were judged anew on "
            f"{comparison.n_pairs:,} of the {comparison.n_test:,} test ratings of "
            f"{promotion.source.name}: the others the champion was trained on."
        )
    elif not before.test_set.are(promotion.source.test_set):
        typer.echo(
            "The champion was judged on another test set. Both were judged anew on that "
            f"of {promotion.source.name}, none of which the champion was trained on."
        )


def _would_be(promotion: "Promotion") -> str:
    words = {
        "promoted": f"would become @champion of {promotion.model}",
        "refused": f"would be refused, and become @challenger of {promotion.model}",
        "challenger": f"would become @challenger of {promotion.model}",
        "unchanged": f"is @champion of {promotion.model} already",
    }
    return f"Dry run: it {words[promotion.outcome]}; nothing in MLflow was changed."


def _outcome(promotion: "Promotion") -> str:
    version, before = promotion.version, promotion.before
    assert version is not None
    name = f"Version {version.version} of {promotion.model}"
    if promotion.outcome == "unchanged":
        return f"{name} is @champion already."
    if promotion.outcome == "challenger":
        return f"{name} is @challenger.{_served(version)}"
    if promotion.outcome == "refused":
        stays = "nobody" if before is None else f"version {before.version}"
        return f"Refused. {name} is @challenger; @champion is {stays}, as before."
    was = "" if before is None else f"; version {before.version} is @previous"
    return f"{name} is @champion{was}.{_served(version)}"


def _served(version: "RegisteredVersion") -> str:
    """Say where the model that is served is not the one that was judged."""
    if version.facts is None or version.facts.judged_source is None:
        return ""
    return (
        " It is fitted to all ratings; the figures are those of the judged model, "
        f"{version.facts.judged_source}, fitted to the training part."
    )
