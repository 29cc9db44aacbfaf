import itertools
import sys
from dataclasses import replace

import matplotlib.image
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.evaluation.results import CalibrationGroup, StarGroup
from harness.evaluation.statistics import Estimate
from harness.features.blocks import block_weights
from harness.report.figures.candidates import marks_of
from harness.report.figures.data import draw_characteristics
from harness.report.figures.results import (
    draw_blocks,
    draw_depth,
    draw_pareto,
    draw_residuals,
    draw_scores,
    pareto_front,
    star_names,
)
from harness.report.figures.search import (
    draw_histories,
    draw_importance,
    draw_slices,
)
from harness.report.figures.trade_offs import draw_fronts
from tests.experiment.records import (
    make_claims,
    make_costs,
    make_front_study,
    make_record,
    make_spec,
    make_study,
    make_study_record,
    with_models,
)
from tests.experiment.scores import INITIAL, TUNED
from tests.facts import search_settings

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
    usual = make_costs()
    return make_record(
        spec=make_spec(families={c: {"label": n} for c, (n, _, _) in EIGHT.items()}),
        studies={c: make_study("svd") for c in EIGHT},
        costs={
            c: replace(usual["svd"], latency_p95_ms=p95)
            for c, (_, _, p95) in EIGHT.items()
        }
        | {"user and item bias": usual["user and item bias"]},
        judged={
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
    return make_record(spec=spec, studies={"svd": make_study("svd")}, judged=final)


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
DRAWN = (
    draw_characteristics,
    draw_depth,
    draw_histories,
    draw_pareto,
    draw_residuals,
    draw_scores,
)


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("draw", DRAWN)
def test_nothing_is_cut_at_the_edge_of_a_figure(shape, draw, drawn, tmp_path):
    figure = drawn(draw, SHAPES[shape]())
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
        draw_scores,
        draw_residuals,
        draw_depth,
        draw_pareto,
    ],
)
def test_before_the_test_set_was_opened_there_is_nothing_to_draw(draw, tmp_path):
    assert not draw(make_record(opened=False), tmp_path / "figure.png")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("draw", "changes"),
    [
        (draw_characteristics, {"profile": {}}),
        (draw_histories, {"studies": {}}),
        (draw_importance, {}),
        (draw_pareto, {"costs": {}}),
        (draw_blocks, {"spec": make_one().spec}),
    ],
)
def test_a_figure_without_content_is_not_written(draw, changes, tmp_path):
    assert not draw(make_record(**changes), tmp_path / "figure.png")
    assert not list(tmp_path.iterdir())


def test_families_are_ranked_by_their_tuned_error_and_the_chosen_one_is_bold(drawn):
    axes = drawn(draw_scores, make_record()).axes[0]
    names = axes.get_yticklabels()
    ranked = ["SVD", "hybrid", "collaborative filtering", "content-based"]
    assert [name.get_text() for name in names] == ranked
    assert [name.get_fontweight() for name in names] == ["bold", *["normal"] * 3]


def test_published_figures_stand_in_the_rows_of_their_families(drawn):
    # Rows: svd, hybrid (for which nothing was published), cf, content.
    found = points(drawn(draw_scores, make_record()).axes[0], "published")
    rows = {value: round(row) for value, row in found}
    assert rows == {0.5749: 0, 0.89: 2, 0.92: 3}


def test_both_baselines_are_lines_whose_values_are_in_the_legend(drawn):
    figure = drawn(draw_scores, make_record())
    for label, value in (
        ("user and item bias (0.6600)", 0.66),
        ("global mean (0.9220)", 0.922),
    ):
        assert [x for x, _ in line(figure.axes[0], label)] == [value, value]
        assert label in legend(figure)


def test_a_baseline_far_off_does_not_press_the_families_together(drawn):
    record = make_record(judged={"initial": {c: r + 0.01 for c, r in TUNED.items()}})
    spec = make_spec(claims=[])
    figure = drawn(draw_scores, replace(record, spec=spec))
    assert "global mean (0.9220),\nbeyond the figure" in legend(figure)
    # The highest end of an interval is 0.69 + 0.008.
    assert 0.698 < figure.axes[0].get_xlim()[1] < 0.72


def test_errors_by_star_are_those_of_the_family_chosen(drawn):
    record = make_record()
    expected = record.model("svd").residuals
    left, right = drawn(draw_residuals, record).axes
    heights = [bar.get_height() for bar in left.patches]
    assert heights == [group.mean_error for group in expected.by_star]
    assert line(right, "groups of about 400") == [
        (group.predicted, group.actual) for group in expected.calibration
    ]


