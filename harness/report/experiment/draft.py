"""What the sections of a report are written from, and the folder of its figures."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from harness.experiment.claims import JudgedClaim, judge_claims
from harness.experiment.decision import Decision, decide
from harness.experiment.record import ExperimentRecord

__all__ = ["LONGEST", "Draft", "paragraphs"]

LONGEST = 5000
"""Longest paragraph of foreign text, in characters."""


@dataclass(frozen=True, kw_only=True)
class Draft:
    """A report that is being written.

    Parameters
    ----------
    record : ExperimentRecord
        The experiment.
    folder : Path
        Where figures go.
    decision : Decision or None
        What the rule of the file chooses; None before the test set was opened.
    claims : sequence of JudgedClaim
        The published figures, judged.
    """

    record: ExperimentRecord
    folder: Path
    decision: Decision | None
    claims: Sequence[JudgedClaim]

    @classmethod
    def of(cls, record: ExperimentRecord, folder: Path) -> "Draft":
        """Draw the conclusions from an experiment.

        Parameters
        ----------
        record : ExperimentRecord
            The experiment.
        folder : Path
            Where figures go.

        Returns
        -------
        Draft
            The draft.
        """
        return cls(
            record=record,
            folder=folder,
            decision=decide(record),
            claims=judge_claims(record),
        )

    def figure(
        self, draw: Callable[[ExperimentRecord, Path], bool], name: str, caption: str
    ) -> str:
        """Draw a figure.

        Parameters
        ----------
        draw : callable
            Writes a PNG of the experiment, or says False if there is nothing to draw.
        name : str
            Name of the file.
        caption : str
            What it shows, for those who do not see it.

        Returns
        -------
        str
            Markdown that shows it; empty if there is nothing to draw.
        """
        return f"![{caption}]({name})" if draw(self.record, self.folder / name) else ""

    def published(
        self, metric: str, candidate: str | None = None
    ) -> float | str | None:
        """Find a published figure.

        Parameters
        ----------
        metric : str
            Name of the metric.
        candidate : str, optional
            Key of the entry it is about; none for figures of the data.

        Returns
        -------
        float, str or None
            The value of the first such claim of the file; None without one.
        """
        values = (
            claim.value
            for claim in self.record.spec.claims
            if (claim.metric, claim.candidate) == (metric, candidate)
        )
        return next(values, None)


def paragraphs(*parts: str) -> str:
    """Join parts of markdown, without those that are empty.

    Parameters
    ----------
    *parts : str
        Blocks of markdown.

    Returns
    -------
    str
        With an empty line between them.
    """
    return "\n\n".join(part for part in parts if part)
