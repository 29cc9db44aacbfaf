"""The whole simulated service: ratings in stars, and when they were given."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from harness.data.catalogue import Catalogue
from harness.data.dataset import Dataset
from harness.data.ott import calibration as c
from harness.data.ott.audience import Audience, choose_titles, draw_audience
from harness.data.ott.calibration import N_USERS
from harness.data.ott.titles import (
    People,
    Titles,
    draw_people,
    draw_titles,
    make_catalogue,
)
from harness.data.ratings import Ratings, RatingScale

__all__ = ["generate_ott"]


Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, kw_only=True, eq=False)
class Leanings:
    """What moves ratings, each on a scale of its own."""

    users: Floats  # shape (N_USERS,): How generous a user is
    titles: Floats  # shape (n_titles,): How good a title is, in standard deviations
    tastes: Floats  # shape (N_USERS, n_titles): How well a title suits a user


def draw_leanings(
    rng: np.random.Generator, titles: Titles, people: People, audience: Audience
) -> Leanings:
    """Draw title biases and tastes."""
    return Leanings(
        users=audience.generosity,
        titles=_title_biases(rng, titles, people),
        tastes=_tastes(rng, titles, audience.primary_genres),
    )


def _title_biases(rng: np.random.Generator, titles: Titles, people: People) -> Floats:
    n_titles, n_genres = titles.genres.shape
    n_genres_of = titles.genres.sum(axis=1)
    by_actor = np.append(rng.normal(size=len(people.names)), 0.0)  # -1 is nobody
    total = _mixed(
        (c.GENRE_SHARE, titles.genres @ rng.normal(size=n_genres) / n_genres_of),
        (c.DIRECTOR_SHARE, rng.normal(size=len(people.names))[people.directors]),
        (c.CAST_SHARE, by_actor[people.casts].sum(axis=1)),
        (c.YEAR_SHARE, -titles.years.astype(float)),
        (c.AGE_SHARE, titles.age_classes.astype(float)),
        (c.THEME_SHARE, rng.normal(size=titles.themes.max() + 1)[titles.themes]),
        (c.OWN_SHARE, rng.normal(size=(n_titles,))),
    )
    return _standardised(total)


def _tastes(rng: np.random.Generator, titles: Titles, primary: Ints) -> Floats:
    """Place users and titles on a few axes of taste; taste is their inner product.

    Few axes, so that ratings of other users can tell them: a factorisation recovers
    an axis of variance v under noise of variance s only if v / s exceeds
    1 / (density sqrt(n_users n_titles)) = 0.014 here.
    """
    n_titles, n_genres = titles.genres.shape
    by_genre = rng.normal(size=(n_genres, c.N_TASTES))
    by_theme = rng.normal(size=(titles.themes.max() + 1, c.N_TASTES))
    places = _mixed(
        (c.GENRE_TASTE_SHARE, titles.genres @ by_genre),
        (c.THEME_TASTE_SHARE, by_theme[titles.themes]),
        (c.OWN_TASTE_SHARE, rng.normal(size=(n_titles, c.N_TASTES))),
    )
    leanings = rng.normal(size=(c.N_USERS, c.N_TASTES))
    leanings += c.BUMP_OF_PRIMARY_GENRE * by_genre[primary]
    tastes: Floats = leanings @ places.T
    return tastes


def draw_stars(
    rng: np.random.Generator, leanings: Leanings, users: Ints, items: Ints
) -> npt.NDArray[np.float32]:
    r"""Let users rate what they have chosen.

    .. math:: r_{ui} = \mathrm{round}(\mu + b_u + b_i + t_{ui} + \varepsilon_{ui})

    Over the given pairs, each term has mean 0 and its calibrated variance, and so has
    their sum: all seeds give the same statistics.
    """
    total = _mixed(
        (c.USER_VARIANCE, leanings.users[users]),
        (c.TITLE_VARIANCE, leanings.titles[items]),
        (c.TASTE_VARIANCE, leanings.tastes[users, items]),
        (c.NOISE_VARIANCE, rng.normal(size=len(users))),
    )
    variance = c.USER_VARIANCE + c.TITLE_VARIANCE + c.TASTE_VARIANCE + c.NOISE_VARIANCE
    # The terms are almost, but not exactly, uncorrelated over the chosen pairs.
    latent = c.LATENT_MEAN + np.sqrt(variance) * _standardised(total)
    stars: npt.NDArray[np.float32] = (np.round(2 * latent) / 2).astype(np.float32)
    return stars.clip(1, 5)


def _mixed(*parts: tuple[float, Floats]) -> Floats:
    """Add up parts, each scaled to its variance."""
    total: Floats = sum(
        (np.sqrt(variance) * _standardised(part) for variance, part in parts),
        start=np.zeros(1),
    )
    return total


def _standardised(values: Floats) -> Floats:
    """Give each column mean 0 and variance 1."""
    standardised: Floats = (values - values.mean(axis=0)) / values.std(axis=0)
    return standardised


DAY = 86_400


def draw_times(rng: np.random.Generator, users: Ints) -> Ints:
    """Draw the time of each rating.

    A user is a member for some weeks, longer with more ratings, from the first rating
    to the last; weekends and evenings are busier.
    """
    activity = np.bincount(users, minlength=c.N_USERS)
    n_days = 7 * c.LONGEST_MEMBERSHIP_WEEKS
    lengths = _membership_days(rng, activity)
    joined = np.floor(rng.random(c.N_USERS) * (n_days - lengths))
    # busy[d] is the viewing before day d: users are spread evenly over it.
    weekday = np.arange(n_days) % 7  # the first day is a Monday
    busy = np.concatenate(
        [[0.0], np.cumsum(np.where(weekday >= 5, c.WEEKEND_WEIGHT, 1.0))]
    )
    begin, end = (
        np.interp(d, np.arange(n_days + 1), busy) for d in (joined, joined + lengths)
    )
    share = rng.random(len(users))
    first = np.searchsorted(users, np.arange(c.N_USERS))
    share[first] = 0.0
    share[first[activity > 1] + 1] = 1.0 - 1e-9
    days = np.interp(
        begin[users] + share * (end - begin)[users], busy, np.arange(n_days + 1)
    )
    weights = np.array(c.HOUR_WEIGHTS) / sum(c.HOUR_WEIGHTS)
    hours = rng.choice(24, size=len(users), p=weights)
    start = np.datetime64(c.FIRST_DAY, "s").astype(np.int64)
    seconds: Ints = start + np.floor(days).astype(np.int64) * DAY + hours * 3600
    return seconds + rng.integers(3600, size=len(users))


def _membership_days(
    rng: np.random.Generator, activity: Ints
) -> npt.NDArray[np.float64]:
    """Draw lengths whose sum gives the published ratings per week."""
    wanted = activity.sum() / c.RATINGS_PER_WEEK * 7
    weights = np.sqrt(activity) * rng.lognormal(0, 0.35, len(activity))
    longest = 7.0 * c.LONGEST_MEMBERSHIP_WEEKS
    scale = wanted / weights.sum()
    lengths = weights
    for _ in range(30):  # what the bounds take away, the others make up for
        # A single rating has no length: it counts as one week.
        lengths = np.where(activity > 1, (scale * weights).clip(7, longest), 7.0)
        scale *= wanted / lengths.sum()
    return lengths


def draw_minutes(
    rng: np.random.Generator,
    titles: Titles,
    items: Ints,
    stars: npt.NDArray[np.float32],
) -> npt.NDArray[np.float32]:
    """Draw how long each rated title was watched.

    Of a film, a part that grows with its rating; of a show, some episodes in a row.
    Sittings in front of shows are scaled so that the mean over all ratings is the
    published one.
    """
    part = (
        c.COMPLETION_BASE
        + c.COMPLETION_PER_STAR * stars
        + rng.normal(0, 0.1, len(items))
    )
    minutes = titles.minutes[items] * part.clip(0.1, 1.0)
    shows = titles.shows[items]
    episodes = minutes[shows] * rng.gamma(3.0, size=int(shows.sum()))
    left = c.MEAN_WATCH_MINUTES * len(items) - minutes[~shows].sum()
    minutes[shows] = episodes * left / episodes.sum()
    watched: npt.NDArray[np.float32] = minutes.astype(np.float32)
    return watched


NOTE = (
    "The ratings are simulated: a program made them (seed {seed}), from published "
    "statistics; titles and people are invented."
)


def generate_ott(seed: int = 0) -> Dataset:
    """Simulate the ratings, the viewing and the catalogue of a streaming service."""
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
