"""Section: how these ratings differ from those of the publication, in plain words."""

from harness.experiment.measured import measured
from harness.report.digits import stars
from harness.report.experiment.draft import Draft, paragraphs
from harness.report.experiment.models import label, tuned_models
from harness.report.experiment.quantities import write

__all__ = ["compare_lowest", "differences", "published_rmse"]

FAR = 0.05
"""By what share the lowest RMSE must be above the published one to be called far."""

SIMULATED = (
    "The ratings are simulated from the published characteristics. That these are found "
    "again shows that the simulation does as it was told, not that the publication is "
    "right; the errors of the models were not put in, but follow from such ratings."
)


def differences(draft: Draft) -> str:
    """Say how errors and spread of the ratings compare with the published ones.

    Parameters
    ----------
    draft : Draft
        The report.

    Returns
    -------
    str
        Markdown; empty if no RMSE was published or the test set was not opened.
    """
    record = draft.record
    published = published_rmse(draft)
    if not published or not tuned_models(record):
        return ""
    lines = [compare_lowest(draft)[1], _spread(draft, published), _order(draft)]
    listed = "\n".join(f"- {line}" for line in lines if line)
    kind = "simulated" if record.dataset.get("simulated") else "real"
    return paragraphs(
        f"### How these {kind} ratings compare with the publication's",
        SIMULATED if kind == "simulated" else "",
        listed,
    )


def published_rmse(draft: Draft) -> dict[str, float]:
    """Collect the published RMSE of the candidates.

    Parameters
    ----------
    draft : Draft
        The report.

    Returns
    -------
    dict of str to float
        Candidate to RMSE in stars, the lowest first.
    """
    found: dict[str, float] = {}
    for candidate in draft.record.spec.families:
        value = draft.published("rmse", candidate)
        if isinstance(value, float | int):
            found[candidate] = float(value)
    return dict(sorted(found.items(), key=lambda pair: pair[1]))


def compare_lowest(draft: Draft) -> tuple[bool, str]:
    """Compare the lowest RMSE that was published with the lowest measured one.

    Parameters
    ----------
    draft : Draft
        The report.

    Returns
    -------
    is_far : bool
        Whether the measured one is far above.
    sentence : str
        Both, and by how much they differ; empty if either is not known.
    """
    record, published = draft.record, published_rmse(draft)
    tuned = tuned_models(record)
    if not published or not tuned:
        return False, ""
    family, lowest = next(iter(published.items()))
    here, name = tuned[0]["metrics"]["rmse"], label(record, tuned[0]["candidate"])
    text = (
        f"The lowest published RMSE is {lowest:g} ({label(record, family)}). The lowest "
        f"here, of all tuned families, is {stars(here['value'])} ({name})"
    )
    if here["low"] <= lowest <= here["high"]:
        return False, f"{text}: its 95 % interval includes the published figure."
    share = here["value"] / lowest - 1
    size = f"{100 * abs(share):.0f} % {'higher' if share > 0 else 'lower'}"
    if share <= FAR:
        return False, f"{text}: {size}."
    end = "no family comes near the published figure on these ratings"
    return True, f"{text}: {size}; {end}."


def _spread(draft: Draft, published: dict[str, float]) -> str:
    record = draft.record
    variance = (record.final or {}).get("test_variance")
    family, lowest = next(iter(published.items()))
    winner = draft.decision.winner if draft.decision else family
    r2 = measured(record, "r2", winner)
    if not variance or r2 is None:
        return ""
    text = f"The test ratings have a variance of {variance:.4f}"
    stated = draft.published("data.variance")
    if isinstance(stated, float | int):
        text += f" ({stated:g} published, of all ratings)"
    return (
        f"{text}; predicting their mean gives an RMSE of {stars(variance**0.5)}. An RMSE "
        f"of {lowest:g} on them would mean an R² of {1 - lowest**2 / variance:.3f}; "
        f"{label(record, winner)}, tuned, has {write('r2', r2)}."
    )


def _order(draft: Draft) -> str:
    """Compare the published order of the families with that of the initial settings."""
    record = draft.record
    errors = {c: measured(record, "rmse", c, "initial") for c in published_rmse(draft)}
    known = {c: rmse for c, rmse in errors.items() if rmse is not None}
    if len(known) < 2:
        return ""
    here = sorted(known, key=lambda c: known[c])
    names = ", ".join(f"{label(record, c)} ({stars(known[c])})" for c in here)
    same = "the published one" if here == list(known) else "not the published one"
    return f"By the RMSE of the initial settings the order is {same}: {names}."
