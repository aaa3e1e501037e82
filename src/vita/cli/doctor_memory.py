"""`vita doctor --model`: a table of the memory that a model needs in each number format, and where it would fit."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from vita.checkpoints.memory import Footprint

GB = 1e9


def show_memory(name: str) -> None:
    """Prints the parts of the model and the table."""
    from vita.checkpoints.memory import footprint, read_config

    found = footprint(read_config(name))
    for part, count in found.parts.items():
        print(f"{part:<20}{count / 1e6:12,.1f} M parameters")
    print("\n" + "\n".join(memory_rows(found, memories())))
    if not found.num_quantized:
        print("\nint8 and int4 do not reach the stacked experts of a mixture.")
    print(
        "\nWithout what a forward pass needs besides: some hundred MB for a long prompt. A model that does not fit on"
    )
    print("one device is spread over several, the memory and the disk by --device-map auto.")


def memory_rows(found: Footprint, places: dict[str, int]) -> list[str]:
    """The table, one row for each number format; `places` are bytes by the name of a device."""
    rows = [f"{'':<10}{'weights':>11}{f'{found.max_tokens:,} tokens':>15}{'together':>12}  fits into"]
    for precision in found.precisions():
        weights, cache = found.weight_bytes(precision), found.cache_bytes(precision)
        fits = ", ".join(name for name, size in places.items() if weights + cache < size) or "nothing here"
        numbers = f"{weights / GB:8.2f} GB{cache / GB:12.3f} GB{(weights + cache) / GB:9.2f} GB"
        rows.append(f"{precision:<10}{numbers}  {fits}")
    return rows


def memories() -> dict[str, int]:
    """Bytes of memory of what this machine can run a model on."""
    import torch

    from vita.cli.doctor import total_memory

    found = {}
    for index in range(torch.cuda.device_count() if torch.cuda.is_available() else 0):
        device = torch.cuda.get_device_properties(index)
        found[f"cuda:{index} ({device.total_memory / GB:.0f} GB)"] = int(device.total_memory)
    total = total_memory()
    if total is not None:
        kind = "mps" if torch.backends.mps.is_available() else "cpu"
        found[f"{kind} ({total / GB:.0f} GB)"] = total
    return found
