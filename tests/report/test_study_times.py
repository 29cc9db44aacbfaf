from datetime import timedelta

from harness.report.study_report import time_table


def test_time_is_told_from_the_first_start_to_the_last_end(
    make_study, make_trial, make_final
):
    late = make_trial(0).started + timedelta(seconds=90)
    trials = [
        make_trial(0),
        make_trial(1, started=late, ended=late + timedelta(seconds=1)),
    ]
    final = make_final(1, {"tuned": 0.9}, [])
    text = time_table(make_study(trials, final=final))
    assert "| from the first start to the last end | 1 min 31 s |" in text
    assert "| of it with a trial under way | 2.0 s |" in text
    assert "| of it per trial | 1.0 s |" in text
    assert "| training of the best settings on a fold | 500 ms |" in text
    assert "on the whole training part | 250 ms |" in text
