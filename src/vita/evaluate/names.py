"""Which tasks there are: the name on the command line and the module. Light, for `vita eval --help`."""

from __future__ import annotations

WITH_URL = frozenset({"load", "language", "vision"})
"""Tasks that know what to do with the address of a server."""
WITH_SYSTEMS = frozenset({"duplex", "long"})
"""Tasks in which somebody holds live conversations."""
MODULES = {
    "pocket": "pocket",
    "states": "interaction.states",
    "duplex": "interaction.duplex_bench",
    "long": "interaction.long",
    "load": "interaction.load",
    "asr": "speech.recognition",
    "language": "harness.language",
    "vision": "harness.vision",
}
