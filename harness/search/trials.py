"""Trials in an Optuna storage: one durable write when one starts, one when it ends."""

from collections.abc import Mapping
from contextlib import AbstractContextManager, nullcontext
from datetime import datetime

import optuna
from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    IntDistribution,
)
from optuna.storages import JournalStorage, RDBStorage
from optuna.trial import FrozenTrial, TrialState

from harness.errors import StudyError
from harness.plain import Params
from harness.search.attributes import shorten
from harness.search.fidelity import EVERYTHING
from harness.search.history import CONSTRAINT, Drawn, Outcome, constraints_of
from harness.search.journal import Journal
from harness.search.space import SearchSpace

__all__ = ["TrialStore"]

_N_KILLS = "put_back"


class TrialStore:
    """Writes the trials of one study, as their only writer.

    The parameters of a trial are all that its model needs: those that were searched,
    those that are fixed, and from its end on the number of epochs that was found. So
    ``study.best_params`` of Optuna makes the model that was judged.
    """

    def __init__(self, study: optuna.Study, space: SearchSpace) -> None:
        self._study = study
        self._storage = study._storage  # noqa: SLF001 - an ask would sample, too
        self._study_id = study._study_id  # noqa: SLF001
        self._space = space
        self._ids: dict[int, int] = {}

    def one_write(self) -> AbstractContextManager[None]:
        """Write all that happens inside at once, where the storage can."""
        backend = getattr(self._storage, "_backend", None)
        if isinstance(self._storage, JournalStorage) and isinstance(backend, Journal):
            return backend.one_write()
        return nullcontext()

    def read_all(self) -> list[FrozenTrial]:
        """Read all trials, in the order of their numbers."""
        trials = self._study.get_trials(deepcopy=False)
        self._ids = {trial.number: trial._trial_id for trial in trials}  # noqa: SLF001
        return trials

    def read(self, number: int) -> FrozenTrial:
        """Read one trial."""
        return self._storage.get_trial(self._ids[number])

    def drawn(self, trial: FrozenTrial) -> Drawn | None:
        """Tell what was drawn for a trial; None if it was enqueued without settings."""
        searched = self._space.searched
        params = {name: v for name, v in trial.params.items() if name in searched}
        if searched and not params:
            return None
        return Drawn(
            params=params,
            distributions={name: trial.distributions[name] for name in params},
            attributes={
                key: value
                for key, value in trial.system_attrs.items()
                if not key.startswith(CONSTRAINT)
            },
        )

    def start(self, number: int, drawn: Drawn, params: Params) -> None:
        """Add a running trial, with all its settings in one operation."""
        distributions = self._distributions(number, drawn, params)
        trial = FrozenTrial(
            number=-1,
            trial_id=-1,
            state=TrialState.RUNNING,
            value=None,
            datetime_start=datetime.now().astimezone().replace(tzinfo=None),
            datetime_complete=None,
            params={name: params[name] for name in distributions},
            distributions=distributions,
            user_attrs={},
            system_attrs=dict(drawn.attributes),
            intermediate_values={},
        )
        id_ = self._storage.create_new_trial(self._study_id, template_trial=trial)
        self._ids[number] = id_
        if self._storage.get_trial_number_from_id(id_) != number:
            self._storage.set_trial_state_values(id_, TrialState.FAIL)
            raise StudyError(
                f"Another program has added trials to the study {self._study.study_name!r} "
                "while it was run: start the same command again."
            )

    def _distributions(
        self, number: int, drawn: Drawn, params: Params
    ) -> dict[str, BaseDistribution]:
        found: dict[str, BaseDistribution] = {}
        epochs = self._space.epochs
        for name, value in params.items():
            if name in drawn.distributions:
                found[name] = drawn.distributions[name]
            elif name == "n_epochs" and epochs is not None:
                # Found on the way, so known when the trial ends; but for trial 0.
                if number == 0:
                    assert isinstance(value, int), "n_epochs counts"
                    found[name] = IntDistribution(1, max(epochs.high, value))
            elif name not in self._space.searched:
                found[name] = CategoricalDistribution((value,))
        return found

    def resume(self, number: int, drawn: Drawn, params: Params) -> None:
        """Let a trial that waits run again; one that was only enqueued gets settings."""
        id_ = self._ids[number]
        there = self._storage.get_trial(id_)
        for name, distribution in self._distributions(number, drawn, params).items():
            if name not in there.params:
                internal = distribution.to_internal_repr(params[name])
                self._storage.set_trial_param(id_, name, internal, distribution)
        for key, value in drawn.attributes.items():
            if there.system_attrs.get(key) != value:
                self._storage.set_trial_system_attr(id_, key, value)
        self._storage.set_trial_state_values(id_, TrialState.RUNNING)

    def put_back(self, number: int, *, most_kills: int | None = None) -> bool:
        """Let a trial wait for its turn; False if it was killed too often for that."""
        id_ = self._ids[number]
        if most_kills is not None:
            n_kills = self._storage.get_trial(id_).user_attrs.get(_N_KILLS, 0)
            if n_kills >= most_kills:
                return False
            self._storage.set_trial_user_attr(id_, _N_KILLS, n_kills + 1)
        self._storage.set_trial_state_values(id_, TrialState.WAITING)
        return True

    def end(self, number: int, outcome: Outcome) -> None:
        """Write how a trial has ended."""
        id_ = self._ids[number]
        params = self._found(number, outcome)
        attributes = dict(outcome.attributes)
        if "error" in attributes:
            attributes["error"] = shorten(str(attributes["error"]))
        values = _values(outcome)
        backend = getattr(self._storage, "_backend", None)
        if isinstance(backend, RDBStorage):
            _end_in_one_transaction(backend, id_, params, attributes, outcome, values)
            return
        for name, (value, distribution) in params.items():
            self._storage.set_trial_param(id_, name, value, distribution)
        for key, attribute in attributes.items():
            self._storage.set_trial_user_attr(id_, key, attribute)
        for key, attribute in constraints_of(outcome).items():
            self._storage.set_trial_system_attr(id_, key, attribute)
        for step, value in outcome.steps.items():
            self._storage.set_trial_intermediate_value(id_, step, value)
        self._storage.set_trial_state_values(id_, outcome.state, values)

    def _found(
        self, number: int, outcome: Outcome
    ) -> dict[str, tuple[float, BaseDistribution]]:
        """Tell the number of epochs, where it was found on the way."""
        epochs = self._space.epochs
        n_epochs = outcome.attributes.get("params", {}).get("n_epochs")
        if epochs is None or number == 0 or n_epochs is None:
            return {}
        return {"n_epochs": (n_epochs, IntDistribution(1, epochs.high))}


