"""Every picture, drawn with matplotlib, which is imported only when a picture is asked for."""

from .chains import show_chain
from .curves import show_curves, show_decay, show_lines, training_curves
from .figure import BLUE, GREEN, GREY, ORANGE, PINK, new_figure
from .frames import slide
from .report import gradient_report
from .signals import show_dots, show_tables
from .stepper import step_through
from .tables import show_formula, show_heat, show_images
from .timelines import show_timelines
from .unrolled import show_unrolled

__all__ = [
    "BLUE", "GREEN", "GREY", "ORANGE", "PINK", "gradient_report", "new_figure", "show_chain", "show_curves",
    "show_decay", "show_dots", "show_formula", "show_heat", "show_images", "show_lines", "show_tables",
    "show_timelines", "show_unrolled", "slide", "step_through", "training_curves",
]  # fmt: skip
