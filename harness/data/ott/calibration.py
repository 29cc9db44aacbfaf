"""The numbers of the simulated service, set so that the published statistics come out.

They were found by measuring the generated data: see the package's docstring for what
they reach.
"""

__all__ = [
    "ACTIVITY_SPREAD",
    "AGE_SHARE",
    "BUMP_OF_PRIMARY_GENRE",
    "CAST_SHARE",
    "COMPLETION_BASE",
    "COMPLETION_PER_STAR",
    "DIRECTOR_SHARE",
    "FEWEST_RATINGS_OF_REGULARS",
    "FIRST_DAY",
    "GENRE_SHARE",
    "GENRE_TASTE_SHARE",
    "HOUR_WEIGHTS",
    "LATENT_MEAN",
    "LONGEST_MEMBERSHIP_WEEKS",
    "MEAN_WATCH_MINUTES",
    "MOST_RATINGS",
    "NEWCOMER_SHARE",
    "NOISE_VARIANCE",
    "N_GENRES_SHARES",
    "N_RATINGS",
    "N_TASTES",
    "N_TITLES",
    "N_USERS",
    "OWN_SHARE",
    "OWN_TASTE_SHARE",
    "POPULARITY_SPREAD",
    "PULL_OF_CROWD",
    "PULL_OF_PRIMARY_GENRE",
    "PULL_OF_QUALITY",
    "RARE_TITLE_SHARE",
    "RATINGS_PER_WEEK",
    "TASTE_VARIANCE",
    "THEME_SHARE",
    "THEME_TASTE_SHARE",
    "TITLE_VARIANCE",
    "USER_VARIANCE",
    "WEEKEND_WEIGHT",
    "YEAR_SHARE",
]


# Size: 100,000 of 2,000,000 pairs are the published sparsity of 0.95.
N_USERS = 1_000
N_TITLES = 2_000
N_RATINGS = 100_000

# The rating process, in stars before rounding and clipping, which take away some of
# the spread (clipping) and of the mean (more is cut off above than below).
LATENT_MEAN = 3.744
USER_VARIANCE = 0.592
TITLE_VARIANCE = 0.03
TASTE_VARIANCE = 0.053
NOISE_VARIANCE = 0.304

# What the bias of a title comes from: shares of its variance.
GENRE_SHARE = 0.20
DIRECTOR_SHARE = 0.18
CAST_SHARE = 0.10
YEAR_SHARE = 0.07
AGE_SHARE = 0.05
THEME_SHARE = 0.10
OWN_SHARE = 0.30

# What taste comes from: shares of its variance on each axis.
GENRE_TASTE_SHARE = 0.55
THEME_TASTE_SHARE = 0.20
OWN_TASTE_SHARE = 0.25
N_TASTES = 2
BUMP_OF_PRIMARY_GENRE = 0.5

# How many ratings users give: log-normal, with newcomers of 1 to 5 ratings beside
# the regulars.
ACTIVITY_SPREAD = 0.75
FEWEST_RATINGS_OF_REGULARS = 6
MOST_RATINGS = 400
NEWCOMER_SHARE = 0.06

# What users choose: weights of titles are log-normal, higher for good ones, much lower
# for rare ones, and exp(PULL_OF_PRIMARY_GENRE) times as high in the primary genre.
POPULARITY_SPREAD = 1.5
PULL_OF_QUALITY = 0.25
PULL_OF_CROWD = 0.9
RARE_TITLE_SHARE = 0.05
PULL_OF_PRIMARY_GENRE = 4.3
N_GENRES_SHARES = (0.73, 0.24, 0.03)

# When they watch.
FIRST_DAY = "2022-01-03"
RATINGS_PER_WEEK = 2.3
LONGEST_MEMBERSHIP_WEEKS = 130
WEEKEND_WEIGHT = 1.41
HOUR_WEIGHTS = (
    *(25, 12, 6, 4, 3, 4, 8, 14, 18, 20, 22, 26),
    *(32, 34, 34, 36, 42, 52, 70, 96, 150, 168, 142, 70),
)

# How long they watch: the part of a film grows with its rating.
MEAN_WATCH_MINUTES = 95.0
COMPLETION_BASE = 0.55
COMPLETION_PER_STAR = 0.09
