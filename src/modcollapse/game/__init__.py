"""Cooperative games with few players, exactly: coalitions, values and interaction indices."""

from __future__ import annotations

from modcollapse.game._coalitions import (
    EMPTY_LABEL,
    MAX_PLAYERS,
    coalition_labels,
    coalition_of,
    membership,
    n_players,
    subsets,
)
from modcollapse.game._contrasts import (
    INDICES,
    Index,
    banzhaf_contrasts,
    interaction_contrasts,
    shapley_contrasts,
)
from modcollapse.game._indices import (
    banzhaf_values,
    interaction_index,
    inverse_moebius,
    moebius,
    shapley_values,
)

__all__ = [
    "EMPTY_LABEL",
    "INDICES",
    "Index",
    "MAX_PLAYERS",
    "banzhaf_contrasts",
    "banzhaf_values",
    "coalition_labels",
    "coalition_of",
    "interaction_contrasts",
    "interaction_index",
    "inverse_moebius",
    "membership",
    "moebius",
    "n_players",
    "shapley_contrasts",
    "shapley_values",
    "subsets",
]
