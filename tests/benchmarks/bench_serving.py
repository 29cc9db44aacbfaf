"""What an answer over HTTP costs: ``python tests/benchmarks/bench_serving.py``.

Milliseconds of one user's top 10, measured at the client on loopback, for one client and
for several at once: of each family, and of MLflow's server with a model that returns a
constant, which is what the server itself costs. Every answer is checked.
"""

import argparse
import http.client
import json
import tempfile
import threading
import time
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

import numpy as np

from harness.data.load import load_dataset
from harness.data.options import ReadOptions
from harness.evaluation.splits import split_off_test
from harness.models.families import load_family
from harness.serving.http import ScoringServer, listen
from harness.serving.package import Origin, package, save_model
from harness.tracking.store import quieten

N_WARM_UP = 50
CONSTANT = """
from mlflow.models import set_model
from mlflow.pyfunc.model import PythonModel


class Constant(PythonModel):
    def predict(self, context, model_input, params=None):
        return [0]


set_model(Constant())
"""


def save_family(name, dataset, folder):
    split = split_off_test(dataset, method="random", seed=0)
    model = load_family(name)().fit(split.train, dataset.catalogue)
    save_model(package(model, dataset, Origin(study=name, split=split.facts)), folder)


def save_constant(folder):
    quieten()
    import mlflow.pyfunc

    from harness.serving.mlflow_model import signature

    with tempfile.TemporaryDirectory() as beside:
        script = Path(beside) / "constant.py"
        script.write_text(CONSTANT)
        mlflow.pyfunc.save_model(
            str(folder),
            python_model=str(script),
            signature=signature(),
            pip_requirements=["mlflow"],
        )


def ask(connection, user):
    """Return milliseconds, and how many rows came back."""
    question = {"dataframe_records": [{"user": user}], "params": {"n": 10}}
    body = json.dumps(question)
    begun = time.perf_counter()
    connection.request(
        "POST", "/invocations", body, {"Content-Type": "application/json"}
    )
    answer = connection.getresponse()
    text = answer.read()
    elapsed = 1e3 * (time.perf_counter() - begun)
    assert answer.status == 200, text
    return elapsed, len(json.loads(text)["predictions"])


def measure(address, users, *, n_clients, n_rows):
    """Return ms of every answer; the questions are dealt to the clients."""
    found = [[] for _ in range(n_clients)]

    def client(number):
        connection = http.client.HTTPConnection(urlsplit(address).netloc)
        for place, user in enumerate(users[number::n_clients]):
            elapsed, n = ask(connection, user)
            assert n == n_rows
            if place >= N_WARM_UP // n_clients:
                found[number].append(elapsed)
        connection.close()

    clients = [threading.Thread(target=client, args=(k,)) for k in range(n_clients)]
    begun = time.perf_counter()
    for each in clients:
        each.start()
    for each in clients:
        each.join()
    return np.concatenate(found), len(users) / (time.perf_counter() - begun)


@contextmanager
def serving(folder):
    """Serve a model as `harness serve` does, in a thread of this process."""
    with listen() as listener:
        server = ScoringServer(Path(folder), "bench")
        thread = threading.Thread(target=server.run, args=(listener,))
        thread.start()
        try:
            yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        finally:
            server.stop()
            thread.join()


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", default="ott")
    parser.add_argument("--families", nargs="*", default=["svd"])
    parser.add_argument("--clients", type=int, nargs="*", default=[1, 4])
    parser.add_argument("--questions", type=int, default=1000)
    asked = parser.parse_args()
    dataset = load_dataset(asked.data, ReadOptions())
    rng = np.random.default_rng(0)
    users = rng.choice(dataset.ratings.user_ids, asked.questions + N_WARM_UP).tolist()
    print(
        f"{dataset.name}, {asked.questions} answers of 10 titles, ms at the client\n"
        f"{'model':<14}{'clients':>8}{'p50':>8}{'p95':>8}{'p99':>8}{'a second':>10}"
    )
    with tempfile.TemporaryDirectory() as beside:
        for name in ["constant", *asked.families]:
            folder = Path(beside) / name
            if name == "constant":
                save_constant(folder)
            else:
                save_family(name, dataset, folder)
            n_rows = 1 if name == "constant" else 10
            with serving(folder) as address:
                for n in asked.clients:
                    elapsed, rate = measure(address, users, n_clients=n, n_rows=n_rows)
                    p50, p95, p99 = np.quantile(elapsed, [0.5, 0.95, 0.99])
                    print(
                        f"{name:<14}{n:>8}{p50:>8.2f}{p95:>8.2f}{p99:>8.2f}{rate:>10.0f}"
                    )


if __name__ == "__main__":
    main()
