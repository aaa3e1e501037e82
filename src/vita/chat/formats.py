"""The prompt formats: VITA-1.0's turns, VITA-1.5's, and those of a tokenizer's own Jinja chat template.

Chosen by the name in the model's configuration (`build_template`), for the processor and the training samples.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from vita.chat.placement import PLACEHOLDERS, PLAIN_LAYOUT, VISUAL_PLACEHOLDERS, VITA_LAYOUT, Layout
from vita.chat.system_prompts import Modality, SystemPrompts
from vita.chat.template import Template, Turn
from vita.chat.tools import OPEN, Tool
from vita.errors import ConfigError, PromptError
from vita.tokens import VITA_1_0_STATES, VITA_1_5_STATES, StateTokens

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase


@dataclass(frozen=True, kw_only=True)
class VitaTemplate(Template):
    r"""The turns of VITA-1.0: `system:...</s>`, then `\nuser:...</s>` and `\nbot:...</s>`.

    prompts: the system prompt for each kind of conversation.
    states: the spelling of the state tokens.
    end: what ends a turn. A turn without text is left open, without it.
    """

    prompts: SystemPrompts = field(default_factory=SystemPrompts)
    states: StateTokens = VITA_1_0_STATES
    end: str = "</s>"
    layout: Layout = VITA_LAYOUT
    adds_bos: bool = True

    def render_turns(
        self,
        turns: Sequence[Turn],
        *,
        system: str | None = None,
        open_reply: bool = False,
        tools: Sequence[Tool] = (),
    ) -> str:
        """See Template; `system` is needed."""
        text = f"system:{system or ''}{self.end}"
        for turn in turns:
            name = "user" if turn.role == "user" else "bot"
            text += f"\n{name}:{turn.text}" + (self.end if turn.text else "")
        return text + ("\nbot:" if open_reply else "")

    def system_prompt(self, turns: Sequence[Turn], modality: Modality | str | None) -> str:
        """See Template. Raises PromptError where the prompt depends on the modality and the turns belie it."""
        if not self.prompts.by_modality:
            return self.prompts.neither
        known = [kind.value for kind in Modality]
        if modality is None or modality not in known:
            raise PromptError("unknown modality of a conversation", got=repr(modality), expected=" or ".join(known))
        kind = Modality(modality)
        shows = any(placeholder in turn.text for turn in turns for placeholder in VISUAL_PLACEHOLDERS)
        if shows != (kind is not Modality.NEITHER):
            raise PromptError(f"the conversation is of modality {kind.value} but its text has {_picture(shows)} in it")
        return self.prompts.of(kind)

    def control_texts(self) -> Sequence[str]:
        """The end of a turn."""
        return (self.end,)

    def to_dict(self) -> dict[str, Any]:
        """The system prompts."""
        return {"system_prompts": self.prompts.to_dict()}


@dataclass(frozen=True, kw_only=True)
class Vita15Template(VitaTemplate):
    r"""The turns of VITA-1.5: `<|im_start|>ROLE\n...<|im_end|>\n` for system, user and assistant.

    The system prompts go by what the conversation shows, as in VITA-1.0. Nothing follows the end of the last turn.
    """

    states: StateTokens = VITA_1_5_STATES
    start: str = "<|im_start|>"
    end: str = "<|im_end|>"
    adds_bos: bool = False

    def render_turns(
        self,
        turns: Sequence[Turn],
        *,
        system: str | None = None,
        open_reply: bool = False,
        tools: Sequence[Tool] = (),
    ) -> str:
        """See Template; `system` is needed."""
        parts = [f"{self.start}system\n{system or ''}{self.end}"]
        parts += [f"{self.start}{turn.role}\n{turn.text}" + (self.end if turn.text else "") for turn in turns]
        return "\n".join([*parts, f"{self.start}assistant\n"] if open_reply else parts)

    def control_texts(self) -> Sequence[str]:
        """The beginning and the end of a turn."""
        return (self.start, self.end)


@dataclass(frozen=True, kw_only=True)
class TokenizerTemplate(Template):
    """The tokenizer's own Jinja chat template.

    tokenizer: has a chat_template.
    system: a system prompt for conversations without one; None leaves it to the chat template.
    states: the spelling of the state tokens.
    """

    tokenizer: PreTrainedTokenizerBase
    system: str | None = None
    states: StateTokens = VITA_1_0_STATES
    layout: Layout = PLAIN_LAYOUT
    adds_bos: bool = False

    def __post_init__(self) -> None:
        if not getattr(self.tokenizer, "chat_template", None):
            raise ConfigError("the tokenizer has no chat template", fix="use the vita template or add chat_template")

    def render_turns(
        self,
        turns: Sequence[Turn],
        *,
        system: str | None = None,
        open_reply: bool = False,
        tools: Sequence[Tool] = (),
    ) -> str:
        """See Template."""
        chat: list[dict[str, Any]] = [{"role": turn.role, "content": turn.text} for turn in turns]
        for message, turn in zip(chat, turns, strict=True):
            if turn.calls:
                message["tool_calls"] = [call.to_dict() for call in turn.calls]
        if system is not None:
            chat.insert(0, {"role": "system", "content": system})
        told: list[Any] | None = [tool.to_dict() for tool in tools] or None
        return str(
            self.tokenizer.apply_chat_template(chat, tools=told, tokenize=False, add_generation_prompt=open_reply)
        )

    @property
    def has_tools(self) -> bool:
        """See Template: whether the chat template has calls in the form that is read back here, see `tools.py`."""
        return OPEN in str(self.tokenizer.chat_template)

    def system_prompt(self, turns: Sequence[Turn], modality: Modality | str | None) -> str | None:
        """See Template; the modality plays no part."""
        return self.system

    def control_texts(self) -> Sequence[str]:
        """The tokenizer's special tokens, apart from the placeholders."""
        special = [token.content for token in self.tokenizer.added_tokens_decoder.values() if token.special]
        return [text for text in special if text not in PLACEHOLDERS]

    def to_dict(self) -> dict[str, Any]:
        """System prompt and spacing; the chat template itself is the tokenizer's."""
        return {"system": self.system, "after_visual": self.layout.after_visual}


