"""Statistics as a picture: lengths of the samples, tokens by modality. Needs matplotlib (the extra `plot`)."""

from __future__ import annotations

from pathlib import Path

from vita.data.stats import MODALITIES, DataStats
from vita.errors import ConfigError, DependencyError

_BINS = 40


def plot_stats(stats: DataStats, path: Path) -> None:
    """Write the plot; the suffix of `path` chooses the format (.png, .svg, .pdf).

    Raises DependencyError without matplotlib, ConfigError for a format that it does not write.
    """
    try:
        from matplotlib.figure import Figure
    except ImportError as error:
        raise DependencyError("the plot needs matplotlib", fix="pip install 'vita-omni[plot]'") from error
    figure = Figure(figsize=(10, 4), layout="constrained")
    if path.suffix.lower().lstrip(".") not in figure.canvas.get_supported_filetypes():
        raise ConfigError("unknown format of the plot", got=path.name, expected=".png, .svg or .pdf")
    left, right = figure.subplots(1, 2, width_ratios=[2, 1])
    left.hist(stats.lengths, bins=_BINS)
    left.set_xlabel("tokens of a sample")
    left.set_ylabel("samples")
    left.set_yscale("log")
    shares = {name: stats.tokens[name] for name in MODALITIES}
    bars = right.barh(list(shares), list(shares.values()))
    right.bar_label(bars, [f"{count:,}" for count in shares.values()], padding=3)
    right.margins(x=0.25)
    right.set_xlabel("tokens")
    figure.suptitle(f"{stats.samples:,} samples, {sum(stats.lengths):,} tokens ({stats.model})")
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path)
