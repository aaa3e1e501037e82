"""The pocket tokenizer: what is one token, what falls apart into letters and bytes, and the way back."""

from __future__ import annotations

import random
from pathlib import Path

import pytest
import torch
from transformers import PreTrainedTokenizerFast

from vita.synth.questions import TASKS, chart_code
from vita.synth.world import NUMBERS, texts, world
from vita.tokens import VITA_1_0_STATES
from vita.train.pocket import plurals_like_singulars
from vita.train.tokenizer import CONTROL, build_tokenizer, corpus, save_tokenizer, spelled_ids


def ids(tokenizer: PreTrainedTokenizerFast, text: str) -> list[int]:
    return tokenizer(text, add_special_tokens=False)["input_ids"]


@pytest.mark.parametrize(
    ("text", "back"),
    [
        ("what color is the circle", "what color is the circle"),
        ("What COLOR?", "what color?"),
        ("it's 3+4=7, isn’t it", "it's 3+4=7, isn't it"),
        ("红色的圆形在哪里？", "红色的圆形在哪里?"),
        ("你好，世界。", "你好,世界。"),
        ("the 蓝鲸 is big", "the蓝鲸 is big"),
        ("xylophonic qwrtz", "xylophonic qwrtz"),
        ("naïve café 東京 🙂", "naïve café東京 🙂"),
        ("def run():\n    stop()", "def run():\n    stop()"),
        ("", ""),
    ],
)
def test_round_trip(tokenizer: PreTrainedTokenizerFast, text: str, back: str) -> None:
    """Back comes the text in lower case, with ASCII punctuation and without a space before Chinese."""
    assert tokenizer.decode(ids(tokenizer, text)).removeprefix(" ") == back


def test_answers_and_questions_of_the_world_come_back(tokenizer: PreTrainedTokenizerFast) -> None:
    rng = random.Random(0)
    full_width = str.maketrans("，！？：；（）", ",!?:;()")
    for _ in range(300):
        lang = rng.choice(("en", "zh"))
        turn = rng.choice(list(TASKS.values()))(rng, lang)
        for text in (turn.question, turn.answer):
            back = tokenizer.decode(ids(tokenizer, text)).removeprefix(" ")
            assert back.replace(" ", "") == text.lower().translate(full_width).replace(" ", "")
            if lang == "en":
                assert back == text.lower()


def test_known_words_and_characters_are_single_tokens(tokenizer: PreTrainedTokenizerFast) -> None:
    words = [*texts("words")["print"], *texts("words")["speech"], *NUMBERS["en"], "vita"]
    words += [name["en"] for kind in ("colours", "shapes", "directions") for name in world()[kind]]
    several = [word for word in words if len(ids(tokenizer, word)) != len(word.replace("'", " ' ").split())]
    assert [word for word in several if "'" not in word] == []
    chinese = "".join(fact["zh"]["answer"] for fact in world()["facts"])
    chinese = "".join(c for c in chinese if "\u4e00" <= c <= "\u9fff")
    assert len(ids(tokenizer, chinese)) == len(chinese)


def test_a_word_is_the_same_token_at_the_beginning_and_inside(tokenizer: PreTrainedTokenizerFast) -> None:
    whale = ids(tokenizer, "whale")
    assert len(whale) == 1
    assert ids(tokenizer, "the blue whale")[-1:] == whale
    assert ids(tokenizer, "<|bot|>whale")[-1:] == whale


def test_unknown_words_are_letters_and_unknown_characters_bytes(tokenizer: PreTrainedTokenizerFast) -> None:
    tokens = tokenizer.convert_ids_to_tokens(ids(tokenizer, "zzxqj"))
    assert tokens == ["▁z", "z", "x", "q", "j"]
    tokens = tokenizer.convert_ids_to_tokens(ids(tokenizer, "龘"))
    assert tokens == [f"<0x{byte:02X}>" for byte in "龘".encode()]
    assert tokenizer.unk_token_id not in ids(tokenizer, "龘 🙂 \u0007 zzxqj")


def test_control_tokens_come_first_and_are_never_split(tokenizer: PreTrainedTokenizerFast) -> None:
    assert tokenizer.convert_ids_to_tokens(list(range(len(CONTROL)))) == list(CONTROL)
    assert ids(tokenizer, "".join(CONTROL)) == list(range(len(CONTROL)))
    assert (tokenizer.pad_token, tokenizer.eos_token) == ("<pad>", "<|end|>")
    for spelling in vars(VITA_1_0_STATES).values():
        assert len(ids(tokenizer, spelling)) == 1