def test_characteristics_are_ratios_and_say_if_they_are_within_the_tolerance(drawn):
    # Claimed 3.7 and 0.85, each within 0.02; peak hours are no number.
    record = make_record(profile={"mean": 3.71, "variance": 1.7, "peak_hours": "20:00"})
    axes = drawn(draw_characteristics, record).axes[0]
    assert points(axes, "measured, within tolerance") == [(round(3.71 / 3.7, 6), 0)]
    assert points(axes, "measured, outside") == [(2, 1)]
    assert [t.get_text() for t in axes.get_yticklabels()] == ["mean", "variance"]


def with_depth(record, side, depth, **changes):
    """Change one depth of all models."""

    def change(model):
        groups = tuple(
            replace(group, **changes) if group.depth == depth else group
            for group in model.depth[side]
        )
        return replace(model, depth={**model.depth, side: groups})

    return with_models(record, change)


def test_a_depth_without_pairs_is_left_out(drawn):
    record = with_depth(make_record(), "items", "0", n_pairs=0, rmse=None)
    figure = drawn(draw_depth, record)
    users, items = figure.axes
    assert users.get_xticklabels()[0].get_text() == "0\n40 pairs"
    assert items.get_xticklabels()[0].get_text() == "1-5\n260 pairs"
    names = {"collaborative filtering", "content-based", "hybrid", "SVD"}
    assert set(legend(figure)) == names | {"user and item bias"}


def test_a_side_of_which_all_pairs_have_one_depth_has_no_panel(drawn):
    record = make_record()
    for depth in ("0", "1-5", "6-20"):
        record = with_depth(record, "items", depth, n_pairs=0, rmse=None)
    (axes,) = drawn(draw_depth, record).axes
    assert axes.get_title(loc="left") == "By training ratings of the user"


def test_intervals_that_are_drawn_are_in_sight_and_a_handful_of_pairs_has_none(drawn):
    wide = Estimate(value=0.75, low=0.0, high=14.0)
    record = with_depth(make_record(), "users", "0", n_pairs=7, rmse=wide)
    for axes in drawn(draw_depth, record).axes:
        low, high = axes.get_ylim()
        # Of the others the titles without ratings have the widest: 0.32 stars.
        assert record.model("content").depth["items"][0].rmse.high < high < 2
        assert 0 < low < record.model("svd").depth["items"][0].rmse.low


@given(st.lists(st.tuples(st.integers(0, 5), st.integers(0, 5)), min_size=1))
def test_the_front_holds_what_nothing_beats(costs):
    front = [costs[place] for place in pareto_front(costs)]
    assert front == sorted(front)
    for x, y in costs:
        beaten = {(a, b) for a, b in costs if a <= x and b <= y} - {(x, y)}
        assert ((x, y) in front) is not bool(beaten)


def test_the_front_of_accuracy_and_latency_is_marked(drawn):
    # In milliseconds and stars: only the baseline and svd are beaten by nobody.
    axes = drawn(draw_pareto, make_record()).axes[0]
    assert points(axes, "on the front") == [(0.2, 0.66)]
    assert points(axes, "the family chosen") == [(0.42, 0.572)]
    assert set(points(axes, "off the front")) == {(6.1, 0.6), (3.2, 0.68), (0.9, 0.59)}
    assert line(axes, "Pareto front") == [(0.2, 0.66), (0.42, 0.66), (0.42, 0.572)]


def test_names_of_points_overlap_neither_each_other_nor_the_frame(drawn):
    axes = drawn(draw_pareto, make_eight()).axes[0]
    boxes = [t.get_window_extent() for t in axes.texts if t.get_text()]
    assert len(boxes) == 9
    for one, other in itertools.combinations(boxes, 2):
        assert not one.overlaps(other)
    inside = axes.get_window_extent().padded(1)
    assert all(inside.contains(*box.min) and inside.contains(*box.max) for box in boxes)


def test_a_family_whose_costs_were_not_measured_is_left_out(drawn):
    costs = make_costs()
    del costs["content"]
    axes = drawn(draw_pareto, make_record(costs=costs)).axes[0]
    assert "content-based" not in {text.get_text() for text in axes.texts}


