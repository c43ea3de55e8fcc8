"""A figure that a notebook shows; imported where a picture is drawn, since it loads matplotlib."""

from __future__ import annotations

import io

from matplotlib.figure import Figure


class Picture(Figure):
    """A figure of matplotlib that shows itself.

    IPython knows how to show a figure only once something has loaded pyplot, which nothing here
    does.
    """

    def _repr_png_(self) -> bytes:
        png = io.BytesIO()
        self.savefig(png, format="png", bbox_inches="tight")
        return png.getvalue()
