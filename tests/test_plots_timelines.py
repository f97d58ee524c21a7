"""Pictures of timelines: bars where the spans are, on one axis; and steps that say what happens."""

import json
import re

import pytest

from minidni import plots
from minidni.locking import Span, Timeline
from minidni.locking.costs import Stage
from minidni.locking.schedules import decoupled, gpipe, locked
from minidni.plots.timelines import LOOKS

matplotlib = pytest.importorskip("matplotlib")

SMALL = Timeline(
    (
        Span(0, "forward", 0, 0, 1.0, 2.0),
        Span(1, "wait", 1, 0, 1.0, 2.0),
        Span(1, "forward", 1, 0, 2.0, 3.5),
        Span(1, "backward", 1, 0, 3.5, 5.0),
        Span(0, "wait", 0, 0, 2.0, 5.0),
        Span(0, "backward", 0, 0, 5.0, 6.0),
    ),
    2,
    title="a <small> one",
)


def bars(axes):
    return {(round(p.get_x(), 6), round(p.get_width(), 6), round(p.get_y() + p.get_height() / 2)) for p in axes.patches}


def test_every_span_has_a_bar_in_its_lane_at_its_time():
    (axes,) = plots.show_timelines(SMALL).axes
    assert bars(axes) == {(0, 1, 0), (0, 1, 1), (1, 1.5, 1), (2.5, 1.5, 1), (1, 3, 0), (4, 1, 0)}
    assert axes.get_xlabel() == "time (s)"
    milliseconds = Timeline(tuple(s._replace(start=s.start / 1e3, end=s.end / 1e3) for s in SMALL.spans), 2)
    (axes,) = plots.show_timelines(milliseconds).axes
    assert axes.get_xlabel() == "time (ms)"
    assert (2.5, 1.5, 1) in bars(axes)


def test_no_two_kinds_look_alike():
    assert len({colour for colour, _ in LOOKS.values()}) == len({hatch for _, hatch in LOOKS.values()}) == len(LOOKS)


def test_simulated_and_measured_stand_on_one_axis():
    stages = [Stage(1.0, 2.0, 0.5)] * 3
    figure = plots.show_timelines(locked(stages, 2), decoupled(stages, 2))
    above, below = figure.axes
    assert above.get_xlim() == below.get_xlim() == (0, locked(stages, 2).makespan)
    assert [axes.get_title(loc="left") for axes in figure.axes] == ["locked", "decoupled"]
    assert (
        "locked: 3 workers, 19 s, busy 37 % of the time" in figure.alt
    )  # the last update at the top is not waited for


def test_a_part_of_a_long_one():
    timeline = decoupled([Stage()] * 2, 50)
    (axes,) = plots.show_timelines(timeline, first=20, last=22).axes
    assert {text.get_text() for text in axes.texts} == {"20", "21", "22"}
    with pytest.raises(ValueError, match="no span of decoupled is between minibatches 60 and 70"):
        plots.show_timelines(timeline, first=60, last=70)
    with pytest.raises(ValueError, match="got no timelines, expected at least one"):
        plots.show_timelines()


def test_many_workers_stay_readable():
    (axes,) = plots.show_timelines(gpipe([Stage()] * 40, 1, micro_batches=4)).axes
    assert len(axes.get_yticks()) == 2
    assert not axes.texts


def test_a_step_for_each_moment_with_words():
    steps = plots.step_through(SMALL, unit="s")
    assert steps.moments == [0.0, 1.0, 2.5, 4.0, 5.0]
    assert steps.texts[1] == (
        "1 s\nworker 0: waits for minibatch 0; keeps 1 cache\nworker 1: forward of minibatch 0; keeps 1 cache"
    )
    assert steps.texts[4].endswith("worker 0: idle; keeps 0 caches\nworker 1: idle; keeps 0 caches")


def test_the_page_stands_alone(tmp_path):
    steps = plots.step_through(SMALL)
    steps.write(tmp_path / "steps.html")
    page = (tmp_path / "steps.html").read_text()
    assert "<small>" not in page
    assert not re.search(r"(src|href)=|https?://", page)
    assert page.count("<rect data-i=") == len(SMALL.spans)
    assert page.count("</script>") == 1
    data = json.loads(re.search(r"data = (\{.*?\}), slider", page).group(1))
    assert data["text"] == steps.texts
    assert data["at"] == steps.moments


def test_two_of_them_do_not_disturb_each_other():
    one, other = (
        re.search(r'id="(minidni-steps-\w+)"', plots.step_through(SMALL)._repr_html_()).group(1) for _ in "ab"
    )
    assert one != other


def test_no_text_ends_the_script():
    timeline = Timeline(SMALL.spans, 2, title="</script><script>alert(1)</script>")
    assert plots.step_through(timeline)._repr_html_().count("<script>") == 1
