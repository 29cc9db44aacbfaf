"""How fast the own kernels of the hybrid are, beside LightFM: CPU seconds an epoch.

`bench_scale.py hybrid` prints it, with whole studies.
"""

import time

import numpy as np

N_EPOCHS = 5

SETTINGS = (
    {},
    {"user_features": "none", "title_weight": 0},
    {"user_features": "none", "n_factors": 16},
    {"user_features": "all", "n_factors": 16},
    {"user_features": "all", "n_factors": 64},
    {"schedule": "adadelta"},
    {"loss": "warp"},
    {"loss": "bpr"},
)


def seconds_an_epoch(ratings, catalogue, **parameters):
    """Of the fastest of a few epochs, for each engine, and how far they are apart."""
    from harness.models.hybrid.features import title_flags
    from harness.models.hybrid.model import Hybrid

    titles = title_flags(catalogue, ratings.n_items)
    best, learnt = {}, {}
    for engine in ("lightfm", "harness"):
        model = Hybrid(engine=engine, **parameters)
        trainer = model._prepare(ratings, catalogue, titles).trainer
        seconds = []
        for _ in range(N_EPOCHS):
            start = time.process_time()
            trainer.run_epoch()
            seconds.append(time.process_time() - start)
        best[engine] = min(seconds)
        learnt[engine] = np.concatenate([e.factors for e in trainer.embeddings()])
    return best, np.abs(learnt["harness"] - learnt["lightfm"]).max()


def epochs(folder):
    """Print seconds and differences by settings; give how many times faster the defaults are."""
    from harness.data.load import load_dataset

    data, ratios = load_dataset(str(folder)), []
    for parameters in SETTINGS:
        best, apart = seconds_an_epoch(data.ratings, data.catalogue, **parameters)
        ratios.append(best["lightfm"] / best["harness"])
        print(
            f"{parameters or 'defaults'}: LightFM {best['lightfm']:.3f} s, "
            f"harness {best['harness']:.4f} s an epoch, {ratios[-1]:.1f} times; "
            f"embeddings {apart:.1e} apart",
            flush=True,
        )
    return ratios[0]
