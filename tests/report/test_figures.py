import itertools
import sys
from dataclasses import replace

import matplotlib.image
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.features.blocks import block_weights
from harness.report import figures
from harness.report.figures.candidates import looks
from harness.report.figures.results import pareto_front
from tests.experiment.records import (
    make_claims,
    make_efficiency,
    make_record,
    make_spec,
    make_study,
)
from tests.experiment.scores import INITIAL, TUNED

EIGHT = {
    "cf": ("collaborative filtering", 0.600, 6.1),
    "content": ("content-based with four blocks", 0.680, 3.2),
    "hybrid": ("hybrid of factors and features", 0.590, 0.9),
    "svd": ("SVD", 0.572, 0.42),
    "svd_cold": ("SVD with cold-start features", 0.5719, 0.43),
    "bfm": ("Bayesian factorisation machine", 0.565, 5.9),
    "slope_one": ("slope one of $x_1$ and $y_1$", 0.610, 6.0),
    "nmf": ("a name that goes on for very much longer than it should", 0.6001, 0.41),
}
TEN_STEPS = tuple(k / 10 for k in range(11))


def make_eight():
    tuned = {c: rmse for c, (_, rmse, _) in EIGHT.items()}
    usual = make_efficiency()
    return make_record(
        spec=make_spec(families={c: {"label": n} for c, (n, _, _) in EIGHT.items()}),
        studies={c: make_study("svd") for c in EIGHT},
        efficiency={
            c: usual["svd"] | {"latency_ms": {"p95": p95}}
            for c, (_, _, p95) in EIGHT.items()
        }
        | {"user and item bias": usual["user and item bias"]},
        final={
            "tuned": tuned,
            "initial": {c: rmse + 0.01 for c, rmse in tuned.items()},
        },
    )


def make_one():
    spec = make_spec(
        families={"svd": {"label": "SVD"}},
        variants=[],
        criteria=[],
        claims=[c for c in make_claims() if c.get("candidate", "svd") == "svd"],
    )
    final = {"tuned": {"svd": 0.572}, "initial": {"svd": 0.578}, "variants": {}}
    return make_record(spec=spec, studies={"svd": make_study("svd")}, final=final)


@pytest.fixture
def drawn(tmp_path, monkeypatch):
    """Draw, and hand back the figure that was saved."""
    saved = []

    def draw(function, record):
        module = sys.modules[function.__module__]
        save = module.save_figure

        def keep(figure, path):
            saved.append(figure)
            return save(figure, path)

        with monkeypatch.context() as patch:
            patch.setattr(module, "save_figure", keep)
            assert function(record, tmp_path / "figure.png")
        return saved[-1]

    return draw


def points(axes, label):
    (found,) = (c for c in axes.collections if c.get_label() == label)
    return [tuple(round(float(v), 6) for v in xy) for xy in found.get_offsets()]


def line(axes, label):
    (found,) = (c for c in axes.lines if c.get_label() == label)
    return list(zip(found.get_xdata(), found.get_ydata(), strict=True))


def legend(figure):
    return [text.get_text() for text in figure.legends[0].get_texts()]


SHAPES = {"one family": make_one, "eight families": make_eight}
# Importance takes longer, and one family has no content blocks.
DRAWN = sorted({*figures.__all__} - {"draw_importance", "draw_blocks"})


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("name", DRAWN)
def test_nothing_is_cut_at_the_edge_of_a_figure(shape, name, drawn, tmp_path):
    figure = drawn(getattr(figures, name), SHAPES[shape]())
    around = figure.get_tightbbox()
    width, height = figure.get_size_inches()
    assert around.x0 > -0.01
    assert around.y0 > -0.01
    assert around.x1 < width + 0.01
    assert around.y1 < height + 0.01
    assert matplotlib.image.imread(tmp_path / "figure.png").shape[1] == 880


@pytest.mark.parametrize(
    "draw",
    [
        figures.draw_rmse,
        figures.draw_residuals,
        figures.draw_depth,
        figures.draw_pareto,
    ],
)
def test_before_the_test_set_was_opened_there_is_nothing_to_draw(draw, tmp_path):
    assert not draw(make_record(opened=False), tmp_path / "figure.png")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("draw", "changes"),
    [
        (figures.draw_characteristics, {"profile": {}}),
        (figures.draw_histories, {"studies": {}}),
        (figures.draw_importance, {}),
        (figures.draw_pareto, {"efficiency": {}}),
        (figures.draw_blocks, {"spec": make_one().spec}),
    ],
)
def test_a_figure_without_content_is_not_written(draw, changes, tmp_path):
    assert not draw(make_record(**changes), tmp_path / "figure.png")
    assert not list(tmp_path.iterdir())


