"""How candidates are named and marked in every figure."""

import textwrap
from dataclasses import dataclass

from harness.experiment.results import ExperimentRecord
from harness.report.figures.style import DARK, LIGHT, MEDIUM

__all__ = ["Mark", "display_name", "marks_of", "wrap"]


# Neither length divides the other, so that 24 candidates differ.
_MARKERS = ("o", "s", "^", "D", "v", "P", "<", "X")
_FACES = (DARK, "white", LIGHT)


@dataclass(frozen=True, slots=True)
class Mark:
    """How a candidate is drawn; shapes differ, so that print needs no colour."""

    # Shape and filling of its mark.
    marker: str
    face: str
    line: str


def marks_of(record: ExperimentRecord) -> dict[str, Mark]:
    """Choose a mark for every candidate."""
    return {
        candidate: Mark(
            marker=_MARKERS[place % len(_MARKERS)],
            face=_FACES[place % len(_FACES)],
            line=DARK if _FACES[place % len(_FACES)] == DARK else MEDIUM,
        )
        for place, candidate in enumerate(record.spec.families)
    }


def display_name(record: ExperimentRecord, candidate: str, *, width: int = 24) -> str:
    """Name a candidate for people, on two lines at most."""
    return wrap(record.spec.label(candidate), width=width)


def wrap(text: str, *, width: int) -> str:
    r"""Break text into two lines at most.

    Examples
    --------
    >>> wrap("matrix factorisation", width=14)
    'matrix\nfactorisation'
    """
    return "\n".join(textwrap.wrap(text, width, max_lines=2, placeholder=" …"))
