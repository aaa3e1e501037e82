"""Which tasks there are: the name on the command line and the module. Light, for `vita eval --help`."""

from __future__ import annotations

MODULES = {
    "pocket": "pocket",
}