def _values(outcome: Outcome) -> list[float] | None:
    if outcome.values:
        return [*outcome.values]
    on_everything = outcome.attributes.get("rung", EVERYTHING) == EVERYTHING
    if outcome.state == TrialState.PRUNED and outcome.steps and on_everything:
        # As Optuna's own tell does; but the score on a sample is no value of a trial.
        return [outcome.steps[max(outcome.steps)]]
    return None


def _end_in_one_transaction(
    storage: RDBStorage,
    id_: int,
    params: Mapping[str, tuple[float, BaseDistribution]],
    attributes: Mapping[str, object],
    outcome: Outcome,
    values: list[float] | None,
) -> None:
    # Optuna has no such call: each attribute and each step would be a transaction.
    from optuna.storages._rdb import models
    from optuna.storages._rdb.storage import _create_scoped_session

    with _create_scoped_session(storage.scoped_session) as session:
        trial = models.TrialModel.find_or_raise_by_id(id_, session, for_update=True)
        for name, (value, distribution) in params.items():
            storage._set_trial_param_without_commit(  # noqa: SLF001
                session, id_, name, value, distribution
            )
        for key, attribute in attributes.items():
            storage._set_trial_attr_without_commit(  # noqa: SLF001
                session, models.TrialUserAttributeModel, id_, key, attribute
            )
        for key, attribute in constraints_of(outcome).items():
            storage._set_trial_attr_without_commit(  # noqa: SLF001
                session, models.TrialSystemAttributeModel, id_, key, attribute
            )
        for step, value in outcome.steps.items():
            storage._set_trial_intermediate_value_without_commit(  # noqa: SLF001
                session, id_, step, value
            )
        for objective, value in enumerate(values or ()):
            storage._set_trial_value_without_commit(  # noqa: SLF001
                session, trial, objective, value
            )
        trial.state = outcome.state
        trial.datetime_complete = datetime.now().astimezone().replace(tzinfo=None)