def test_families_are_ranked_by_their_tuned_error_and_the_chosen_one_is_bold(drawn):
    axes = drawn(figures.draw_rmse, make_record()).axes[0]
    names = axes.get_yticklabels()
    ranked = ["SVD", "hybrid", "collaborative filtering", "content-based"]
    assert [name.get_text() for name in names] == ranked
    assert [name.get_fontweight() for name in names] == ["bold", *["normal"] * 3]


def test_published_figures_stand_in_the_rows_of_their_families(drawn):
    # Rows: svd, hybrid (for which nothing was published), cf, content.
    found = points(drawn(figures.draw_rmse, make_record()).axes[0], "published")
    rows = {value: round(row) for value, row in found}
    assert rows == {0.5749: 0, 0.89: 2, 0.92: 3}


def test_both_baselines_are_lines_whose_values_are_in_the_legend(drawn):
    figure = drawn(figures.draw_rmse, make_record())
    for label, value in (
        ("user and item bias (0.6600)", 0.66),
        ("global mean (0.9220)", 0.922),
    ):
        assert [x for x, _ in line(figure.axes[0], label)] == [value, value]
        assert label in legend(figure)


def test_a_baseline_far_off_does_not_press_the_families_together(drawn):
    record = make_record(final={"initial": {c: r + 0.01 for c, r in TUNED.items()}})
    spec = make_spec(claims=[])
    figure = drawn(figures.draw_rmse, replace(record, spec=spec))
    assert "global mean (0.9220),\nbeyond the figure" in legend(figure)
    # The highest end of an interval is 0.69 + 0.008.
    assert 0.698 < figure.axes[0].get_xlim()[1] < 0.72


def test_errors_by_star_are_those_of_the_family_chosen(drawn):
    record = make_record()
    expected = record.model("svd")["residuals"]
    left, right = drawn(figures.draw_residuals, record).axes
    heights = [bar.get_height() for bar in left.patches]
    assert heights == [group["mean_error"] for group in expected["by_star"]]
    assert line(right, "groups of about 400") == [
        (group["predicted"], group["actual"]) for group in expected["calibration"]
    ]


def test_characteristics_are_ratios_and_say_if_they_are_within_the_tolerance(drawn):
    # Claimed 3.7 and 0.85, each within 0.02; peak hours are no number.
    record = make_record(profile={"mean": 3.71, "variance": 1.7, "peak_hours": "20:00"})
    axes = drawn(figures.draw_characteristics, record).axes[0]
    assert points(axes, "measured, within tolerance") == [(round(3.71 / 3.7, 6), 0)]
    assert points(axes, "measured, outside") == [(2, 1)]
    assert [t.get_text() for t in axes.get_yticklabels()] == ["mean", "variance"]


def test_a_depth_without_pairs_is_named_and_left_empty(drawn):
    record = make_record()
    for model in record.models:
        nothing = {"n_pairs": 0, "value": None, "low": None, "high": None}
        model["depth"]["items"][0].update(nothing)
    figure = drawn(figures.draw_depth, record)
    users, items = figure.axes
    assert users.get_xticklabels()[0].get_text() == "0\n40 pairs"
    assert items.get_xticklabels()[0].get_text() == "0\nno pairs"
    names = {"collaborative filtering", "content-based", "hybrid", "SVD"}
    assert set(legend(figure)) == names | {"user and item bias"}


def test_intervals_that_are_drawn_are_in_sight_and_a_handful_of_pairs_has_none(drawn):
    record = make_record()
    for model in record.models:
        model["depth"]["users"][0].update(n_pairs=7, low=0.0, high=14.0)
    for axes in drawn(figures.draw_depth, record).axes:
        low, high = axes.get_ylim()
        # Of the others the titles without ratings have the widest: 0.32 stars.
        widest = record.model("content")["depth"]["items"][0]
        assert widest["high"] < high < 2
        assert 0 < low < record.model("svd")["depth"]["items"][0]["low"]


