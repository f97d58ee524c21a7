"""Back-propagation through time, kept visible: whole, in windows, step by step, and forwards.

`full` and `truncated` are how a recurrent net is trained; the rest is for looking. All of it asks of a net only

    y, sT, cache = net.forward(x, s0)          # x (T, B, ...), s0 (B, S)
    dx, ds0 = net.backward(dy, cache, dsT)     # adds to net.grads
    net.n_state                                # S

and so works for RNN, GRU, LSTM, a Sequential with such layers, or a class of your own. Whatever is wanted at every step
comes from windows of length 1: no derivative is written a second time.

Notation: step t turns the state s[t] into s[t + 1] with the input x[t], t = 0 .. T - 1, so row 0 of what has T + 1 rows
is the start. ds[t] = dL/ds[t] is what flows back across the boundary in front of step t: it comes from the losses of
steps t, t + 1, ... and of no step before.

A net is expected to treat its sequences, and its steps, one by one. Dropout while training draws other masks for a
window of length 1 than for a long one, and batch norm while training mixes: set `net.training = False` to look at them.

1. `windows`      full and truncated BPTT
2. `states`       gradients by the states: across each boundary, and by distance from the loss
3. `jacobians`    one step's Jacobian, norms of their products, and the bound on these
4. `influence`    real-time recurrent learning: the exact gradient without going back
5. `comparison`   how far one gradient is from another
"""

from .comparison import Comparison, compare, flat_gradients
from .influence import Step, rtrl
from .jacobians import jacobian_bound, jacobian_product_norms, jacobians
from .states import by_distance, norms, state_gradients
from .windows import Window, full, truncated

__all__ = [
    "Comparison", "Step", "Window", "by_distance", "compare", "flat_gradients", "full", "jacobian_bound",
    "jacobian_product_norms", "jacobians", "norms", "rtrl", "state_gradients", "truncated",
]  # fmt: skip
