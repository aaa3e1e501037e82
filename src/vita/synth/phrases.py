"""How questions about sums and clips are asked in training: templates by kind and language.

Slots: <shape> <a> <b>. Used by `questions`; pictures have `picture_phrases`, the test split has `held_out`.
"""

from __future__ import annotations

SUM = {
    "en": [
        "{what is|what's|how much is|calculate|compute|} <a> {plus|and|added to} <b>",
        "what do you get {when you add|if you add|adding} <a> {and|to} <b>",
        "add <a> {and|to} <b>",
        "what is the sum of <a> and <b>",
        "<a> plus <b> {is what|equals|is|makes|equals what|makes how much}",
        "{tell me|give me} {the sum of <a> and <b>|<a> plus <b>|what <a> plus <b> is}",
        "{how much|how many|what} {do|does} <a> and <b> make{ together|}",
        "{can you|could you|please} {add|sum} <a> and <b>",
        "if i have <a> apples and get <b> more how many do i have",
        "<a> plus <b> {gives|gives how much|is how much|comes to what}",
        "{find|say|name} the {sum|total} of <a> and <b>",
    ],
    "zh": [
        "<a>{加|加上|加個|和}<b>{等于几|等于多少|是多少|是几|得几|得多少|一共是多少}",
        "<a>加<b>{呢|等于|}",
        "{计算|算一下|算算|请算|请计算|帮我算|帮我算一下|告诉我}<a>{加|加上}<b>{|是多少|等于几}",
        "<a>{和|与|跟}<b>{的和是多少|的和是几|相加是多少|相加等于几|加起来是多少|加在一起等于多少|加一起是几}",
        "{求|请问}<a>{和|与}<b>的和",
        "{把|请把}<a>{和|与}<b>{加起来|相加}",
        "我有<a>个苹果又得到<b>个{现在有几个|一共有几个}",
        "<a>{和|跟|与}<b>{合在一起|凑在一起|放在一起}{是几|是多少|等于几}",
    ],
}
MINUS = {
    "en": ["{what is|what's|how much is|} <a> minus <b>", "<a> take away <b>", "subtract <b> from <a>"],
    "zh": ["<a>减<b>{等于几|等于多少|是多少|}", "<a>减去<b>{等于几|是多少}", "{算一下|计算}<a>减<b>"],
}

