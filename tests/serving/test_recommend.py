"""The best titles of all users at once."""

import numpy as np
import pandas as pd
import pytest

from harness.models.blend import Member, write_members
from harness.serving import recommend
from harness.serving.answers import Answerer, give_reason
from harness.serving.recommend import recommend_titles, recommend_to_all

BLENDED = write_members([Member(name=n, family=n) for n in ("svd", "slope_one")])


@pytest.mark.parametrize(
    ("family", "params", "when"),
    [
        ("cf", {"n_neighbors": 5}, None),
        ("bfm", {"n_factors": 2, "n_iterations": 5}, 946_598_400.0),
        ("blend", {"members": BLENDED, "weights": "svd 0.4, slope_one 0.6"}, None),
    ],
)
def test_batches_in_processes_are_what_each_user_gets_alone(
    package_toy, tmp_path, monkeypatch, family, params, when
):
    monkeypatch.setattr(recommend, "_USERS_AT_A_TIME", 25)
    packaged, seen = package_toy(family, **params), []
    written = recommend_to_all(
        packaged,
        tmp_path / "top.parquet",
        n=4,
        when=when,
        jobs=2 if family == "cf" else 1,
        patience_seconds=0,
        on_progress=lambda done, n: seen.append((done, n)),
    )
    n_users = len(packaged.model.user_ids_)
    assert seen == [(25, n_users), (50, n_users), (n_users, n_users)]
    frame = pd.read_parquet(written.path)
    assert written.n_rows == len(frame)
    for user in packaged.model.user_ids_.tolist():
        alone = recommend_titles(packaged, model="x", user=user, n=4, when=when).titles
        rows = frame[frame["user"] == user].itertuples()
        told = [
            (r.rank, r.item, np.float32(r.stars), np.float32(r.score)) for r in rows
        ]
        assert told == [
            (t.rank, t.item, np.float32(t.stars), np.float32(t.score)) for t in alone
        ]


def test_users_without_training_ratings_are_counted(package_toy, tmp_path):
    packaged = package_toy("baseline")
    model = packaged.model
    seen = [len(model.seen(code)) for code in range(len(model.user_ids_))]
    written = recommend_to_all(packaged, tmp_path / "top.csv", n=2)
    assert (written.n_users, written.n_cold) == (len(seen), seen.count(0))


def test_for_a_blend_its_heaviest_member_gives_the_reason(package_toy):
    members = write_members([Member(name=name, family=name) for name in ("svd", "cf")])
    blend = package_toy("blend", members=members, weights="svd 0.4, cf 0.6")
    cf = Answerer(package_toy("cf"))
    for title in recommend_titles(blend, model="x", user="u1", n=3).titles:
        user, item = (
            ids.tolist().index(wanted)
            for ids, wanted in (
                (cf.packaged.model.user_ids_, "u1"),
                (cf.packaged.model.item_ids_, title.item),
            )
        )
        assert title.why == give_reason(cf, user, item)
