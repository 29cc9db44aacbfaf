"""Looks at a test set after it was judged: counted, before they are taken."""

from harness.search import looks
from harness.search.experiment_storage import (
    read_experiment_facts,
    save_experiment_facts,
)
from harness.search.study import save_final
from harness.workflow.promotion_source import PromotionSource

__all__ = ["record_look"]


def record_look(source: PromotionSource) -> int:
    """Write down that the test set of an experiment or a study is opened once more.

    Parameters
    ----------
    source : PromotionSource
        Whose test set it is.

    Returns
    -------
    int
        How often test ratings of this split were opened, this time included; reports
        written from now on say so.
    """
    storage, name = source.storage, source.name
    total = looks.record_look(storage, name)
    if source.experiment is None:
        final = dict(source.study.final or {})
        save_final(storage, name, {**final, "looks": total})
        return total
    final = read_experiment_facts(storage, name)["final"]
    save_experiment_facts(storage, name, "final", {**final, "looks": total})
    return total
