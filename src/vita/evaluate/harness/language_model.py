"""Our model as a model of lm-evaluation-harness: log-likelihoods of continuations, and greedy generation. Text alone.

Registered as "vita" when this module is imported. Prompts are plain text, as the harness writes them; with its chat
template they are put into the model's own form of a conversation, the state token of a typed question included.
"""

# pyright: reportMissingImports=false

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from lm_eval.api.instance import Instance
from lm_eval.api.model import TemplateLM
from lm_eval.api.registry import register_model

from vita.api import Assistant, load
from vita.chat.template import Turn
from vita.errors import ConfigError
from vita.tokens import State

_MAX_NEW_TOKENS = 256


@register_model("vita")
class VitaLM(TemplateLM):
    """A VITA model for the harness.

    Args:
        pretrained: as `vita.load` takes it; or give `assistant`.
        device, dtype: likewise.
        batch_size: sequences at once.
        assistant: a model that is loaded already.
    """

    def __init__(
        self,
        pretrained: str = "pocket",
        device: str = "auto",
        dtype: str = "auto",
        batch_size: int | str = 8,
        assistant: Assistant | None = None,
        **_: Any,
    ) -> None:
        super().__init__()
        engine: Any = (assistant or load(pretrained, device=device, dtype=dtype)).engine
        self._model, self._processor = engine.model, engine.processor
        self.tokenizer = self._processor.tokenizer
        self._batch_size = int(batch_size) if str(batch_size).isdigit() else 8
        self._longest = int(self._processor.config.tokenizer_model_max_length)

    @property
    def eot_token_id(self) -> int:
        """What ends a reply."""
        return int(self._processor.stop_ids[0])

    @property
    def tokenizer_name(self) -> str:
        """For the harness's caches."""
        return str(self.tokenizer.name_or_path or "vita")

    def tok_encode(self, string: str, add_special_tokens: bool | None = None, **_: Any) -> list[int]:
        """Ids of a text; no special tokens are added."""
        return list(self.tokenizer(string, add_special_tokens=False).input_ids)

    def apply_chat_template(self, chat_history: list[dict[str, str]], add_generation_prompt: bool = True) -> str:
        """Messages as the model reads a conversation, up to the state token of its reply."""
        template = self._processor.template
        turns = [Turn(message["role"], message["content"]) for message in chat_history]
        text = template.render_turns(turns, open_reply=add_generation_prompt)
        return text + (template.states.spelling(State.TYPED_QUERY) if add_generation_prompt else "")

    def _loglikelihood_tokens(
        self, requests: list[tuple[tuple[str, str], list[int], list[int]]], **_: Any
    ) -> list[tuple[float, bool]]:
        """(sum of log-probabilities, whether it is the greedy continuation) of every (context, continuation)."""
        order = sorted(range(len(requests)), key=lambda at: -len(requests[at][1]) - len(requests[at][2]))
        found: dict[int, tuple[float, bool]] = {}
        for start in range(0, len(order), self._batch_size):
            chosen = order[start : start + self._batch_size]
            for at, result in zip(chosen, self._score([requests[at][1:] for at in chosen]), strict=True):
                found[at] = result
                self.cache_hook.add_partial("loglikelihood", requests[at][0], result)
        return [found[at] for at in range(len(requests))]

    def _score(self, pairs: Sequence[tuple[list[int], list[int]]]) -> list[tuple[float, bool]]:
        rows = [(context + continuation)[-self._longest :] for context, continuation in pairs]
        ids, mask = self._right_padded(rows)
        with torch.inference_mode():
            log_probs = self._model(input_ids=ids, attention_mask=mask).logits.float().log_softmax(-1).cpu()
        results = []
        for row, (_, continuation), scores in zip(rows, pairs, log_probs, strict=True):
            wanted = torch.tensor(continuation)
            steps = scores[len(row) - len(continuation) - 1 : len(row) - 1]
            is_greedy = bool((steps.argmax(-1) == wanted).all())
            results.append((float(steps.gather(-1, wanted[:, None]).sum()), is_greedy))
        return results

    def _right_padded(self, rows: Sequence[Sequence[int]]) -> tuple[torch.Tensor, torch.Tensor]:
        width, device = max(map(len, rows)), self._model.device
        ids = torch.tensor([[*row, *[0] * (width - len(row))] for row in rows], device=device)
        mask = torch.tensor([[1] * len(row) + [0] * (width - len(row)) for row in rows], device=device)
        return ids, mask

    def loglikelihood_rolling(self, requests: list[Instance], disable_tqdm: bool = False) -> list[float]:
        """Of whole texts, each after the token that ends a reply; longer ones in pieces of the model's context."""
        results = []
        for request in requests:
            ids = [self.eot_token_id, *self.tok_encode(str(request.args[0]))]
            step = self._longest - 1
            pieces = [(ids[at : at + 1], ids[at + 1 : at + 1 + step]) for at in range(0, len(ids) - 1, step)]
            results.append(sum(score for piece in pieces for score, _ in self._score([piece])))
        return results

    def generate_until(self, requests: list[Instance], disable_tqdm: bool = False) -> list[str]:
        """Greedy continuations, cut at the first of the strings at which they are to stop."""
        results = []
        for request in requests:
            arguments: Any = request.args
            context, options = str(arguments[0]), dict(arguments[1])
            if options.get("do_sample") and options.get("temperature", 0) > 0:
                raise ConfigError("this model is measured greedily", got=f"do_sample in {request.task_name}")
            until = options.get("until") or []
            until = [until] if isinstance(until, str) else list(until)
            text = self._continue(context, int(options.get("max_gen_toks", _MAX_NEW_TOKENS)), until)
            self.cache_hook.add_partial("generate_until", request.args, text)
            results.append(text)
        return results

    def _continue(self, context: str, count: int, until: Sequence[str]) -> str:
        prompt = self.tok_encode(context)[-(self._longest - count) :]
        ids = torch.tensor([prompt], device=self._model.device)
        written: list[int] = []
        past = None
        with torch.inference_mode():
            for _ in range(count):
                output = self._model(input_ids=ids, past_key_values=past, use_cache=True)
                past, best = output.past_key_values, int(output.logits[0, -1].argmax())
                if best in self._processor.stop_ids:
                    break
                written.append(best)
                if any(stop in self.tokenizer.decode(written) for stop in until):
                    break
                ids = torch.tensor([[best]], device=self._model.device)
        text = self.tokenizer.decode(written)
        ends = [text.index(stop) for stop in until if stop in text]
        return text[: min(ends)] if ends else text