def test_histories_end_with_the_best_value_and_say_what_has_not_converged(drawn):
    # The last 3 of 11 trials gain 0.09 stars, and 0.0003: less than can be noticed.
    studies = {
        "cf": make_study("cf", initial=0.9, best=0.6, progress=TEN_STEPS),
        "svd": make_study("svd", initial=0.576, best=0.575, progress=TEN_STEPS),
    }
    falling, done = drawn(draw_histories, make_record(studies=studies)).axes
    for axes, study in zip((falling, done), studies.values(), strict=True):
        assert line(axes, "best so far")[-1] == (11, study.best.value)
        assert line(axes, "best so far")[0] == (1, study.trials[0].value)
    assert [text.get_text() for text in falling.texts] == ["not converged"]
    assert not done.texts


def test_importance_is_drawn_for_families_with_trials_enough(drawn, monkeypatch):
    shares = {f"parameter_{k}": 0.9 / 2**k for k in range(10)}
    module = sys.modules[draw_importance.__module__]
    monkeypatch.setattr(module, "dominating_choice", lambda *_: {})
    monkeypatch.setattr(
        module,
        "param_importance",
        lambda study: shares if study.family == "svd" else {},
    )
    figure = drawn(draw_importance, make_record())
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

    module = sys.modules[draw_importance.__module__]
    monkeypatch.setattr(module, "param_importance", shares)
    everywhere, within = drawn(draw_importance, make_record()).axes
    assert everywhere.get_title(loc="left") == "collaborative filtering"
    # The tuned settings of the fixture.
    assert within.get_title(loc="left") == (
        "collaborative filtering\nof trials with similarity = pearson_baseline"
    )
    assert [b.get_width() for b in within.patches] == [1.0]


def test_an_importance_that_would_be_nothing_per_cent_has_no_bar(drawn, monkeypatch):
    module = sys.modules[draw_importance.__module__]
    monkeypatch.setattr(module, "dominating_choice", lambda *_: {})
    shares = {"a": 0.7, "b": 0.296, "c": 0.004, "d": 0.0}
    monkeypatch.setattr(module, "param_importance", lambda _: shares)
    axes = drawn(draw_importance, make_record()).axes[0]
    assert [text.get_text() for text in axes.get_yticklabels()] == ["a", "b"]


def test_depths_with_a_handful_of_pairs_have_no_whiskers(drawn):
    record = with_depth(make_record(), "users", "0", n_pairs=29)
    record = with_depth(record, "users", "1-5", n_pairs=30)
    axes = drawn(draw_depth, record).axes[0]
    drawn_ends = [bars.lines[2][0].get_segments() for bars in axes.containers]
    assert len(drawn_ends) == len(TUNED)
    for few, enough, *_ in drawn_ends:
        assert few.size == 0
        # The fixture: 2 / sqrt(260) on both sides, whatever the count of pairs says.
        assert np.ptp(enough[:, 1]) == pytest.approx(4 / 260**0.5)


def test_block_weights_are_shares_published_ones_only_where_the_file_claims_them(drawn):
    # Tuned 0.08, 0.81, 0.32 and 0.11 sum to 1.32.
    figure = drawn(draw_blocks, make_record())
    widths = [bar.get_width() for bar in figure.axes[0].patches]
    assert widths == pytest.approx([0.08 / 1.32, 0.81 / 1.32, 0.32 / 1.32, 1 / 12])
    assert legend(figure) == ["tuned"]


def test_a_block_that_is_off_has_no_bar(drawn):
    def off(model):
        is_content = model.name == "content, tuned"
        return replace(model, blocks_off=("text", "people")) if is_content else model

    axes = drawn(draw_blocks, with_models(make_record(), off)).axes[0]
    # 0.08 and 0.81 of 0.89.
    widths = [bar.get_width() for bar in axes.patches]
    assert widths == pytest.approx([0.08 / 0.89, 0.81 / 0.89])
    names = [text.get_text() for text in axes.get_yticklabels()]
    assert names == ["metadata", "genre"]


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
    axes = drawn(draw_blocks, record).axes[0]
    widths = [bar.get_width() for bar in axes.patches][:4]
    assert widths == pytest.approx([0.1, 0.2, 0.3, 0.4])


def test_the_weight_of_statistics_is_a_fifth_bar(drawn):
    def change(model):
        params = {**model.params, "statistics_weight": 1.5}
        return replace(model, params=params) if model.candidate == "content" else model

    axes = drawn(draw_blocks, with_models(make_record(), change)).axes[0]
    assert axes.get_yticklabels()[4].get_text() == "statistics,\nbeside these"
    widths = [bar.get_width() for bar in axes.patches]
    assert (len(widths), widths[-1]) == (5, 1.5)


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
    axes = drawn(draw_blocks, record).axes[0]
    expected = block_weights(record.studies["content"].best.params)
    widths = [bar.get_width() for bar in axes.patches]
    assert widths == pytest.approx(list(expected.values()))


