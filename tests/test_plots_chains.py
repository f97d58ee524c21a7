"""The picture of a chain says who updates on what, and who learns from whom."""

import io

import numpy as np
import pytest

from minidni import SGD, Chain, Linear, Segment, Sequential, SquaredError, Synthesizer, plots
from minidni.dni import Zero

matplotlib = pytest.importorskip("matplotlib")


def chain(*signals):
    """A segment of one linear layer below each signal, and one of two layers below the loss."""
    segments = [Segment(Sequential(Linear(3, 3)), signal, SGD(0.1), name=f"S{i}") for i, signal in enumerate(signals)]
    top = Segment(Sequential(Linear(3, 3), Linear(3, 2)), SquaredError(), SGD(0.1), name="top")
    return Chain(*segments, top)


def texts(figure):
    return [text.get_text() for text in figure.axes[0].texts if text.get_text()]


def synthesizer():
    return Synthesizer(Linear(3, 3), SGD(0.1))


def test_each_segment_has_a_box_with_its_name_and_size():
    shown = texts(plots.show_chain(chain(synthesizer(), synthesizer())))
    for name in ("S0\n1 layer", "S1\n1 layer", "top\n2 layers", "SquaredError"):
        assert shown.count(name) == 1


def test_each_boundary_has_its_signal_and_the_loss_alone_sends_the_truth():
    shown = texts(plots.show_chain(chain(synthesizer(), synthesizer())))
    assert shown.count("Synthesizer") == shown.count("message") == shown.count("dx") == 2
    assert shown.count("true gradient") == 1
    assert shown.count("h") == 3


def test_a_segment_alone_has_the_loss_and_no_signal():
    shown = texts(plots.show_chain(chain()))
    assert "true gradient" in shown
    assert not {"message", "dx"} & set(shown)


def test_nothing_is_drawn_twice_at_one_place():
    figure = plots.show_chain(chain(*(synthesizer() for _ in range(4))))
    places = [text.get_position() for text in figure.axes[0].texts if text.get_text()]
    apart = np.linalg.norm(np.subtract.outer(np.array(places), np.array(places)).diagonal(axis1=1, axis2=3), axis=-1)
    assert apart[~np.eye(len(places), dtype=bool)].min() > 0.15


@pytest.mark.parametrize("signals", [0, 2, 5])
def test_nothing_is_cut_off(signals):
    figure = plots.show_chain(chain(*(synthesizer() for _ in range(signals))))
    buffer = io.BytesIO()
    figure.savefig(buffer, format="rgba", dpi=100)
    pixels = np.frombuffer(buffer.getvalue(), dtype=np.uint8).reshape(*figure.canvas.get_width_height()[::-1], -1)
    drawn = (pixels[..., :3] < 250).any(axis=-1)
    assert drawn.any()
    assert not any(edge.any() for edge in (drawn[0], drawn[-1], drawn[:, 0], drawn[:, -1]))


def test_the_words_tell_the_same():
    figure = plots.show_chain(chain(synthesizer(), Zero()))
    assert figure.alt == (
        "A chain of 3 segments: S0 updates on Synthesizer, which learns from dx of S1; "
        "S1 updates on Zero; top updates on SquaredError."
    )
