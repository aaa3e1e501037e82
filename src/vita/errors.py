"""The error tree. Every mistake that a user can make raises a VitaError; the command line prints its one line.

Imported by every room; imports nothing.
"""

from __future__ import annotations


class VitaError(Exception):
    """A mistake of the user or of the input, told in one line: what is wrong, what was got, how to mend it.

    Args:
        what: what is wrong, naming the file, option or tensor it is about.
        got: the offending value, if it helps.
        expected: what would have been right.
        fix: what to do now.
    """

    def __init__(self, what: str, *, got: object = None, expected: object = None, fix: str | None = None) -> None:
        self.what, self.got, self.expected, self.fix = what, got, expected, fix
        line = what
        if got is not None:
            line += f" (got {got}" + (f", expected {expected})" if expected is not None else ")")
        elif expected is not None:
            line += f" (expected {expected})"
        if fix:
            line += f"; {fix}"
        super().__init__(" ".join(line.split()))


class MediaError(VitaError):
    """A file, URL or byte string that is not the sound, picture or clip it should be."""


class LimitError(MediaError):
    """Readable, but larger than a configured limit on bytes, pixels, seconds, frames or tokens."""


class PromptError(VitaError):
    """Messages that cannot be turned into a prompt: roles out of order, placeholders without media, no question."""


class ConfigError(VitaError):
    """An option, recipe key or configuration value that is unknown or out of range."""


class CheckpointError(VitaError):
    """A checkpoint that is missing, incomplete, misshapen or in an unsafe format."""


class DependencyError(VitaError):
    """An optional package or device that this feature needs is not there."""


class DataError(VitaError):
    """A training sample or manifest line that is malformed; names the sample."""
