import http.client
import json
import os
import sys
import threading
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path
from urllib.parse import urlsplit

import mlflow
import pandas as pd
import pytest
from mlflow.exceptions import MlflowException

from harness.errors import TrackingError
from harness.serving.http import ScoringServer, listen
from harness.serving.processes import on_port, run_server

N_CLIENTS = 4
N_QUESTIONS = 250  # of each client


@pytest.fixture(scope="module")
def address(toy_model):
    with listen() as listener:
        server = ScoringServer(toy_model, "toy")
        thread = threading.Thread(target=server.run, args=(listener,))
        thread.start()
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        server.stop()
        thread.join()


@pytest.fixture
def ask(address):
    return lambda body, **more: post(address, body, **more)


def post(address, body, *, kind="application/json"):
    """Return status and text of an answer."""
    connection = http.client.HTTPConnection(urlsplit(address).netloc, timeout=30)
    try:
        text = body if isinstance(body, str) else json.dumps(body)
        connection.request("POST", "/invocations", text, {"Content-Type": kind})
        answer = connection.getresponse()
        return answer.status, answer.read().decode()
    finally:
        connection.close()


@pytest.fixture(scope="module")
def here(toy_model):
    """Ask the same model in this process."""
    model = mlflow.pyfunc.load_model(str(toy_model))

    def predict(n=10, **columns):
        told = model.predict(pd.DataFrame(columns), {"n": n})
        return told.astype(object).where(told.notna(), None).to_dict("records")

    return predict


def records(*rows, **params):
    return {"dataframe_records": list(rows), "params": params}


def test_one_user_gets_ten_titles(ask, here):
    status, text = ask(records({"user": "u3"}))
    assert status == 200
    assert json.loads(text)["predictions"] == here(user=["u3"])
    assert len(json.loads(text)["predictions"]) == 10


@pytest.mark.parametrize("written", ['="u3"', " u3 ", '"u3"'])
def test_an_id_is_known_however_it_is_marked(ask, here, written):
    _, text = ask(records({"user": written}))
    answers = [row | {"user": "u3"} for row in json.loads(text)["predictions"]]
    assert answers == here(user=["u3"])


def test_a_batch_of_users_gets_as_many_titles_as_it_asks_for(ask, here):
    status, text = ask(records({"user": "u3"}, {"user": "u5"}, n=2))
    assert status == 200
    assert json.loads(text)["predictions"] == here(2, user=["u3", "u5"])


def test_a_batch_of_pairs_gets_predictions_in_its_order(ask, here):
    status, text = ask(
        records({"user": "u9", "item": "i1"}, {"user": "u3", "item": "i7"})
    )
    assert status == 200
    assert json.loads(text)["predictions"] == here(user=["u9", "u3"], item=["i1", "i7"])


def test_a_stranger_is_answered(ask):
    status, text = ask(records({"user": "nobody"}, n=3))
    assert status == 200
    assert [row["rank"] for row in json.loads(text)["predictions"]] == [1, 2, 3]


def test_a_title_without_a_name_is_null(ask, package_toy):
    nameless = package_toy("baseline").model.item_ids_[-1]
    rows = ({"user": "u3", "item": item} for item in (nameless, "i7"))
    status, text = ask(records(*rows))
    assert status == 200
    assert [r["title"] is None for r in json.loads(text)["predictions"]] == [
        True,
        False,
    ]


@pytest.mark.parametrize("key", ["inputs", "instances"])
def test_other_envelopes_of_mlflow_are_understood(ask, here, key):
    status, text = ask({key: [{"user": "u3"}], "params": {"n": 2}})
    assert status == 200
    assert json.loads(text)["predictions"] == here(2, user=["u3"])


def test_csv_is_understood(ask, here):
    status, text = ask("user,item\nu3,i7\n", kind="text/csv")
    assert status == 200
    assert json.loads(text)["predictions"] == here(user=["u3"], item=["i7"])


@pytest.mark.parametrize(
    ("body", "status", "words"),
    [
        ("{", 400, "valid JSON"),
        ("[1]", 400, "must be a JSON dictionary"),
        ({"user": "u3"}, 400, "exactly one of the input fields"),
        (records(), 400, "missing inputs"),
        (records({"person": "u3"}), 400, "missing inputs"),
        (records({"user": None}), 400, "Row 0: user is missing"),
        (records({"user": {"id": 3}}), 400, "Row 0: user must be an id"),
        (records({"user": "u3"}, n=0), 400, "must be at least 1, but is 0"),
        (records({"user": "u3"}, n="many"), 400, "Invalid parameters"),
        (records({"user": "u3"}, n=None), 400, "must be at least 1, but is null"),
    ],
)
def test_a_malformed_question_is_refused_and_the_server_stays_up(
    ask, body, status, words
):
    answer, text = ask(body)
    assert answer == status
    assert words in json.loads(text)["message"]
    assert "Traceback" not in text
    assert ask(records({"user": "u3"}))[0] == 200


