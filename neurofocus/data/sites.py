"""Which sites are tested together when sites are left out of training."""

import re

import pandas as pd

from neurofocus.errors import CohortError

__all__ = ["site_groups"]

_UNKNOWN = ("unknown", "n/a")
_SHOWN = 8


def site_groups(people: pd.DataFrame, sites: pd.Series, min_people: int) -> list[tuple[str, ...]]:
    """Return the groups of sites that are tested together, one a fold.

    As in scikit-learn's LeaveOneGroupOut, a site is a fold of its own; but only if it has at least ``min_people``
    people of every class, so that a fold can be scored. All smaller sites share one fold, the last; if even they
    together have too few, the smallest of the other sites joins them. No site is ever divided.

    Args:
        people: one row a participant (the first session): label and site.
        sites: of all scans; a site that has later sessions only is a small one.
        min_people: of each class.

    Raises:
        CohortError: if sites are unknown or spelled in two ways, or fewer than two groups are there.
    """
    unknown = int(sites.str.casefold().isin(_UNKNOWN).sum())
    if unknown:
        raise CohortError(
            f"data.scheme=leave_site_out: {unknown} of {len(sites)} scans have no site; fill in the column 'site', "
            "leave these scans out, or use data.scheme=kfold"
        )
    _refuse_spellings(sites)
    counts = pd.crosstab(people["site"], people["label"]).reindex(sorted(set(sites)), fill_value=0)
    enough = counts.min(axis=1) >= min_people
    large, small = list(counts.index[enough]), list(counts.index[~enough])
    if small and large and (counts.loc[small].sum() < min_people).any():
        smallest = str(counts.loc[large].sum(axis=1).idxmin())
        large.remove(smallest)
        small.append(smallest)
    groups = [(site,) for site in large] + ([tuple(sorted(small))] if small else [])
    if len(groups) < 2:
        seen = [
            f"{site}: {'+'.join(map(str, row))}"
            for site, row in zip(counts.index, counts.to_numpy(), strict=True)
        ]
        more = ", …" if len(seen) > _SHOWN else ""
        raise CohortError(
            f"data.scheme=leave_site_out: two sites (or one and all smaller ones together) need {min_people} people of "
            f"each class; people by class are {', '.join(seen[:_SHOWN])}{more}; lower data.min_site_people or use "
            "data.scheme=kfold"
        )
    return groups


def _refuse_spellings(sites: pd.Series) -> None:
    """Refuse names that may be one site: it would train a model that is tested on it."""
    seen: dict[tuple[str, ...], str] = {}
    for site in sites.unique():
        words = re.findall(r"[^\W\d_]+|\d+", site.casefold())
        key = tuple(word.lstrip("0") or "0" if word.isdigit() else word for word in words)
        if seen.setdefault(key or (site,), site) != site:
            raise CohortError(
                f"leak (wrong split): sites {seen[key or (site,)]!r} and {site!r} differ in case, signs or leading zeros "
                "only, so a model could train on the site that it is tested on; write one site in one way, and two "
                "sites in different letters or digits"
            )
