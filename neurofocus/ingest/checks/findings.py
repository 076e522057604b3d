"""What the checks of a cohort found: leaks that refuse it, and warnings that a reader must know."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from neurofocus.errors import CohortError

__all__ = ["CheckReport", "Finding"]


@dataclass(frozen=True)
class Finding:
    """One leak or one warning.

    Attributes:
        kind: such as "wrong split", "confound" or "near-duplicate".
        text: one sentence for a person; identifiers and file names, never folders.
        figures: the numbers behind it, as plain values for JSON.
    """

    kind: str
    text: str
    figures: Mapping[str, Any] = field(default_factory=dict)

    def as_json(self) -> dict[str, Any]:
        """Return the finding as plain values."""
        return {"kind": self.kind, "text": self.text, "figures": dict(self.figures)}


@dataclass(frozen=True)
class CheckReport:
    """All findings about one cohort.

    Attributes:
        refusals: leaks; nothing can allow them.
        warnings: the loudest first.
    """

    refusals: Sequence[Finding] = ()
    warnings: Sequence[Finding] = ()

    @property
    def clean(self) -> bool:
        """Whether nothing was found."""
        return not self.refusals and not self.warnings

    def refuse(self) -> None:
        """Refuse a cohort that leaks.

        Raises:
            CohortError: the first leak, and how many there are.
        """
        if self.refusals:
            more = f" ({len(self.refusals)} leaks in all)" if len(self.refusals) > 1 else ""
            raise CohortError(self.refusals[0].text + more)

    def as_json(self) -> dict[str, Any]:
        """Return all findings as plain values."""
        return {
            "refusals": [finding.as_json() for finding in self.refusals],
            "warnings": [finding.as_json() for finding in self.warnings],
        }
