"""vLLM's chat messages -> prompt, by our own template and tokenizer: the ids are those of the local engine.

vLLM parses the messages and fetches the media; here they only keep their places. A reply of before may begin with the
spelling of its state ("<1>It is red."), as a client gets it with `skip_special_tokens: false`.
"""

# pyright: reportMissingImports=false

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from vllm.exceptions import VLLMValidationError
from vllm.inputs import TextPrompt, TokensPrompt
from vllm.renderers.chat_utils import parse_chat_messages, parse_chat_messages_async
from vllm.renderers.hf import HfRenderer
from vllm.renderers.params import ChatParams, TokenizeParams
from vllm.tokenizers.hf import get_cached_tokenizer
from vllm.utils.async_utils import make_async

from vita.chat.messages import Message, Part, Text
from vita.errors import VitaError
from vita.models.processing_vita import VitaProcessor
from vita.tokens import StateTokens
from vita.vllm_plugin.marking import KINDS, marked_ids, marked_text, stand_in


class VitaTokenizer:
    """How vLLM gets the tokenizer of a VITA model."""

    @classmethod
    def from_pretrained(cls, path_or_repo_id: str, *args: Any, **kwargs: Any) -> Any:
        """The processor's own, with vLLM's caching around it; vLLM's other options do not apply."""
        known = {key: kwargs[key] for key in ("revision", "token") if kwargs.get(key) is not None}
        return get_cached_tokenizer(VitaProcessor.from_pretrained(path_or_repo_id, **known).tokenizer)


class VitaRenderer(HfRenderer):
    """Chat and completion prompts of a VITA model."""

    def __init__(self, config: Any, tokenizer: Any) -> None:
        super().__init__(config, tokenizer)
        self._processor = VitaProcessor.from_pretrained(config.model_config.model)
        self._prompt_ids_async = make_async(self._prompt_ids, executor=self._executor)

    def render_messages(self, messages: list[Any], params: ChatParams) -> tuple[list[Any], Any]:
        """Messages -> (the conversation as vLLM shows it, prompt ids and media)."""
        conversation, data, uuids = parse_chat_messages(messages, self.model_config, **_parsing(params))
        return conversation, _prompt(self._prompt_ids(conversation, params), data, uuids)

    async def render_messages_async(self, messages: list[Any], params: ChatParams) -> tuple[list[Any], Any]:
        """The same while media are being fetched."""
        conversation, data, uuids = await parse_chat_messages_async(messages, self.model_config, **_parsing(params))
        return conversation, _prompt(await self._prompt_ids_async(conversation, params), data, uuids)

    def _prompt_ids(self, conversation: list[Any], params: ChatParams) -> list[int]:
        answering = params.chat_template_kwargs.get("add_generation_prompt", True)
        try:
            messages = as_messages(conversation, self._processor.config.states)
            return marked_ids(self._processor, messages, answering=answering)
        except VitaError as error:
            raise VLLMValidationError(str(error), parameter="messages") from error

    def _tokenize_prompt(self, prompt: TextPrompt, params: TokenizeParams) -> TokensPrompt:
        """A prompt that is text, with placeholders as the processor writes them."""
        adds_bos = params.add_special_tokens and self._processor.template.adds_bos
        ids = marked_text(self._processor, prompt["prompt"], adds_bos=adds_bos)
        return self._build_tokens_prompt(ids, prompt)


def as_messages(conversation: Sequence[Any], states: StateTokens) -> list[Message]:
    """Messages whose parts vLLM has told apart -> ours, media as stand-ins. Raises PromptError for other roles."""
    messages = []
    for message in conversation:
        role = "system" if message["role"] == "developer" else message["role"]
        parts = tuple(map(_part, message["content"]))
        if role == "assistant":
            messages.append(_reply("\n".join(part.text for part in parts if isinstance(part, Text)), states))
        else:
            messages.append(Message(role, parts))
    return messages


def _part(part: dict[str, Any]) -> Part:
    return stand_in(part["type"]) if part["type"] in KINDS else Text(part.get("text", ""))


def _reply(text: str, states: StateTokens) -> Message:
    for state, spelling in states.items():
        if text.startswith(spelling):
            return Message.assistant(text[len(spelling) :], state)
    return Message.assistant(text)


def _parsing(params: ChatParams) -> dict[str, Any]:
    return {
        "content_format": "openai",
        "media_io_kwargs": params.media_io_kwargs,
        "mm_processor_kwargs": params.mm_processor_kwargs,
    }


def _prompt(ids: list[int], data: Any, uuids: Any) -> TokensPrompt:
    prompt = TokensPrompt(prompt_token_ids=ids)
    if data is not None:
        prompt["multi_modal_data"] = data
    if uuids is not None:
        prompt["multi_modal_uuids"] = uuids
    return prompt
