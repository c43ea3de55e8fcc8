"""What a paper cites that quotes an audit: BibTeX of the paper, the software and the metrics."""

from __future__ import annotations

from collections.abc import Mapping
from importlib import metadata

_PAPER = {
    "author": "Wang, Qitong and Dai, Haoran and Zhang, Haotian and Rasmussen, Christopher "
    "and Wang, Binghui",
    "title": "{When One Modality Rules Them All}: {Backdoor} Modality Collapse in Multimodal "
    "Diffusion Models",
    "year": "2026",
    "eprint": "2603.06508",
    "archivePrefix": "arXiv",
    "url": "https://arxiv.org/abs/2603.06508",
    "note": "ICLR 2026 Workshop on Principled Design for Trustworthy AI",
}
_SOFTWARE = {
    "author": "{The modcollapse authors}",
    "title": "modcollapse: {Trigger Modality Attribution} and {Cross-Trigger Interaction}, with "
    "intervals",
    "year": "2026",
}
_SHAPLEY = {
    "author": "Shapley, Lloyd S.",
    "title": "A Value for n-Person Games",
    "booktitle": "Contributions to the Theory of Games, Volume II",
    "editor": "Kuhn, Harold W. and Tucker, Albert W.",
    "series": "Annals of Mathematics Studies",
    "number": "28",
    "publisher": "Princeton University Press",
    "year": "1953",
    "pages": "307--317",
}
_INTERACTION = {
    "author": "Grabisch, Michel and Roubens, Marc",
    "title": "An Axiomatic Approach to the Concept of Interaction among Players in Cooperative "
    "Games",
    "journal": "International Journal of Game Theory",
    "volume": "28",
    "number": "4",
    "year": "1999",
    "pages": "547--565",
    "doi": "10.1007/s001820050125",
}
_SHAPLEY_TAYLOR = {
    "author": "Sundararajan, Mukund and Dhamdhere, Kedar and Agarwal, Ashish",
    "title": "The {Shapley Taylor} Interaction Index",
    "booktitle": "Proceedings of the 37th International Conference on Machine Learning",
    "series": "Proceedings of Machine Learning Research",
    "volume": "119",
    "year": "2020",
    "pages": "9259--9268",
}
_K_SHAPLEY = {
    "author": "Bordt, Sebastian and von Luxburg, Ulrike",
    "title": "From {Shapley} Values to Generalized Additive Models and back",
    "booktitle": "Proceedings of the 26th International Conference on Artificial Intelligence and "
    "Statistics",
    "series": "Proceedings of Machine Learning Research",
    "volume": "206",
    "year": "2023",
    "pages": "709--745",
}
_DIVIDENDS = {
    "author": "Harsanyi, John C.",
    "title": "A Simplified Bargaining Model for the n-Person Cooperative Game",
    "journal": "International Economic Review",
    "volume": "4",
    "number": "2",
    "year": "1963",
    "pages": "194--220",
    "doi": "10.2307/2525487",
}


def citations() -> list[str]:
    """BibTeX entries of what an audit rests on, the most important first.

    Returns:
        The paper that proposed the metrics; this software; the Shapley value (TMA); the Shapley
        interaction index (CTI, also ``"BII"``); and the other indices of more than two modalities:
        ``"STII"``, ``"k-SII"``, ``"moebius"``.
    """
    return [
        _entry("misc", "wang2026modality", _PAPER),
        _entry("misc", "modcollapse", _SOFTWARE | {"note": f"Version {software_version()}"}),
        _entry("incollection", "shapley1953value", _SHAPLEY),
        _entry("article", "grabisch1999axiomatic", _INTERACTION),
        _entry("inproceedings", "sundararajan2020shapley", _SHAPLEY_TAYLOR),
        _entry("inproceedings", "bordt2023shapley", _K_SHAPLEY),
        _entry("article", "harsanyi1963simplified", _DIVIDENDS),
    ]


def citation() -> str:
    """BibTeX to cite: the paper, this software, and the indices that the metrics are.

    Cite the paper and the software, the Shapley value for TMA, and for CTI of more than two
    modalities the index that was used. An interval of a success rate is that of Clopper and
    Pearson; the other rules of intervals and verdicts are this software's own.

    Returns:
        The entries of ``report.citations()``, for a ``.bib`` file.

    >>> print(citation().splitlines()[0])
    @misc{wang2026modality,
    """
    return "\n\n".join(citations()) + "\n"


def software_version() -> str:
    """Version of the software that is installed, or that it is not known, in a source tree."""
    try:
        return metadata.version("modcollapse")
    except metadata.PackageNotFoundError:
        return "unknown"


def _entry(kind: str, key: str, fields: Mapping[str, str]) -> str:
    lines = [f"  {name} = {{{text}}}," for name, text in fields.items()]
    return "\n".join([f"@{kind}{{{key},", *lines, "}"])