def test_another_type_of_content_is_refused(ask):
    status, text = ask("<user/>", kind="text/xml")
    assert status == 415
    assert "only supports the following content types" in text


@pytest.mark.parametrize(
    ("headers", "status", "words"),
    [
        ({"Content-Length": "2"}, 415, "must have a Content-Type, but this has none"),
        (
            {"Content-Length": "2", "Content-Type": " "},
            415,
            "must have a Content-Type, but this has none",
        ),
        (
            {"Content-Type": "application/json", "Transfer-Encoding": "chunked"},
            411,
            "must have a Content-Length, but this has none",
        ),
        (
            {"Content-Type": "application/json", "Content-Length": "10000001"},
            413,
            "at most 10,000,000 bytes, but this has 10,000,001",
        ),
    ],
)
def test_a_question_that_mlflow_would_stumble_over_is_refused_by_its_headers(
    address, ask, headers, status, words
):
    connection = http.client.HTTPConnection(urlsplit(address).netloc, timeout=30)
    connection.putrequest("POST", "/invocations")
    for name, value in headers.items():
        connection.putheader(name, value)
    connection.endheaders()
    answer = connection.getresponse()
    assert answer.status == status
    assert words in json.loads(answer.read())["message"]
    connection.close()
    assert ask(records({"user": "u3"}))[0] == 200


def test_plain_mlflow_serves_it_as_well(toy_model, ask):
    @contextmanager
    def start(port):
        address = f"http://127.0.0.1:{port}"
        command = [sys.executable, "-m", "mlflow", "models", "serve"]
        command += ["--model-uri", str(toy_model), "--env-manager", "local"]
        command += ["--port", str(port)]
        # MLflow calls uvicorn by its name.
        path = [str(Path(sys.executable).parent), os.environ["PATH"]]
        environment = {"PATH": os.pathsep.join(path)}
        health = f"{address}/ping"
        with run_server("server", command, environment, health=health):
            yield address

    with on_port(start, first=5901) as address:
        for question in (
            records({"user": "u3"}, n=2),
            records({"user": "nobody", "item": "i7"}),
            records({"user": None}),
        ):
            assert post(address, question) == ask(question)


def test_several_clients_at_once_get_what_they_asked_for(address, here):
    expected = {user: here(3, user=[user]) for user in ("u1", "u2", "u3", "nobody")}
    wrong = []

    def client(user):
        for _ in range(N_QUESTIONS):
            status, text = post(address, records({"user": user}, n=3))
            if status != 200 or json.loads(text)["predictions"] != expected[user]:
                wrong.append((user, status, text))

    clients = [threading.Thread(target=client, args=(user,)) for user in expected]
    assert len(clients) == N_CLIENTS
    for each in clients:
        each.start()
    for each in clients:
        each.join()
    assert not wrong


def test_a_port_that_is_taken_is_refused(address):
    port = urlsplit(address).port
    with (
        pytest.raises(TrackingError, match=rf"Port {port} .* (in use|taken)"),
        listen(port),
    ):
        pass


def test_the_model_is_read_once(toy_model, monkeypatch):
    from harness.serving import mlflow_model

    read = []
    before = mlflow_model.read_model

    def count(folder):
        read.append(folder)
        return before(folder)

    monkeypatch.setattr(mlflow_model, "read_model", count)
    assert ScoringServer(toy_model, "toy").packaged.facts.family == "svd"
    assert len(read) == 1


def test_a_model_that_mlflow_may_not_load_is_refused_in_a_sentence(
    tmp_path, monkeypatch
):
    def refuse(_folder):  # as MLflow 3.18 with MLFLOW_ALLOW_MODEL_CODE_EXECUTION=false
        raise MlflowException("set 'MLFLOW_ALLOW_MODEL_CODE_EXECUTION' to 'true'")

    # Not by its dotted name: that is a stand-in until it is imported.
    monkeypatch.setattr(import_module("mlflow.pyfunc"), "load_model", refuse)
    with pytest.raises(TrackingError, match=r"champion .*CODE_EXECUTION"):
        ScoringServer(tmp_path, "models:/toy@champion")
