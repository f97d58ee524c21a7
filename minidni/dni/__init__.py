"""Decoupled neural interfaces: what stands at a boundary in place of the gradient that is still to come.

A boundary is any place where an array flows forward and an array of the same shape flows back: between layers the
activation h (B, N), between windows of time the state s (B, S). The array that flows forward is the *trigger*, the one
predicted the *message*, labels beside the trigger the *context*; *lag* is how many updates lie between a prediction and
its target.

1. `synthesizer`  predicts the message from the trigger, and learns from what flows back later
2. `networks`     what a synthesizer may be made of: linear, MLP, convolutional, sigmoid of a linear map
3. `signals`      all that answers `gradient(h, labels)`: zero, stale, greedy; a loss is one, too
4. `from_above`   those that look at the layers above: exact, (direct) feedback alignment, Kickback
5. `segment`      a piece of a network with its signal and its optimiser
6. `chain`        segments one after another: backprop, decoupled, BP(lambda), fully unlocked
7. `auxiliary`    in time: the state foretells the gradient at the next boundary
8. `bp_lambda`    in time: eligibility traces
"""

from . import networks
from .auxiliary import AuxiliaryHead
from .bp_lambda import TracedSynthesizer, window_jacobian
from .chain import Chain, Report, Step
from .from_above import DirectFeedbackAlignment, Exact, FeedbackAlignment, Kickback, random_feedback
from .segment import Segment
from .signals import Greedy, Signal, Stale, Zero
from .synthesizer import Synthesizer

__all__ = [
    "AuxiliaryHead", "Chain", "DirectFeedbackAlignment", "Exact", "FeedbackAlignment", "Greedy", "Kickback", "Report",
    "Segment", "Signal", "Stale", "Step", "Synthesizer", "TracedSynthesizer", "Zero", "networks", "random_feedback",
    "window_jacobian",
]  # fmt: skip
