"""All figures of scale: the machine's cores, several machines, twenty million ratings.

Each command prints its figures beside their aims, and the machine they are of. All are CPU
seconds, which others on the machine lengthen but little, unless they say min or s: those go
by the clock, on a machine that nobody else uses. `bench_fidelity.py simulate FILE N` writes
the ratings that DATA stands for.

`all FOLDER` runs every command whose input is there: FOLDER/ml-100k (with the hand-written
script in FOLDER/../bench), FOLDER/million.csv and FOLDER/twenty.csv. With twenty.csv it takes
some two hours.
"""

import argparse
import subprocess
import sys
import tempfile
from importlib.util import find_spec
from pathlib import Path

import measuring
from measuring import Figure

OTHER_FAMILIES = ("cf", "content", "hybrid", "bfm", "slope_one")


def trials_needed(chosen):
    """How many workers are busy, and how many trials are needed, by the window."""
    import replayed_engine

    recorded, seeds = replayed_engine.Landscape(), range(chosen.seeds)
    windows, n_trials = chosen.windows, chosen.trials
    found = replayed_engine.needed(recorded, windows, seeds, n_trials)
    return found + replayed_engine.busy(
        recorded, windows, seeds[:3], n_trials, chosen.scale
    )


def owner(chosen):
    """What a trial of no work costs its owner, up to so many trials."""
    import replayed_engine

    return replayed_engine.owner(chosen.trials)


def thousand(chosen):
    """What 1,000 trials cost their owner: engine, PostgreSQL, MariaDB, MLflow."""
    import replayed_engine

    del chosen
    return replayed_engine.thousand()


def start(chosen):
    """How long 1, 16 and 64 local workers take until they are up."""
    import replayed_engine

    del chosen
    return replayed_engine.start()


def record(chosen):
    """Train 256 settings of svd on ml-100k, and keep what busy replays: 15 minutes."""
    import replayed_engine

    replayed_engine.record(str(chosen.data))
    return []


def study(chosen):
    """Each step of a study of one family with two workers, and what was forecast."""
    import whole_commands

    return whole_commands.study(chosen.data, chosen.family, chosen.trials, chosen.split)


def hand(chosen):
    """The whole command on ml-100k beside the hand-written script."""
    import whole_commands

    return whole_commands.hand(chosen.data, chosen.trials)


def serial(chosen):
    """Start, judging and report of a study of ml-100k without a test set."""
    import whole_commands

    return whole_commands.serial(chosen.data, chosen.trials)


def cores(chosen):
    """The whole command by the clock, by the number of its workers."""
    import whole_commands

    asked = chosen.data, chosen.family, chosen.trials, chosen.workers, chosen.split
    return whole_commands.cores(*asked)


def large(chosen):
    """One study of svd from the file to its report: time and memory of all processes."""
    import whole_commands

    return whole_commands.large(chosen.data, chosen.trials)


def load(chosen):
    """Reading a file as one stream, in blocks, and from the cache."""
    import whole_commands

    return whole_commands.load(chosen.data)


def families(chosen):
    """The memory that families need for a file, and which are refused with 20 GB."""
    import whole_commands

    return whole_commands.families(chosen.data, chosen.families)


def machines(chosen):
    """A search with one worker, with two, and with two of a Dask cluster: are they equal?"""
    import whole_commands

    return whole_commands.machines(chosen.data, chosen.trials)


def samples(chosen):
    """Searches on one fold or raced on samples of the users, beside searches in full."""
    from bench_fidelity import compare

    figures = []
    rows = compare(chosen.data, chosen.fidelity, chosen.trials, chosen.seeds)
    for seed, (full, sampled, stars) in enumerate(rows):
        name = f"{chosen.data.name}, {chosen.trials} trials, seed {seed}"
        figures += [
            Figure(f"{name}: best behind that of full", stars, "stars", 0.001),
            Figure(f"{name}: search, by full", sampled / full, "times"),
        ]
    return figures


def lists(chosen):
    """A user's top 10 of cf, on so many simulated ratings, or those of a file."""
    from bench_cf import bench_size

    file = chosen.file
    where = file.name if file else f"{chosen.ratings:,} ratings"
    return [
        Figure(f"cf of {kind}, {where}: a top 10, p95", p95, "ms of its thread", 8)
        for kind, p95 in bench_size(chosen.ratings, file)
    ]


def epochs(chosen):
    """An epoch of hybrid beside LightFM, on ml-100k."""
    from bench_hybrid import epochs as compare_epochs

    times = compare_epochs(chosen.data)
    name = "hybrid, defaults: an epoch of LightFM / of ours"
    return [Figure(name, times, "times", 10, at_least=True)]