@given(st.lists(st.tuples(st.integers(0, 5), st.integers(0, 5)), min_size=1))
def test_the_front_holds_what_nothing_beats(costs):
    front = [costs[place] for place in pareto_front(costs)]
    assert front == sorted(front)
    for x, y in costs:
        beaten = {(a, b) for a, b in costs if a <= x and b <= y} - {(x, y)}
        assert ((x, y) in front) is not bool(beaten)


def test_the_front_of_accuracy_and_latency_is_marked(drawn):
    # In milliseconds and stars: only the baseline and svd are beaten by nobody.
    axes = drawn(figures.draw_pareto, make_record()).axes[0]
    assert points(axes, "on the front") == [(0.2, 0.66)]
    assert points(axes, "the family chosen") == [(0.42, 0.572)]
    assert set(points(axes, "off the front")) == {(6.1, 0.6), (3.2, 0.68), (0.9, 0.59)}
    assert line(axes, "Pareto front") == [(0.2, 0.66), (0.42, 0.66), (0.42, 0.572)]


def test_names_of_points_overlap_neither_each_other_nor_the_frame(drawn):
    axes = drawn(figures.draw_pareto, make_eight()).axes[0]
    boxes = [t.get_window_extent() for t in axes.texts if t.get_text()]
    assert len(boxes) == 9
    for one, other in itertools.combinations(boxes, 2):
        assert not one.overlaps(other)
    inside = axes.get_window_extent().padded(1)
    assert all(inside.contains(*box.min) and inside.contains(*box.max) for box in boxes)


def test_a_family_whose_costs_were_not_measured_is_left_out(drawn):
    efficiency = make_efficiency()
    del efficiency["content"]
    axes = drawn(figures.draw_pareto, make_record(efficiency=efficiency)).axes[0]
    assert "content-based" not in {text.get_text() for text in axes.texts}


def test_histories_end_with_the_best_value_and_say_what_has_not_converged(drawn):
    # The last 3 of 11 trials gain 0.09 stars, and 0.0003: less than can be noticed.
    studies = {
        "cf": make_study("cf", initial=0.9, best=0.6, progress=TEN_STEPS),
        "svd": make_study("svd", initial=0.576, best=0.575, progress=TEN_STEPS),
    }
    falling, done = drawn(figures.draw_histories, make_record(studies=studies)).axes
    for axes, study in zip((falling, done), studies.values(), strict=True):
        assert line(axes, "best so far")[-1] == (11, study.best.value)
        assert line(axes, "best so far")[0] == (1, study.trials[0].value)
    assert [text.get_text() for text in falling.texts] == ["not converged"]
    assert not done.texts


def test_importance_is_drawn_for_families_with_trials_enough(drawn, monkeypatch):
    shares = {f"parameter_{k}": 0.9 / 2**k for k in range(10)}
    module = sys.modules[figures.draw_importance.__module__]
    monkeypatch.setattr(module, "dominating_choice", lambda *_: {})
    monkeypatch.setattr(
        module,
        "param_importance",
        lambda study: shares if study.family == "svd" else {},
    )
    figure = drawn(figures.draw_importance, make_record())
    (axes,) = figure.axes
    assert axes.get_title(loc="left") == "SVD"
    # The eight most important ones, the first on top.
    names = [text.get_text() for text in axes.get_yticklabels()]
    assert names == list(shares)[:8]
    assert [b.get_width() for b in axes.patches] == list(shares.values())[:8]
    assert axes.get_ylim() == (7.5, -0.5)


def test_where_a_choice_dominates_a_second_panel_shows_importance_within_it(
    drawn, monkeypatch
):
    def shares(study, given=None):
        if study.family != "cf":
            return {}
        return (
            {"min_support": 1.0} if given else {"similarity": 0.9, "min_support": 0.1}
        )

    module = sys.modules[figures.draw_importance.__module__]
    monkeypatch.setattr(module, "param_importance", shares)
    everywhere, within = drawn(figures.draw_importance, make_record()).axes
    assert everywhere.get_title(loc="left") == "collaborative filtering"
    # The tuned settings of the fixture.
    assert within.get_title(loc="left") == (
        "collaborative filtering\nof trials with similarity = pearson_baseline"
    )
    assert [b.get_width() for b in within.patches] == [1.0]