def test_every_token_is_one_of_a_kind_and_all_bytes_are_there(tokenizer: PreTrainedTokenizerFast) -> None:
    vocabulary = tokenizer.get_vocab()
    assert sorted(vocabulary.values()) == list(range(len(tokenizer)))
    assert all(f"<0x{byte:02X}>" in vocabulary for byte in range(256))
    assert 2500 < len(tokenizer) < 4500


@pytest.mark.parametrize("text", ["stop", "open 24", "3 + 4=?", "a，然后b", chart_code(("a", "7", "go"))])
def test_spelled_ids_decode_back(tokenizer: PreTrainedTokenizerFast, text: str) -> None:
    spelled = spelled_ids(tokenizer, text)
    assert len(spelled) == len(text)
    assert tokenizer.decode(spelled) == text


def test_every_spelled_answer_can_be_spelled(tokenizer: PreTrainedTokenizerFast) -> None:
    rng, count = random.Random(1), 0
    for _ in range(1500):
        turn = TASKS["picture"](rng, rng.choice(("en", "zh")))
        if turn.spell:
            count += 1
            assert tokenizer.decode(spelled_ids(tokenizer, turn.answer)) == turn.answer
    assert count > 300


def test_chat_template(tokenizer: PreTrainedTokenizerFast) -> None:
    chat = [
        {"role": "system", "content": "be brief"},
        {"role": "user", "content": "<image>where is it"},
        {"role": "assistant", "content": "<3>top"},
    ]
    text = tokenizer.apply_chat_template(chat, tokenize=False)
    assert text == "<|system|>be brief<|end|><|user|><image>where is it<|end|><|bot|><3>top<|end|>"
    opened = tokenizer.apply_chat_template(chat[:2], tokenize=False, add_generation_prompt=True)
    assert opened == "<|system|>be brief<|end|><|user|><image>where is it<|end|><|bot|>"


def test_the_vocabulary_is_the_same_each_time(tokenizer: PreTrainedTokenizerFast) -> None:
    assert corpus(0, 50) == corpus(0, 50) != corpus(1, 50)
    lines = ["the blue whale", "蓝鲸 sings", "it's"]
    one, two = build_tokenizer(lines), build_tokenizer(lines[::-1])
    assert one.get_vocab() == two.get_vocab()
    assert {"▁whale", "▁it's", "鲸"} < set(one.get_vocab())
    assert "▁color" not in one.get_vocab()


def test_it_is_the_same_after_saving(tokenizer: PreTrainedTokenizerFast, tmp_path: Path) -> None:
    folder = tmp_path / "run" / "tokenizer"
    save_tokenizer(tokenizer, folder)
    assert [path.name for path in folder.parent.iterdir()] == ["tokenizer"]
    again = PreTrainedTokenizerFast.from_pretrained(folder)
    text = "<|user|><audio>what is 12-5? 蓝鲸 龘<|end|><|bot|><1>seven<|end|>"
    assert ids(again, text) == ids(tokenizer, text)
    assert again.chat_template == tokenizer.chat_template
    assert (again.padding_side, again.eos_token_id) == ("left", tokenizer.eos_token_id)


def test_saving_that_is_interrupted_leaves_no_folder(
    tokenizer: PreTrainedTokenizerFast, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A run takes the folder's being there for the tokenizer's being whole."""

    def die(folder: Path) -> None:
        folder.mkdir()
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(tokenizer, "save_pretrained", die)
        with pytest.raises(KeyboardInterrupt):
            save_tokenizer(tokenizer, tmp_path / "tokenizer")
    assert not (tmp_path / "tokenizer").exists()
    save_tokenizer(tokenizer, tmp_path / "tokenizer")
    assert (tmp_path / "tokenizer" / "tokenizer.json").is_file()


def test_plurals_begin_as_their_singulars(tokenizer: PreTrainedTokenizerFast) -> None:
    before = torch.randn(len(tokenizer), 4, generator=torch.Generator().manual_seed(0))
    words = before.clone()
    plurals_like_singulars(words, tokenizer)
    moved = {"circles": "circle", "squares": "square", "triangles": "triangle", "stars": "star", "crosses": "cross"}
    for plural, singular in moved.items():
        assert torch.equal(words[ids(tokenizer, plural)], before[ids(tokenizer, singular)])
    others = [row for row in range(len(before)) if row not in {ids(tokenizer, plural)[0] for plural in moved}]
    assert torch.equal(words[others], before[others])
