"""The whole simulated service: titles, audience, ratings."""

import numpy as np

from harness.data.catalogue import Catalogue
from harness.data.dataset import Dataset
from harness.data.ott.audience import choose_titles, draw_audience
from harness.data.ott.calibration import N_USERS
from harness.data.ott.catalogue_frame import make_catalogue
from harness.data.ott.people import draw_people
from harness.data.ott.stars import draw_leanings, draw_stars
from harness.data.ott.titles import draw_titles
from harness.data.ott.viewing import draw_minutes, draw_times
from harness.data.ratings import Ratings, RatingScale

__all__ = ["generate_ott"]

NOTE = (
    "The ratings are simulated: a program made them (seed {seed}), from published "
    "statistics; titles and people are invented."
)


def generate_ott(seed: int = 0) -> Dataset:
    """Simulate the ratings, the viewing and the catalogue of a streaming service.

    Parameters
    ----------
    seed : int, default 0
        Equal seeds give equal data sets; the statistics are the same for all seeds.

    Returns
    -------
    Dataset
        Named ``"ott"``, with ``simulated=True``: 100,000 ratings of 1 to 5 stars in
        half stars, in the order in which they were given, with times and minutes
        watched; 1,000 users; 2,000 titles, some of which nobody has rated.
    """
    chance = [np.random.default_rng(s) for s in np.random.SeedSequence(seed).spawn(5)]
    titles = draw_titles(chance[0])
    people = draw_people(chance[1], titles)
    frame = make_catalogue(chance[2], titles, people)
    audience = draw_audience(chance[3], titles)
    leanings = draw_leanings(chance[3], titles, people, audience)
    users, items = choose_titles(chance[3], titles, audience, leanings.titles)
    stars = draw_stars(chance[3], leanings, users, items)
    times = draw_times(chance[4], users)
    minutes = draw_minutes(chance[4], titles, items, stars)
    order = np.argsort(times, kind="stable")
    ids = frame["unique_id"].to_numpy(dtype=object)
    user_ids = np.array([f"user_{k:04d}" for k in range(N_USERS)], dtype=object)
    ratings = Ratings.from_codes(
        (users[order], user_ids),
        (items[order], ids),
        stars[order],
        scale=RatingScale(1.0, 5.0),
        timestamps=times[order],
        unrated_items=ids.tolist(),
    )
    row_of = {unique_id: row for row, unique_id in enumerate(ids)}
    frame = frame.iloc[[row_of[i] for i in ratings.item_ids]]
    return Dataset(
        name="ott" if seed == 0 else f"ott-{seed}",
        ratings=ratings,
        catalogue=Catalogue(frame.reset_index(drop=True)),
        source="ott",
        simulated=True,
        notes=(NOTE.format(seed=seed),),
        watch_minutes=minutes[order][ratings.rows],
    )
