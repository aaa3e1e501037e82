"""Measuring a model. `vita eval` is the caller."""

from __future__ import annotations

from vita.errors import ConfigError


def run(
    suite: str,
    *,
    model: str = "pocket",
    device: str = "auto",
    dtype: str = "auto",
    limit: int | None = None,
    out: str | None = None,
) -> None:
    """Measure `model` and print the table; `suite` "pocket" is the pocket world's own. `limit`: most cases of a group and language."""
    if suite != "pocket":
        raise ConfigError("unknown evaluation", got=suite, expected="pocket")
    from vita.evaluate import pocket

    pocket.run(model=model, device=device, dtype=dtype, limit=limit, out=out)
