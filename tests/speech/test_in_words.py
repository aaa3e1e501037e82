"""Numbers, units, dates, times, money, formulas and sums as they are said, in English and Chinese."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vita.speech.in_words import in_words


@pytest.mark.parametrize(
    ("written", "said"),
    [
        ("A spider has 8 legs.", "A spider has eight legs."),
        ("5 km, 3.5 kg and 60 km/h", "five kilometers, three point five kilograms and sixty kilometers per hour"),
        ("12 m at 10 m/s", "twelve meters at ten meters per second"),
        ("20 °C or 50%", "twenty degrees Celsius or fifty percent"),
        ("2024-05-03", "the third of may twenty twenty four"),
        ("May 3, 2024", "May three, twenty twenty four"),
        ("10:30 am", "ten thirty AM"),
        ("€30", "thirty euros"),
        ("1/2 cup, the 3rd, No. 5", "one half cup, the third, number five"),
        ("1,234,567", "one million two hundred thirty four thousand five hundred and sixty seven"),
        ("3+4=7", "three plus four equals seven"),
        ("5-2=?", "five minus two equals ?"),
        ("9 - 2 × 3", "nine minus two times three"),
        ("3-4 days", "three to four days"),
        ("E = mc²", "E equals mc squared"),
        ("2^10 = 1024", "two to the power of ten equals ten twenty four"),
        ("√16 = 4", "square root of sixteen equals four"),
        ("well-known", "well-known"),
        (" 7 ", " seven "),
    ],
)
def test_english(written: str, said: str) -> None:
    assert in_words(written, "en") == said


@pytest.mark.parametrize(
    ("written", "said"),
    [
        ("蜘蛛有8条腿。", "蜘蛛有八条腿。"),
        ("我有2只猫", "我有两只猫"),
        ("5 km，20°C，50%", "五公里，二十摄氏度，百分之五十"),
        ("10 m/s", "十米每秒"),
        ("2024-05-03", "二零二四年五月三日"),
        ("2024年5月3日10:30", "二零二四年五月三日十点三十分"),
        ("￥30", "三十元"),
        ("1/3的人", "三分之一的人"),
        ("1,234", "一千二百三十四"),
        ("3+4=7", "三加四等于七"),
        ("5-2=?", "五减二等于?"),
        ("x²+y²=z²", "x的平方加y的平方等于z的平方"),
        ("气温-5度", "气温负五度"),
        ("没有数字。", "没有数字。"),
    ],
)
def test_chinese(written: str, said: str) -> None:
    assert in_words(written, "zh").replace(" ", "") == said.replace(" ", "")


@given(st.text(), st.sampled_from(["en", "zh"]))
def test_any_text_can_be_said(text: str, language: str) -> None:
    said = in_words(text, language)
    assert bool(said.strip()) == bool(text.strip())
