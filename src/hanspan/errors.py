"""The two exceptions of the package.

Every message has the same shape: what was found, what was expected, what to type.
The command line prints it as one line and exits with status 2.
"""


class HanspanError(Exception):
    """A mistake that the user can mend: a missing file, a wrong label, a broken row."""


class ConfigError(HanspanError):
    """One or more settings are wrong; the message lists all of them, one a line."""