def commands_for(folder):
    """List the commands whose input is there, as words."""
    yield from (["start"], ["owner"], ["busy"], ["thousand"], ["lists"])
    ml_100k, million, twenty = (
        folder / name for name in ("ml-100k", "million.csv", "twenty.csv")
    )
    if ml_100k.is_dir():
        yield from commands_of_small(ml_100k)
    if million.exists():
        for family in ("svd", "cf", "content", "hybrid", "slope_one"):
            yield ["study", million, "--family", family, "--trials", 20]
        yield ["samples", million, "--trials", 100]
    if twenty.exists():
        yield ["samples", twenty, "--trials", 12, "--seeds", 1]
        yield from (["families", twenty], ["lists", "--file", twenty])
    for data in filter(Path.exists, (million, twenty)):
        yield from (["load", data], ["large", data])


def commands_of_small(ml_100k):
    """List the commands for ml-100k."""
    script = ml_100k.parents[1] / "bench" / "handwritten_svd.py"
    if script.exists() and find_spec("optuna_integration") and find_spec("surprise"):
        yield ["hand", ml_100k]
    yield from (["serial", ml_100k], ["epochs", ml_100k])
    yield ["study", ml_100k, "--family", "hybrid", "--split", "none"]
    for family in ("svd", "hybrid"):
        yield ["cores", ml_100k, "--family", family]
    if find_spec("distributed"):
        yield ["machines", ml_100k]


def everything(chosen):
    """Every command whose input is in the folder, each in a process of its own."""
    figures = []
    for words in commands_for(chosen.data):
        print("\n$", *words, flush=True)
        with tempfile.TemporaryDirectory() as folder:
            kept = Path(folder) / "figures.json"
            command = [sys.executable, __file__, *words, "--keep", kept]
            if subprocess.run([*map(str, command)], check=False).returncode == 0:
                figures += measuring.read(kept)
    return figures


WORDS = {
    # Commands work in folders of their own.
    "data": {"type": lambda text: Path(text).resolve(), "metavar": "DATA"},
    "--trials": {"type": int, "default": 100},
    "--family": {"default": "svd"},
    "--split": {"default": "random"},
    "--workers": {"type": int, "nargs": "+"},
    "--windows": {"type": int, "nargs": "+", "default": [8, 16]},
    "--seeds": {"type": int},
    "--scale": {"type": float, "default": 1.0},
    "--fidelity": {"default": "auto"},
    "--ratings": {"type": int, "default": 20_000_000},
    "--file": {"type": lambda text: Path(text).resolve()},
    "--families": {"nargs": "+", "default": OTHER_FAMILIES},
}
# What is run, what it takes, and its own defaults.
COMMANDS = {
    "start": (start, (), {}),
    "owner": (owner, ("--trials",), {"trials": 10_000}),
    "busy": (
        trials_needed,
        ("--trials", "--windows", "--seeds", "--scale"),
        {"seeds": 20},
    ),
    "thousand": (thousand, (), {}),
    "record": (record, ("data",), {}),
    "hand": (hand, ("data", "--trials"), {}),
    "serial": (serial, ("data", "--trials"), {}),
    "cores": (
        cores,
        ("data", "--family", "--trials", "--workers", "--split"),
        {"split": "none", "workers": [1, 2, 4, 8, 16]},
    ),
    "machines": (machines, ("data", "--trials"), {"trials": 40}),
    "load": (load, ("data",), {}),
    "samples": (samples, ("data", "--fidelity", "--trials", "--seeds"), {"seeds": 3}),
    "study": (study, ("data", "--family", "--trials", "--split"), {}),
    "families": (families, ("data", "--families"), {}),
    "lists": (lists, ("--ratings", "--file"), {}),
    "large": (large, ("data", "--trials"), {}),
    "epochs": (epochs, ("data",), {}),
    "all": (everything, ("data",), {}),
}


def parse():
    """Read the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    commands = parser.add_subparsers(dest="what", required=True)
    for name, (run, words, defaults) in COMMANDS.items():
        command = commands.add_parser(name, help=run.__doc__, description=run.__doc__)
        for word in words:
            command.add_argument(word, **WORDS[word])
        command.add_argument("--keep", type=Path, help=argparse.SUPPRESS)
        command.set_defaults(run=run, **defaults)
    return parser.parse_args()


if __name__ == "__main__":
    # Servers and clusters are started by what the tests start them with.
    sys.path.append(str(measuring.ROOT))
    arguments = parse()
    found = arguments.run(arguments)
    measuring.show(found)
    if arguments.keep:
        measuring.write(found, arguments.keep)
