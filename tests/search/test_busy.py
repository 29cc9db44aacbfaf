from datetime import UTC, datetime, timedelta
from types import SimpleNamespace

from harness.search.records import LEFT_BEHIND, busy_seconds

START = datetime(2026, 3, 1, 12, 0, 0, tzinfo=UTC)


def trial(first, last, error=None):
    ended = None if last is None else START + timedelta(seconds=last)
    started = START + timedelta(seconds=first)
    return SimpleNamespace(started=started, ended=ended, error=error)


def test_overlaps_count_once_and_gaps_not_at_all():
    # 0-5 and 3-8 are 8 seconds, 20-21 is one; 4-5 lies inside, the last has not ended.
    spans = [(3, 8), (0, 5), (20, 21), (4, 5), (30, None)]
    assert busy_seconds(SimpleNamespace(trials=[trial(*s) for s in spans])) == 9
    assert busy_seconds(SimpleNamespace(trials=[])) == 0


def test_a_killed_trial_does_not_count_until_somebody_noticed():
    trials = [trial(0, 2), trial(1, 3600, LEFT_BEHIND), trial(3600, 3601, "ValueError")]
    assert busy_seconds(SimpleNamespace(trials=trials)) == 3
