"""Audits of several detectors by name, and audits that were saved."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from modcollapse._support.markup import html_text
from modcollapse.analysis._audit_files import Analysed, analysed, read_audits, write_audits
from modcollapse.analysis._drawn import PAGE_TITLE
from modcollapse.analysis._metrics import analyse
from modcollapse.analysis._report_sections import section_of, write_report
from modcollapse.analysis._results import Audit, data_frame
from modcollapse.errors import InputError
from modcollapse.report import for_terminal


class Audits(dict[str, Audit]):
    """The audits of one run by name of the detector: a dict that prints and saves all of them."""

    def __str__(self) -> str:
        return "\n\n\n".join(
            f"{for_terminal(str(name))}\n{'=' * len(str(name))}\n\n{audit}"
            for name, audit in self.items()
        )

    __repr__ = __str__

    def _repr_html_(self) -> str:
        return "".join(
            f"<h4>{html_text(name)}</h4>{audit._repr_html_()}" for name, audit in self.items()
        )

    def to_frame(self, *, per_example: bool = False) -> Any:
        """Return the rows of `Audit.to_frame` of all of them, with a column ``detector`` first.

        Raises:
            MissingExtraError: pandas is not installed.
        """
        frames = {name: audit.to_frame(per_example=per_example) for name, audit in self.items()}
        rows = [
            {"detector": name, **row}
            for name, frame in frames.items()
            for row in frame.to_dict("records")
        ]
        return data_frame(type(self).__name__)(rows)

    def save(self, folder: str | Path) -> Path:
        """Save all of them into one folder, for ``mc.load_audit``; see `Audit.save`.

        Outputs that several detectors have scored are stored once.

        Raises:
            InputError: there is none, one is no audit or is named by something else than a str;
                and what `Audit.save` raises.
        """
        if not self:
            raise InputError("there is no audit here to save")
        for name, audit in self.items():
            if not isinstance(audit, Audit) or not isinstance(name, str | int):
                raise InputError(
                    f"an Audit is saved by the name of its detector; {name!r} names a "
                    f"{type(audit).__name__}"
                )
        return write_audits(
            folder, [analysed(name, audit) for name, audit in self.items()], single=False
        )

    def report(
        self,
        folder: str | Path,
        *,
        title: str | None = None,
        comparison: Mapping[str, Any] | None = None,
        labels: Mapping[str, str] | None = None,
        unit: Mapping[str, str] | None = None,
    ) -> Path:
        """Write one page with a section for each detector; see `Audit.report`.

        Args:
            folder: one that does not exist, is empty, or holds a report, which is replaced.
            title: of the page.
            comparison: detector -> what ``mc.compare`` returned, for those that are to show it.
            labels: modality -> what stands in its place in the pictures.
            unit: detector -> what its values are; its name if left out.

        Returns:
            The path of the page.

        Raises:
            InputError: there is no audit, or a comparison or unit of a detector that there is
                not; and what `Audit.report` raises.
        """
        if not self:
            raise InputError("there is no audit here to report")
        for given, what in ((comparison, "comparison"), (unit, "unit")):
            for name in given or {}:
                if name not in self:
                    raise InputError(
                        f"{what} names {name!r}; there is {', '.join(map(repr, self))}"
                    )
        sections = [
            section_of(
                str(name),
                audit,
                labels=labels,
                unit=(unit or {}).get(name, str(name)),
                comparison=(comparison or {}).get(name),
            )
            for name, audit in self.items()
        ]
        return write_report(folder, title or PAGE_TITLE, sections)


def as_audits(found: Audit | dict[str, Audit]) -> Audit | Audits:
    """A single audit as it is, a dict of several as `Audits`."""
    return found if isinstance(found, Audit) else Audits(found)


def load_audit(folder: str | Path) -> Audit | Audits:
    """Read what ``Audit.save`` wrote: the same audit, gallery and control included.

    The tables are read and analysed again with the settings that were saved, which takes a moment,
    generates nothing, and gives the same figures.

    Args:
        folder: that was given to ``save``.

    Returns:
        An ``Audit``; or an ``Audits``, a dict by name of the detector, where such was saved.

    Raises:
        FileNotFoundError: there is no such folder.
        TableError: it holds no audit, or one that is damaged, was changed, or is of another
            version.
        MissingExtraError: the gallery needs safetensors or Pillow, which is not installed.

    Warns:
        UserWarning: the gallery is not there any more; the audit is loaded without.

    >>> import tempfile, modcollapse as mc
    >>> table = mc.CoalitionTable.from_values([[0, 0, 1, 1]] * 40, ["image", "text"], binary=True)
    >>> audit = mc.audit(table)
    >>> folder = audit.save(tempfile.mkdtemp())
    >>> str(mc.load_audit(folder)) == str(audit)
    True
    """
    saved, single = read_audits(folder)
    found: dict[str, Audit] = {one.name: _again(one) for one in saved}  # type: ignore[misc]
    return next(iter(found.values())) if single else Audits(found)


def _again(saved: Analysed) -> Audit:
    return analyse(saved.table, saved.settings, saved.control)
