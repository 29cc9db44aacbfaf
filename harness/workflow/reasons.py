"""Why a title is recommended, in one short phrase."""

from harness.errors import UnsupportedError
from harness.models.base import Recommender
from harness.models.explanation import Axis, Explanation, Neighbor, Part
from harness.tracking.answers import Answerer

__all__ = ["give_reason"]

_MOST_PARTS = 2
_LEVELS = ("mean", "global")
_LEAST_STARS = 0.005  # what is less is written as +0.00


def give_reason(answerer: Answerer, user: int, item: int) -> str | None:
    """Say what speaks most for a title.

    That is the neighbour that adds most; without neighbours, the parts of the prediction
    that add most, those left out that are the same for all titles.

    Parameters
    ----------
    answerer : Answerer
        The model, and what its titles are called.
    user, item : int
        Codes of the pair.

    Returns
    -------
    str or None
        Such as ``"like Jaws, rated 5"`` or ``"bias of the title +0.41, factor 2 +0.30
        (like Jaws)"``; empty where nothing speaks for it, and None if the family cannot
        say.
    """
    model = answerer.packaged.model
    try:
        explanation = model.explain(user, item)
    except UnsupportedError:
        return None
    closest = max(explanation.neighbors, key=lambda n: n.stars, default=None)
    if closest is not None and closest.stars > 0:
        return _name_neighbor(answerer, closest, explanation)
    parts = [part for part in explanation.parts if _is_about_title(part)]
    strongest = sorted(parts, key=lambda part: -part.stars)[:_MOST_PARTS]
    axes = {axis.label: axis for axis in explanation.axes}
    return ", ".join(
        f"{part.label} {part.stars:+.2f}{_alike(answerer, axes.get(part.label), item)}"
        for part in strongest
    )


def _is_about_title(part: Part) -> bool:
    """Leave out levels, which are the same for all titles, and what says nothing."""
    is_level = part.label.startswith(_LEVELS) or part.label.endswith("the user")
    adds = part.stars >= _LEAST_STARS
    return adds and not is_level and not part.label.endswith("more factors")


def _name_neighbor(
    answerer: Answerer, neighbor: Neighbor, explanation: Explanation
) -> str:
    if explanation.neighbors_are == "titles":
        return f"like {_name(answerer, neighbor.code)}, rated {neighbor.rating:g}"
    who = answerer.packaged.model.user_ids_[neighbor.code]
    return f"user {who}, of similar taste, rated it {neighbor.rating:g}"


def _alike(answerer: Answerer, axis: Axis | None, item: int) -> str:
    """Name the title that is furthest on the same side of a factor."""
    if axis is None:
        return ""
    places = axis.places if axis.title >= 0 else -axis.places
    # Titles predicted for newcomers lie beyond those that have a name.
    furthest = int(places[: len(answerer.packaged.model.item_ids_)].argmax())
    return "" if furthest == item else f" (like {_name(answerer, furthest)})"


def _name(answerer: Answerer, item: int) -> str:
    model: Recommender = answerer.packaged.model
    return answerer.title_of(item) or str(model.item_ids_[item])
