"""Errors that a user can mend; the command line prints them in one line and exits with 2.

Programming mistakes raise builtin exceptions instead and end in a traceback (exit 1).
"""

__all__ = ["BundleError", "CohortError", "ConfigError", "NeurofocusError", "VideoError", "VolumeError"]


class NeurofocusError(Exception):
    """Base of every error that the user can mend.

    A message names the file, the column or option, the value seen, what is accepted and what to do next.
    """


class ConfigError(NeurofocusError):
    """A configuration file, a ``--set`` override or an option is not acceptable."""


class CohortError(NeurofocusError):
    """A cohort's tables, layout, labels or folds are not acceptable."""


class VolumeError(NeurofocusError):
    """A scan cannot be read or is not a plausible 3-D volume."""


class VideoError(NeurofocusError):
    """A video cannot be read."""


class BundleError(NeurofocusError):
    """A model bundle, checkpoint or weight file is missing, damaged or of the wrong kind."""
