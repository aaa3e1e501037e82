"""Which tasks there are: the name on the command line and the module. Light, for `vita eval --help`."""

from __future__ import annotations

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
