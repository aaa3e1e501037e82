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
    """Measure `model` and print the table.

    Args:
        suite: "pocket", the pocket world's own.
        model, device, dtype: as `vita.load` takes them.
        limit: cases of each group and language.
        out: also write the table there, as JSON.
    """
    if suite != "pocket":
        raise ConfigError("unknown evaluation", got=suite, expected="pocket")
    if limit is not None and limit < 1:
        raise ConfigError("limit out of range", got=limit, expected="at least 1")
    from vita.evaluate import pocket

    pocket.run(model=model, device=device, dtype=dtype, limit=limit, out=out)
