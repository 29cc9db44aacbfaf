"""What a model costs: time to train, time to answer, memory, and size."""

import multiprocessing

from harness.data.catalogue import Catalogue
from harness.data.ratings import Ratings
from harness.errors import StudyError
from harness.evaluation.cost_probe import CostTask, report_costs
from harness.evaluation.results import Costs
from harness.evaluation.worker_process import environment_of_workers, main_module
from harness.plain import Params

__all__ = ["measure_efficiency"]


def measure_efficiency(
    family: str,
    params: Params,
    *,
    seed: int,
    train: Ratings,
    catalogue: Catalogue,
    n_calls: int = 300,
) -> Costs:
    """Measure what a model costs, in a process that does nothing else.

    All families are measured the same way: a process is started, with one thread for
    linear algebra and compiled loops; it is given the data, fits a model that is thrown
    away to a few users, so that libraries and compiled kernels are loaded (they are paid
    for once, whatever is fitted); then it fits the model, asks it for the top 10 of 30
    users that do not count and of `n_calls` users that do, drawn with a fixed seed from
    those with training ratings, and saves it.

    Memory is the growth of the resident set: its peak while the model was fitted and
    asked, less what the process had before, which is Python, the libraries and the data.
    On Linux the peak is started again for that, and is exact to a page. Where that is not
    allowed, and on macOS, it is by how much the peak of the whole life of the process has
    grown, which is less if loading the data took more than fitting.
    """
    task = CostTask(
        family=family,
        params=dict(params),
        seed=seed,
        train=train,
        catalogue=catalogue,
        n_calls=n_calls,
    )
    answer = _ask(task)
    if isinstance(answer, str):
        raise StudyError(f"What {family} costs cannot be measured: {answer}")
    return answer


def _ask(task: CostTask) -> Costs | str:
    """Let a fresh process measure; what it says is a reason where it could not."""
    context = multiprocessing.get_context("spawn")
    receiver, sender = context.Pipe(duplex=False)
    process = context.Process(target=report_costs, args=(sender, task), daemon=True)
    try:
        with environment_of_workers(), main_module(imported=False):
            process.start()
        # The other end is open only there: when that process dies, waiting ends.
        sender.close()
        answer: Costs | str = receiver.recv()
    except (EOFError, BrokenPipeError):
        process.join()
        return (
            "its process died (killed, out of memory or crashed; exit code "
            f"{process.exitcode})."
        )
    else:
        return answer
    finally:
        receiver.close()
        if process.pid is not None:
            process.kill()
            process.join()
