import pytest

from harness.errors import TrackingError
from harness.serving.web import experiment_links, serve
from harness.tracking.location import locate


def test_there_is_nothing_to_show_without_a_database(tmp_path):
    uri = f"sqlite:///{tmp_path}/mlflow.db"
    with (
        pytest.raises(
            TrackingError, match=r"no such MLflow database.*Run a study first"
        ),
        serve(locate(uri)),
    ):
        pass
    assert not list(tmp_path.iterdir())


def test_a_server_that_cannot_start_says_why(tmp_path):
    (tmp_path / "mlflow.db").write_bytes(b"not a database" * 100)
    with (
        pytest.raises(TrackingError, match=r"must start, but it ended with: "),
        serve(locate(f"sqlite:///{tmp_path}/mlflow.db")),
    ):
        pass


def test_the_link_opens_the_runs_in_the_model_training_layout(answering):
    address = answering(200, b'{"experiment": {"experiment_id": "3"}}')
    assert experiment_links(address, "harness") == {
        "runs": f"{address}/#/experiments/3/runs?workflowType=machine_learning"
    }


def test_there_is_a_link_to_each_list_of_runs_that_the_experiment_has(answering):
    address = answering(
        200,
        b'{"experiment": {"experiment_id": "3", "tags": ['
        b'{"key": "mlflow.sharedViewState.harness-trials-7", '
        b'"value": "{\\"name\\": \\"best trials first: toy\\"}"}, '
        b'{"key": "mlflow.sharedViewState.harness-finals-7", '
        b'"value": "{\\"name\\": \\"final models: toy\\"}"}]}}',
    )
    base = f"{address}/#/experiments/3/runs?workflowType=machine_learning"
    assert list(experiment_links(address, "harness").items()) == [
        ("final models: toy", f"{base}&viewStateShareKey=harness-finals-7"),
        ("best trials first: toy", f"{base}&viewStateShareKey=harness-trials-7"),
    ]


def test_a_server_without_the_experiment_is_linked_to_as_it_is(answering):
    address = answering(404, b"{}")
    assert experiment_links(address, "harness") == {"MLflow": address}


@pytest.mark.parametrize(("status", "body"), [(500, b""), (200, b"<html>")])
def test_a_server_that_is_not_mlflow_is_said_to_be_none(answering, status, body):
    with pytest.raises(TrackingError, match=r"an MLflow server must answer there"):
        experiment_links(answering(status, body), "harness")
