"""Find out which recommender to use for your ratings, and prove it."""

__version__ = "0.1.0"