def test_a_name_may_be_long_and_in_a_script_that_the_font_lacks(drawn):
    families = {"svd": {"label": "矩阵分解 " * 30}, "cf": {"label": "x" * 200}}
    spec = make_spec(families=families, variants=[], criteria=[], claims=[])
    record = make_record(spec=spec)
    for draw in (draw_scores, draw_depth, draw_pareto):
        figure = drawn(draw, record)
        names = [*figure.axes[0].get_yticklabels(), *figure.axes[0].texts]
        assert all(name.get_text().count("\n") <= 1 for name in names)


def test_two_dozen_candidates_all_look_different():
    families = {f"svd{k}": {"family": "svd"} for k in range(24)}
    spec = make_spec(families=families, variants=[], criteria=[], claims=[])
    found = marks_of(replace(make_record(), spec=spec)).values()
    assert len({(mark.marker, mark.face) for mark in found}) == 24


def test_a_family_that_was_not_run_has_no_row(drawn):
    final = {
        "tuned": {"svd": TUNED["svd"]},
        "initial": {"svd": INITIAL["svd"]},
        "variants": {},
    }
    axes = drawn(draw_scores, make_record(judged=final)).axes[0]
    assert [name.get_text() for name in axes.get_yticklabels()] == ["SVD"]


def star_groups(*values):
    return [StarGroup(star=v, n=1, mean_error=0.0, rmse=1.0) for v in values]


@pytest.mark.parametrize(
    ("values", "names"),
    [
        ((1, 2, 3, 4, 5), ["1", "2", "3", "4", "5"]),
        ((0.5, 1.0, 4.5), ["0.5", "1", "4.5"]),
        ((587.795, 1763.385, 2938.975), ["588", "1,763", "2,939"]),
        ((0.0125, 0.0375), ["0.0125", "0.0375"]),
        ((3.6,), ["3.6"]),
    ],
)
def test_groups_of_ratings_have_the_digits_that_tell_them_apart(values, names):
    assert star_names(star_groups(*values)) == names


def test_a_legend_says_how_many_ratings_a_group_has(drawn):
    def change(model):
        groups = tuple(
            CalibrationGroup(predicted=float(k), actual=float(k), n=n)
            for k, n in enumerate((81, 79, 2400))
        )
        return replace(model, residuals=replace(model.residuals, calibration=groups))

    axes = drawn(draw_residuals, with_models(make_record(), change)).axes[1]
    assert "groups of 79 to 2,400" in [
        text.get_text() for text in axes.get_legend().get_texts()
    ]


def test_an_axis_of_large_numbers_has_no_offset(drawn):
    study = make_study("svd", initial=3779.9, best=3778.8)
    axes = drawn(draw_histories, make_study_record(study=study)).axes[0]
    assert axes.yaxis.get_offset_text().get_text() == ""
    assert all(
        float(text.get_text().replace(",", "")) > 3700
        for text in axes.get_yticklabels()
    )


def test_the_history_of_a_study_shows_every_trial(drawn):
    axes = drawn(draw_histories, make_study_record()).axes[0]
    # Nine complete, of which one is the best; two pruned; one failed.
    counts = {c.get_label(): len(c.get_offsets()) for c in axes.collections}
    assert counts == {"complete": 8, "best": 1, "pruned (estimate)": 2, "failed": 1}
    assert line(axes, "best so far")[-1] == (11, make_study("svd").best.value)


def test_slices_show_the_parameters_that_were_searched(tmp_path):
    assert draw_slices(make_study("svd"), tmp_path / "s.png", unit="stars")
    fixed = replace(
        make_study("svd"),
        settings=search_settings(space={"n_factors": {"type": "fixed", "value": 3}}),
    )
    assert not draw_slices(fixed, tmp_path / "none.png", unit="stars")
    assert not (tmp_path / "none.png").exists()


def test_a_front_is_drawn_where_there_are_several_objectives(tmp_path):
    sizes = [5e6, 4e6, 9e6, 8e6, 6e6, 70e6, 7e6, 6.5e6, 9e6]
    study = make_front_study("svd", sizes)
    path = tmp_path / "fronts.png"
    assert draw_fronts(make_study_record(study=study), path)
    assert matplotlib.image.imread(path).std() > 0
    assert not draw_fronts(make_record(), tmp_path / "none.png")
