"""Attention sample by sample gives the numbers of a block-diagonal mask, and of the samples alone."""

from __future__ import annotations

import pytest
import torch
from torch._dynamo.testing import CompileCounter

from tests.models.tiny_vita import tiny_model
from vita.models.packed_attention import ARGUMENT, SampleLengths, packed_attention, use_packed_attention

LENGTHS = ((5, 1, 7, 3), (9, 7))


def rows() -> dict[str, torch.Tensor]:
    """Two rows of 16 tokens that hold four and two samples."""
    ids = torch.randint(3, 90, (2, 16), generator=torch.Generator().manual_seed(0))
    positions = torch.stack([torch.cat([torch.arange(n) for n in row]) for row in LENGTHS])
    return {"input_ids": ids, "position_ids": positions, "labels": ids}


@pytest.mark.parametrize("name", ["llama", "mixtral", "qwen3"])
def test_it_gives_the_numbers_of_the_mask(name: str) -> None:
    batch = rows()
    results = []
    for by_sample in (False, True):
        model = tiny_model(name).train()
        if by_sample:
            assert use_packed_attention(model.language_model)
        given = {ARGUMENT: SampleLengths(batch["position_ids"])} if by_sample else {}
        loss = model(**batch, use_cache=False, **given).loss
        loss.backward()
        norms = [p.grad.norm() for n, p in model.named_parameters() if p.grad is not None and "self_attn" in n]
        results.append((loss.detach(), torch.stack(norms)))
    torch.testing.assert_close(results[0][0], results[1][0], atol=1e-6, rtol=1e-5)
    torch.testing.assert_close(results[0][1], results[1][1], atol=1e-6, rtol=1e-4)


def test_lengths_are_read_off_the_positions() -> None:
    assert SampleLengths(rows()["position_ids"]).lengths == [5, 1, 7, 3, 9, 7]


def test_other_lengths_do_not_compile_a_layer_anew() -> None:
    """Attention stands outside of what is compiled, and rows of other samples are the same to it."""
    graphs = CompileCounter()
    attention = torch.compiler.disable(packed_attention)

    module = torch.nn.Identity()

    def layer(x: torch.Tensor, lengths: SampleLengths) -> torch.Tensor:
        return attention(module, 2 * x, x, x, None, sample_lengths=lengths)[0] + 1

    compiled, x = torch.compile(layer, backend=graphs), torch.randn(1, 2, 16, 4)
    for row in ((16,), (9, 7), (5, 1, 7, 3), (1, 15), (4, 4, 4, 4)):
        lengths = SampleLengths(torch.cat([torch.arange(n) for n in row])[None])
        torch.testing.assert_close(compiled(x, lengths), layer(x, lengths))
    assert graphs.frame_count == 2


def test_a_model_with_a_sliding_window_keeps_its_mask() -> None:
    model = tiny_model("mixtral")
    model.language_model.config.sliding_window = 8
    assert not use_packed_attention(model.language_model)