def test_depths_with_a_handful_of_pairs_have_no_whiskers(drawn):
    final = make_record().final
    for model in final["models"]:
        model["depth"]["users"][0] |= {"n_pairs": 29, "low": -5.0, "high": 9.0}
        model["depth"]["users"][1] |= {"n_pairs": 30}
    record = make_record(final={"changes": {"models": final["models"]}})
    axes = drawn(figures.draw_depth, record).axes[0]
    drawn_ends = [bars.lines[2][0].get_segments() for bars in axes.containers]
    assert len(drawn_ends) == len(TUNED)
    for few, enough, *_ in drawn_ends:
        assert few.size == 0
        # The fixture: 2 / sqrt(260) on both sides, whatever the count of pairs says.
        assert np.ptp(enough[:, 1]) == pytest.approx(4 / 260**0.5)


def test_block_weights_are_shares_published_beside_tuned(drawn):
    # Tuned 0.08, 0.81, 0.32 and 0.11 sum to 1.32.
    axes = drawn(figures.draw_blocks, make_record()).axes[0]
    widths = [bar.get_width() for bar in axes.patches]
    assert widths[:4] == pytest.approx([0.30, 0.35, 0.20, 0.15])
    assert widths[4:] == pytest.approx([0.08 / 1.32, 0.81 / 1.32, 0.32 / 1.32, 1 / 12])


def test_block_weights_that_the_file_claims_are_the_published_ones(drawn):
    claims = [
        ("content", f"block.{block}", weight, {})
        for block, weight in (
            ("metadata", 0.1),
            ("genre", 0.2),
            ("text", 0.3),
            ("people", 0.4),
        )
    ]
    record = make_record(spec=make_spec(claims=make_claims(claims)))
    axes = drawn(figures.draw_blocks, record).axes[0]
    widths = [bar.get_width() for bar in axes.patches][:4]
    assert widths == pytest.approx([0.1, 0.2, 0.3, 0.4])


def test_the_weight_of_statistics_is_a_fifth_bar_without_a_published_one(drawn):
    final = make_record().final
    content = next(m for m in final["models"] if m["name"] == "content, tuned")
    content["params"] = content["params"] | {"statistics_weight": 1.5}
    record = make_record(final={"changes": {"models": final["models"]}})
    figure = drawn(figures.draw_blocks, record)
    axes = figure.axes[0]
    assert axes.get_yticklabels()[4].get_text() == "statistics,\nbeside these"
    widths = [bar.get_width() for bar in axes.patches]
    assert (len(widths), widths[-1]) == (9, 1.5)
    names = [text.get_text() for text in figure.legends[0].get_texts()]
    assert names == ["published study, the defaults", "tuned"]


def test_weights_that_are_all_zero_are_no_shares():
    params = dict.fromkeys(
        ("metadata_weight", "genre_weight", "text_weight", "people_weight"), 0.0
    )
    assert block_weights(params) == {}
    assert block_weights({**params, "text_weight": 0.5})["text"] == 1


def test_before_the_test_set_was_opened_block_weights_are_those_of_the_best_trial(
    drawn,
):
    record = make_record(opened=False)
    axes = drawn(figures.draw_blocks, record).axes[0]
    expected = block_weights(record.studies["content"].best.params)
    widths = [bar.get_width() for bar in axes.patches][4:]
    assert widths == pytest.approx(list(expected.values()))


def test_a_name_may_be_long_and_in_a_script_that_the_font_lacks(drawn):
    families = {"svd": {"label": "矩阵分解 " * 30}, "cf": {"label": "x" * 200}}
    spec = make_spec(families=families, variants=[], criteria=[], claims=[])
    record = replace(make_record(), spec=spec)
    for draw in (figures.draw_rmse, figures.draw_depth, figures.draw_pareto):
        figure = drawn(draw, record)
        names = [*figure.axes[0].get_yticklabels(), *figure.axes[0].texts]
        assert all(name.get_text().count("\n") <= 1 for name in names)


def test_two_dozen_candidates_all_look_different():
    families = {f"svd{k}": {"family": "svd"} for k in range(24)}
    spec = make_spec(families=families, variants=[], criteria=[], claims=[])
    found = looks(replace(make_record(), spec=spec)).values()
    assert len({(look.marker, look.face) for look in found}) == 24


def test_a_family_that_was_not_run_has_no_row(drawn):
    final = {
        "tuned": {"svd": TUNED["svd"]},
        "initial": {"svd": INITIAL["svd"]},
        "variants": {},
    }
    axes = drawn(figures.draw_rmse, make_record(final=final)).axes[0]
    assert [name.get_text() for name in axes.get_yticklabels()] == ["SVD"]