def _picture(shows: bool) -> str:
    return "a picture" if shows else "no picture"


VITA_FORMATS: dict[str, type[VitaTemplate]] = {
    "mixtral_two": VitaTemplate,
    "mixtral_zh": VitaTemplate,
    "qwen2p5_instruct": Vita15Template,
}
"""The reference's names: VITA-1.0's, with a system prompt by modality and with one for all, and VITA-1.5's."""
TOKENIZER_FORMAT = "tokenizer"


def default_template(name: str, states: StateTokens, prompts: SystemPrompts | None = None) -> VitaTemplate:
    """The template of that name, one of VITA_FORMATS, with these system prompts or our own."""
    return VITA_FORMATS[name](prompts=prompts or SystemPrompts(), states=states)


def build_template(
    name: str, tokenizer: PreTrainedTokenizerBase, states: StateTokens, saved: dict[str, Any] | None = None
) -> Template:
    """The template of a model.

    Args:
        name: one of VITA_FORMATS, or "tokenizer" (VitaConfig.template).
        tokenizer: the model's tokenizer.
        states: the spelling of the model's states.
        saved: what `Template.to_dict` gave; without it our own system prompts are used.
    """
    saved = saved or {}
    if name in VITA_FORMATS:
        prompts = saved.get("system_prompts")
        return default_template(name, states, SystemPrompts.from_dict(prompts) if prompts else None)
    if name == TOKENIZER_FORMAT:
        layout = Layout(after_visual=saved.get("after_visual", ""))
        return TokenizerTemplate(tokenizer=tokenizer, system=saved.get("system"), states=states, layout=layout)
    known = ", ".join((*VITA_FORMATS, TOKENIZER_FORMAT))
    raise ConfigError("unknown chat template", got=repr(name), expected=f"one of {known}")
