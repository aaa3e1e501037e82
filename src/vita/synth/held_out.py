"""Phrasings and sentences of the test split; `vita.evaluate` asks with them.

Training never makes any of them, not even with a lead-in before it or a word lost (tests/synth/test_held_out.py).
Same slots as `phrases`. Facts are wrapped around the noun phrase of the world's own list.
"""

from __future__ import annotations

FACT = {
    "en": [
        "would you mind telling me {x}",
        "please say what {x} is called",
        "i am curious about {x}",
        "which one is {x}",
    ],
    "zh": ["能不能告诉我{x}", "有谁知道{x}是什么", "想不想说说{x}是什么", "麻烦说一下{x}"],
}
SUM = {
    "en": [
        "what number is <a> plus <b>",
        "tell me how much <a> plus <b> makes",
        "work out <a> plus <b>",
        "<a> and <b> together make what",
    ],
    "zh": ["<a>加<b>的答案是几", "你知道<a>加<b>等于几吗", "<a>加上<b>总共是多少", "请回答<a>加<b>是几"],
}
PICTURE = {
    "colour_of_shape": {
        "en": ["what color do you see on the <shape>", "which color was used for the <shape>"],
        "zh": ["你看<shape>是什么颜色的", "请问<shape>的颜色是哪一种"],
    },
    "shape_of_colour": {
        "en": ["the thing that is <colour> has what shape", "show me which of the shapes is <colour>"],
        "zh": ["请问<colour>的是哪种图形", "你看<colour>的东西是什么形状的"],
    },
    "count_all": {
        "en": ["how many shapes does the picture have", "how many shapes would you count"],
        "zh": ["请数出图里总共有多少个图形", "这幅图里有多少个图形"],
    },
    "count_shape": {
        "en": ["how many <shapes> does the picture show"],
        "zh": ["请数出图里有多少个<shape>", "这幅图里有几个<shape>"],
    },
    "count_colour": {
        "en": ["how many shapes of <colour> color are there", "how many <colour> shapes does it show"],
        "zh": ["请数出图里有几个<colour>的图形", "这幅图里有几个<colour>的图形"],
    },
    "where": {
        "en": ["do you know where the <colour> <shape> is", "where exactly is the <colour> <shape>"],
        "zh": ["请指给我看<colour>的<shape>在哪里", "你知道<colour>的<shape>在什么位置吗"],
    },
    "exists": {
        "en": ["would you say there is a <colour> <shape>", "could you check if there is a <colour> <shape>"],
        "zh": ["帮我找找有没有<colour>的<shape>", "请看一下有没有<colour>的<shape>"],
    },
    "read": {
        "en": ["what are the letters in the picture", "please tell me what is written there"],
        "zh": ["你看看上面都写了些什么", "请把图里的字读出来"],
    },
    "result": {
        "en": ["what is the result of the sum you see", "can you solve it"],
        "zh": ["请问这道算式等于几", "请算出图里的结果"],
    },
    "next_box": {
        "en": ["what box stands right behind <label>", "which one comes next after <label>"],
        "zh": ["请问<label>的后面是什么", "<label>之后是哪一个"],
    },
    "at_place": {
        "en": ["could you name the thing at the <place>", "at the <place> there is what"],
        "zh": ["请看一下<place>的是哪个东西", "你看<place>那里放着什么"],
    },
    "describe": {
        "en": ["could you give me a description of the whole scene", "list everything that you see there"],
        "zh": ["请把画面里的东西全部列出来", "能不能把整幅图讲给我听"],
    },
    "code": {
        "en": ["how would this chart look as a python function", "make a small program out of the boxes"],
        "zh": ["这个流程用程序应该怎么写", "能不能用程序来表达这些步骤"],
    },
}
CLIP = {
    "direction": {
        "en": ["which way did you see the <shape> move", "say which way the thing is going"],
        "zh": ["你觉得它在往哪边移动", "<shape>是往哪个方向移动的"],
    },
    "event": {
        "en": ["can you say what happens in the video", "what is it that happens"],
        "zh": ["这段视频里发生了些什么", "你看到发生了什么"],
    },
    "final_colour": {
        "en": ["what color does it have in the end", "which color is it at the end of the video"],
        "zh": ["它到了最后是什么颜色的", "到最后它是什么颜色"],
    },
}
LONG = {
    "count": {
        "en": ["please count up from one to twenty now", "can you count all the way to twenty"],
        "zh": ["请你从一数到二十好吗", "能不能从一数到二十"],
    },
    "introduce": {
        "en": ["please introduce yourself to us", "i would like you to introduce yourself"],
        "zh": ["请向大家介绍一下你自己", "麻烦你介绍一下自己"],
    },
    "story": {
        "en": ["could you please tell us a story", "tell me a story now please"],
        "zh": ["请给我们讲一个故事", "现在讲个故事好吗"],
    },
}
BACKCHANNEL = {
    "en": ["uh-huh okay", "mmm yes", "oh i get it", "that's nice", "alright", "ah okay then"],
    "zh": ["嗯哼", "哦好吧", "是这样啊", "我懂了", "挺好的", "噢好的"],
}
SIDE_TALK = {
    "en": [
        "dad the water is boiling over",
        "i parked the car behind the old church",
        "remember to bring the blue folder on monday",
        "they said the concert starts at half past eight",
        "no mum i already brushed my teeth",
        "peter could you close the window please",
        "yeah i am on the train now i will be there soon",
        "once there lived a farmer with three sons",
        "my brother wants to visit egypt next spring",
        "we need two more chairs for the guests",
        "sorry i can't talk now i am in a meeting",
        "the baby finally fell asleep on the sofa",
        "anna have you put the dog outside",
        "last night the moon was bright above the lake",
        "the paint on the red square sign is coming off",
        "grandma baked a cake for all of us",
    ],
    "zh": [
        "爸爸水烧开了",
        "我把车停在超市后面了",
        "记得周一把蓝色的文件夹带来",
        "他们说音乐会八点半开始",
        "妈我已经刷过牙了",
        "小王你把窗户关一下",
        "喂我在地铁上马上就到",
        "从前有一个农夫他有三个儿子",
        "我弟弟明年春天想去埃及",
        "客人来了我们还差两把椅子",
        "不好意思我正在开会回头再说",
        "宝宝终于在沙发上睡着了",
        "小红你怎么把大门开着",
        "昨晚的月亮照在湖面上很亮",
        "奶奶给我们烤了一个蛋糕",
        "那个红色正方形的牌子掉漆了",
    ],
}
