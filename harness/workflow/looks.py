"""Looks at a test set after it was judged: counted, before they are taken."""

from harness.search.experiment_storage import (
    count_looks,
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
        How often test ratings of this split were opened, this time included.
    """
    storage, name = source.storage, source.name
    dataset, split = source.test_set
    total = count_looks(storage, str(dataset), str(split)) + 1
    if source.experiment is None:
        final = dict(source.study.final or {})
        looks = int(final.get("looks", 0)) + 1
        save_final(storage, name, {**final, "looks": looks})
        return total
    kept = read_experiment_facts(storage, name)
    final = kept["final"]
    own = int(kept.get("looks", final.get("looks", 0))) + 1
    save_experiment_facts(storage, name, "looks", own)
    save_experiment_facts(storage, name, "final", {**final, "looks": total})
    return total
