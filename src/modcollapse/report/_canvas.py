"""Where pictures begin: figures of their own, free of pyplot's state."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from modcollapse._support.optional import require

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def new_figure(needed_by: str, **options: Any) -> Figure:
    """Return an empty figure, which a notebook shows.

    Args:
        needed_by: what the user called.
        options: of ``matplotlib.figure.Figure``.

    Raises:
        MissingExtraError: matplotlib is not installed.
    """
    require("matplotlib.backends.backend_agg", extra="plot", needed_by=needed_by)
    from modcollapse.report._picture import Picture

    return Picture(**options)
