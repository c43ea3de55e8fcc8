"""Where pictures begin: figures of their own, free of pyplot's state."""

from __future__ import annotations

import io
from functools import partial
from typing import TYPE_CHECKING, Any

from modcollapse._support.optional import require

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def new_figure(needed_by: str, **options: Any) -> Figure:
    """Return an empty figure, which a notebook shows.

    IPython knows how to show a figure only once something has loaded pyplot, which nothing here
    does, so the figure says it itself. It is no subclass: others look at the name of the class.

    Args:
        needed_by: what the user called.
        options: of ``matplotlib.figure.Figure``.

    Raises:
        MissingExtraError: matplotlib is not installed.
    """
    figures = require("matplotlib.figure", extra="plot", needed_by=needed_by)
    require("matplotlib.backends.backend_agg", extra="plot", needed_by=needed_by)
    figure: Figure = figures.Figure(**options)
    vars(figure)["_repr_png_"] = partial(png_of, figure)
    return figure


def png_of(figure: Figure) -> bytes:
    """Return a figure as a PNG file."""
    png = io.BytesIO()
    figure.savefig(png, format="png", bbox_inches="tight")
    return png.getvalue()