CLIP = {
    "direction": {
        "en": [
            "{which|what} {way|direction} {does|is|did} {it|the <shape>|the shape|the object} {move|moving|go|going}",
            "{where|to where} {does|is|did} {it|the <shape>|the shape} {move|moving|go|going}{| to}",
            "in {which|what} direction {does|did|is} {it|the <shape>|the object} {move|go|moving}",
            "{tell me|say} {which way|where|the direction} {it|the <shape>} {moves|goes}",
            "what is the direction of {the <shape>|the movement|the motion}",
            "{to|towards} {which|what} side {is|does|did} {it|the <shape>|the object} {move|moving|go|going}",
            "{can you|could you|please} {tell me|say} {which way|in which direction} {it|the <shape>} {moves|goes}",
            "{left or right|up or down} or {where|which way} {does|did} {it|the <shape>} {move|go}",
            "{what|which} direction {does|did} {it|the <shape>|the movement} {take|have|follow}",
            "where is {it|the <shape>|the object} {off to|running to|headed|heading|drifting}",
            "{describe|give me|tell me} the {direction|way} {it takes|of the <shape>|it goes in|it follows}",
            "{which|what} {side|direction} is {it|the <shape>} {headed for|drifting to|running to|traveling to}",
        ],
        "zh": [
            "{它|<shape>|图形|这个图形|物体}{往哪边移动|往哪里移动|往哪个方向移动|向哪边移动|向哪个方向移动|朝哪边走|往哪走|朝哪个方向动|往哪里去|向哪里移动|的移动方向是什么|怎么移动}",
            "{移动|运动}的方向{是什么|是哪边|是哪里}",
            "{告诉我|说说}{它|<shape>}{往哪边移动|移动的方向}",
            "{它|<shape>|图形|物体}{移到|跑到|走到|滑到|去}{了|}{哪边|哪里|哪一边|哪个方向}{|去|去了}",
            "{它|<shape>|图形}{朝着|向着|正往|一直往}{哪里|哪边|哪一边|什么方向}{去|走|跑|移动}",
        ],
    },
    "event": {
        "en": [
            (
                "what {happens|happened|is happening}"
                "{| in the clip| in the video| here| in this clip| to the <shape>| to it}"
            ),
            "what {does|did} {it|the <shape>|the shape|the object} do",
            "{tell me|describe|say} what {happens|happened}{| in the video| in the clip}",
            "what is going on{| here| in the video}",
            "what {takes place|occurs|goes on}{| in the video| in the clip| here| to it}",
            "{say|explain|report} what {takes place|occurs|happened|it does}{| in this clip}",
            "{what|which} event {is shown|do you see|does the video show|happens in it}",
            "{can you|could you|please} {tell me|describe} what {happens|happened|goes on|is going on}{| here| there}",
            "{i want to know|do you see|did you see} what {happens|happened}{| here| to it| to the <shape>}",
            "what {do|did|can} you see {happening|happen|in the video|in the clip}",
            "what {was done|has happened}{| here| to it| to the <shape>}",
        ],
        "zh": [
            "{|视频里|视频中|片段里|这里|画面中|这个片段里}{发生了什么|发生什么|发生了什么事|怎么了|发生了什么事情|出了什么事}",
            "{它|<shape>|这个图形|图形|物体}{怎么了|做了什么|发生了什么|有什么变化|发生了什么变化}",
            "{说说|告诉我|描述一下}{发生了什么|视频里发生了什么|视频}",
            "{讲讲|说一说|讲一下|描述|介绍一下}{视频|片段|画面}{里的情形|里的事情|里的经过|里怎么了|的内容|的经过}",
            "{视频|片段|画面}{里|中}{有什么事|出了什么事|有什么动静|图形怎么了|它怎么样了|有什么变化}",
            "{看到了|看见|你看到|你看见}{什么事|什么变化|它怎么了|它做了什么}",
        ],
    },
    "final_colour": {
        "en": [
            (
                "{what|which} {color|colour} is {it|the <shape>|the shape} "
                "{at the end|in the end|finally|at last|now|afterwards}"
            ),
            "{what|which} {color|colour} does {it|the <shape>} {become|turn into|end up|have at the end|get|turn}",
            "what is the {final|last} {color|colour}{| of the <shape>}",
            "at the end {what|which} {color|colour} is {it|the <shape>}",
            "{into|to} {what|which} {color|colour} does {it|the <shape>} {change|turn}",
            "{when it ends|after all|last of all|once it is over} {what|which} {color|colour} is {it|the <shape>}",
            "{tell me|say|name} the {color|colour} {it|the <shape>} {has at the end|ends with|has finally|turns into}",
            "{and then|then|afterwards} {it|the <shape>} is {what|which} {color|colour}",
            "{what|which} {color|colour} {do|did|can} you see {at last|finally|at the very end}",
            (
                "{what|which} {color|colour} {is it|is the <shape>|does it have|has it got|do we see} "
                "{by the end|towards the end|in the last picture|in the last frame} of {the|this} {clip|video|film}"
            ),
            "{when|once|as} the {clip|video|film} {ends|stops|is over} {what|which} {color|colour} is {it|the <shape>}",
            "{what|which} {color|colour} is {it|the <shape>} {when|once} the {clip|video|film} {ends|stops|is over}",
            "with {what|which} {color|colour} does the {clip|video|film} end",
            (
                "{what|which} {color|colour} {does it have|has it got|is the <shape>|is the object} "
                "{at the close|at the end|in the end} of the {clip|film|recording}"
            ),
            (
                "at the end of the {clip|video|film|recording} {what|which} {color|colour} "
                "{is it|is the <shape>|does it have|is the object}"
            ),
            "what is {its|the} {color|colour} {at the end|in the end|after the change}{| of the clip}",
            "{its|the} {final|last|end} {color|colour}{| please| is what| of the <shape> please}",
            "{what|which} {color|colour} {did|does} {it|the <shape>} {finish with|finish in|end in|end up as|take on}",
            "{what|which} {color|colour} is {it|the <shape>|the object} after {it changes|the change|all that}",
            "{what|which} new {color|colour} does {it|the <shape>} {take on|get|have}",
        ],
        "zh": [
            "{它|<shape>|图形|这个图形|物体|}{最后是什么颜色|最后变成什么颜色|最后变成了什么颜色|变成了什么颜色|结束时是什么颜色|最终是什么颜色|末尾是什么颜色|变成什么颜色}",
            "{最后|结束时|最终|视频最后}{|它|<shape>|图形}{是什么颜色|变成什么颜色|的颜色是什么}",
        ],
    },
    "clip_shape": {
        "en": ["{what|which} shape {moves|is moving|is it|is in the clip|do you see}", "what {moves|is moving}"],
        "zh": ["{什么|哪个}{图形|形状}{在动|在移动|}", "{是什么|这是什么|视频里是什么}{形状|图形}", "什么在动"],
    },
    "clip_colour": {
        "en": ["what {color|colour} is {it|the <shape>} at {the start|first|the beginning}"],
        "zh": ["{一开始|开始时|最初|起初}{|它|<shape>}{是什么颜色|什么颜色}"],
    },
}
