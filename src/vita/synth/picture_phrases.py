"""How questions about pictures are asked in training: templates by kind and language.

Slots: <shape> <shapes> <colour> <place> <label>. Used by `turns` and `shape_questions`; training never sees the
phrasings of `held_out`.
"""

from __future__ import annotations

PICTURE = {
    "colour_of_shape": {
        "en": [
            "{what|which} {color|colour} is the <shape>{| in the picture| in this image| here}",
            "what's the {color|colour} of the <shape>{| in the picture}",
            "{tell me|give me|name|say} the {color|colour} of the <shape>",
            "the <shape> {is what color|has which color|what color is it|is which color}",
            "{what|which} {color|colour} {does|would you say} the <shape> {have|has}",
            "in {what|which} {color|colour} is the <shape> {drawn|painted|shown}",
            "{can you tell me|do you see} what {color|colour} the <shape> {is|has}",
            "how is the <shape> {colored|coloured}",
            "{could you|please} {tell me|say} {which|what} {color|colour} the <shape> {is|has got}",
            "look at the <shape> {what color is it|and name its color|which color does it have}",
            "{what|which} {color|colour} {did they give|was given to|is on} the <shape>",
        ],
        "zh": [
            "{|图里|图中|图片里|画面中|这张图里}{|的|那个}<shape>{是什么颜色|是什么颜色的|的颜色是什么|是哪种颜色|是啥颜色|什么颜色}",
            "{告诉我|说说|请说出|说一下}<shape>{的颜色|是什么颜色}",
            "<shape>{用的是什么颜色|涂的是什么颜色|涂成了什么颜色|有什么颜色|呈什么颜色}",
            "{这个|那个}<shape>{是什么颜色|的颜色呢}",
            "{请|麻烦你|帮我}{看看|看一看|说说}<shape>{是什么颜色|是哪种颜色|是什么色的}",
            "<shape>的颜色{是|属于}{哪一个|哪种|什么}",
            "你{觉得|认为|能看出}<shape>是{什么|哪种}颜色{|吗}",
        ],
    },
    "shape_of_colour": {
        "en": [
            "{what|which} shape is <colour>",
            "{what|which} shape is the <colour> {one|object|thing|figure}",
            "what is the {shape|form} of the <colour> {one|object|thing|figure}",
            "what is the <colour> {shape|thing|object|one|figure}{| in the picture| here}",
            "{tell me|name|give me} the {shape|form} of the <colour> {one|object|figure}",
            "the <colour> {one|object|thing|shape} {is what shape|has which shape|is what}",
            "{which|what} {figure|object} {is|is painted|is drawn} {in |}<colour>",
            "what kind of {shape|figure} is the <colour> {one|object}",
            (
                "{the one|the object|something|the figure} {which|that} is <colour> "
                "{what shape is it|what is its shape|is of what shape|is what}"
            ),
            "the <colour> {one|object|figure} {has|is of} {what|which} {shape|form}",
            "what {shape|form} does the <colour> {thing|one|object} have",
            "{which|what} {one of|of} {the figures|the forms|the objects|these} is <colour>",
            "{name|show|find} the {shape|figure|thing} {that|which} is <colour>",
            "look at the <colour> {one|thing|object} {what shape is it|what is it|and name its shape}",
            "i see something <colour> {what is it|what shape is it}",
            "{which|what} one {of|among} the shapes is {<colour>|the <colour> one}",
            "among the shapes {which|what} is the <colour> one",
            "{point out|point to|find me} the shape {that|which} is <colour>",
            "of {all|these} shapes which {one|} is <colour>",
        ],
        "zh": [
            "{|图里|图中}<colour>的{是什么形状|是什么图形|图形是什么形状|东西是什么形状|物体是什么形状|那个是什么形状|图形是什么}",
            "{哪个|什么}{形状|图形}是<colour>的",
            "<colour>{图形的形状是什么|物体的形状是什么|的形状是什么|是哪个图形}",
            "{告诉我|说说|说出}<colour>的{图形|物体|东西}{是什么形状|的形状}",
            "<colour>的{是哪个图形|是哪种形状|究竟是什么|那一个是什么图形|是哪一个}",
            "{你看到的|那个|这个}<colour>的{东西|物体|图形}{属于什么形状|是哪一种图形|是啥形状}",
            "{请|麻烦你|帮我}{看看|说说}<colour>的{图形|物体|}是{什么形状|什么图形|哪种形状}",
        ],
    },
    "count_all": {
        "en": [
            (
                "how many {shapes|objects|things|figures|forms} "
                "{are there|are in the picture|do you see|can you see|are shown|are here}"
            ),
            "{count|please count} {the|all the} {shapes|objects|things|figures}",
            "what is the {number|total number|count} of {shapes|objects|figures}",
            "{tell me|say} how many {shapes|objects|things|figures} {there are|you see|are in the image}",
            "how many {shapes|objects|figures} {in total|altogether|all together|}{| are there}",
            "the number of {shapes|objects|figures}",
            (
                "how many {shapes|objects|things|figures} "
                "{does it show|does this image contain|does the image have|could you count|did you find}"
            ),
            "{give me|i need|i want} the number of {shapes|objects|things}",
            "in {all|the picture|total} how many {shapes|objects|figures} {do you see|are there}",
        ],
        "zh": [
            "{|图里|图中|图片里|画面中|这里|这张图里}{一共有|总共有|共有|有}{几个|多少个|多少}{图形|形状|东西|物体}",
            "{数一数|数一下|请数一数}{|图里的|图中的|有几个|有多少个}{图形|形状|物体}",
            "{图形|形状|物体}{的数量是多少|的个数是多少|有几个|有多少个|一共几个}",
            "{你看到|你能看到}{几个|多少个}{图形|形状|物体}",
            "{这张图片|图片|这张图|图}{里|里面|中}{总共|一共|}有{多少|几}个{图形|形状|物体}",
            "{请|帮我|麻烦你}{数数|数一数|数数看}{图里|图片里|}{一共|总共|}有{多少|几}个{图形|物体|形状}",
        ],
    },
    "count_shape": {
        "en": [
            "how many <shapes> {are there|are in the picture|do you see|can you see|are shown|are here|}",
            "{count|please count} the <shapes>",
            "what is the {number|count} of <shapes>",
            "{tell me|say} how many <shapes> {there are|you see}",
            "the number of <shapes>",
            (
                "how many <shapes> "
                "{does it show|does this image contain|does the image have|could you count|did you find|in total}"
            ),
            "{give me|i need|i want} the number of <shapes>",
            "in {all|the picture|total} how many <shapes> {do you see|are there}",
            "{can you|could you} {count|find} the <shapes>",
            "<shapes> {how many are there|how many do you see|how many}",
            "how many of {the|these} shapes are <shapes>",
        ],
        "zh": [
            "{|图里|图中|图片里|画面中|这里}{一共有|总共有|有}{几个|多少个|多少}<shape>",
            "{数一数|数一下}{|图里|图中}{|有几个|有多少个}<shape>",
            "<shape>{的数量是多少|的个数是多少|有几个|有多少个|一共几个}",
            "{你看到|你能看到}{几个|多少个}<shape>",
            "{这张图片|图片|这张图|图}{里|里面|中}{总共|一共|}有{多少|几}个<shape>",
            "{请|帮我|麻烦你}{数数|数一数|数数看}{图里|图片里|}{一共|总共|}有{多少|几}个<shape>",
        ],
    },
    "count_colour": {
        "en": [
            (
                "how many <colour> {shapes|objects|things|figures|ones} "
                "{are there|are in the picture|do you see|can you see|are here|}"
            ),
            "{count|please count} the <colour> {shapes|objects|things|figures|ones}",
            "how many {shapes|objects|things|figures} are <colour>",
            "{tell me|say} how many {shapes|objects|figures} are <colour>",
            "what is the number of <colour> {shapes|objects|figures}",
            (
                "how many {shapes|objects|things|figures} "
                "{have the color <colour>|with the color <colour>|in <colour>|that are <colour>|colored <colour>}"
                "{ do you see| are there|}"
            ),
            (
                "how many <colour> {shapes|things|objects|figures} "
                "{does this image contain|does the image have|could you count|are shown|did you find|in total}"
            ),
            "{give me|i need|i want} the number of <colour> {shapes|objects|things}",
            "how many {are|of them are} <colour>",
            "in {all|the picture|total} how many <colour> {shapes|objects|figures} {do you see|are there}",
        ],
        "zh": [
            "{|图里|图中|图片里|画面中|这里}{一共有|总共有|有}{几个|多少个|多少}<colour>的{图形|形状|东西|物体|}",
            "{数一数|数一下}{|有几个|有多少个}<colour>的{图形|形状|物体}",
            "<colour>的{图形|形状|物体|}{有几个|有多少个|数量是多少|一共几个}",
            "{几个|多少个}{图形|物体}是<colour>的",
            "{这张图片|图片|这张图|图}{里|里面|中}{总共|一共|}有{多少|几}个<colour>的{图形|形状|物体}",
            "{请|帮我|麻烦你}{数数|数一数|数数看}{图里|图片里|}{一共|总共|}有{多少|几}个<colour>的{图形|物体|形状}",
        ],
    },
    "where": {
        "en": [
            "where is the {<shape>|<colour> <shape>|<colour> {one|object|shape|figure}}{| in the picture| here}",
            "where {can i find|do you see|can you see|would i find} the {<shape>|<colour> <shape>}",
            "{in|at} {what|which} {place|position|part of the picture|spot|location} is the {<shape>|<colour> <shape>}",
            "what is the {position|location|place} of the {<shape>|<colour> <shape>|<colour> {one|object}}",
            "{tell me|say|show me} where the {<shape>|<colour> <shape>|<colour> {one|object}} is",
            "the {<shape>|<colour> <shape>} is where",
            "{find|locate} the {<shape>|<colour> <shape>}",
            (
                "{do you see|can you tell me|could you say|i wonder|would you know} where the "
                "{<shape>|<colour> <shape>} {is|stands|sits|is drawn}"
            ),
            "where {precisely|about|roughly|in the picture} is the {<shape>|<colour> <shape>}",
        ],
        "zh": [
            "{|图里|图中}{<shape>|<colour><shape>|<colour>的<shape>|<colour>的{图形|物体}}{在哪里|在哪儿|在哪|在什么位置|在什么地方|位于哪里|在图的哪个位置|的位置是哪里|在哪个位置|在哪边}",
            "{告诉我|说说|请指出}{<shape>|<colour><shape>|<colour>的<shape>}{在哪里|的位置|在什么位置}",
            "{哪里|哪儿|什么位置}{有|是}{<shape>|<colour>的<shape>}",
            "{找一下|找到|找找}{<shape>|<colour>的<shape>}",
            "{请|帮我|麻烦你|你}{看看|看一看|指一下|说说}{<shape>|<colour>的<shape>}{在哪里|在哪儿|在什么地方|在哪个位置}",
            "你{看|能看出|能告诉我}{<shape>|<colour>的<shape>}在{哪里|哪儿|什么地方}{吗|}",
        ],
    },
    "exists": {
        "en": [
            "is there {a|any} {<shape>|<colour> <shape>|<colour> {shape|object|figure}}{| in the picture| here}",
            "{do|can} you see {a|any} {<shape>|<colour> <shape>|<colour> {shape|object}}",
            "does the {picture|image} {have|contain|show} {a|any} {<shape>|<colour> <shape>}",
            "are there any {<shapes>|<colour> <shapes>|<colour> {shapes|objects}}",
            "{tell me if|say whether} there is a {<shape>|<colour> <shape>}",
            (
                "{can you tell me|could you say|do you think|would you know|i wonder|please check} {if|whether} "
                "there is a {<shape>|<colour> <shape>|<colour> {object|shape}}"
            ),
            "{is|was} a {<shape>|<colour> <shape>} {there|shown|in the picture|to be seen|among them}",
            "{do|can|did} you find a {<shape>|<colour> <shape>}",
            "do you think there is a {<shape>|<colour> <shape>}",
        ],
        "zh": [
            "{|图里|图中|图片里|画面中|这里}{有没有|有}{<shape>|<colour>的<shape>|<colour><shape>|<colour>的{图形|物体}}{吗|}",
            "{|图里|图中|这里}有{<shape>|<colour>的<shape>|<colour><shape>|<colour>的{图形|物体}}吗",
            "{你看到|你能看到|能看到|看得到}{<shape>|<colour>的<shape>|<colour><shape>}吗",
            "{|图里|图中}{存在|是否有}{<shape>|<colour>的<shape>|<colour><shape>}{吗|}",
            "{请|帮我|麻烦你|你}{看看|看一看|查查|检查一下|瞧瞧}{|图里|图中|这里}有没有{<shape>|<colour>的<shape>|<colour><shape>|<colour>的图形}",
            "{图里|图中|这里|}有没有{<shape>|<colour>的<shape>|<colour>的图形}{呢|啊|在里面}",
            "{查一查|看看|你说说}有没有{<shape>|<colour>的<shape>}",
            "{能|可以|你能|能不能}{找到|找出}{<shape>|<colour>的<shape>|<colour>的图形}{吗|}",
            "{替我|给我|你来}{找|找一下|找一找}有没有{<shape>|<colour>的<shape>}",
            "{找得到|找不找得到}{<shape>|<colour>的<shape>}{吗|}",
        ],
    },
    "at_place": {
        "en": [
            "what is {at|in|on} the <place>{| of the picture}",
            "{which|what} {shape|object|figure} is {at|in|on} the <place>",
            "what do you see {at|in|on} the <place>",
        ],
        "zh": [
            "<place>{是什么|有什么|是什么图形|的图形是什么|有什么图形|是什么东西}",
            "{图里|图中}<place>{是什么|有什么}",
        ],
    },
    "only_colour": {
        "en": ["what {color|colour} is {it|this|that|the shape|the object}", "{which|what} {color|colour} do you see"],
        "zh": ["{它|这个|这个图形|图形|物体}{是什么颜色|是什么颜色的|的颜色是什么}", "{图里是|你看到}什么颜色"],
    },
    "only_shape": {
        "en": [
            "what {shape|figure|form} {is it|is this|is that|do you see|is shown|is in the picture}",
            "what is {this|that|it}",
            "what is in the picture",
        ],
        "zh": ["{这|它|这个|图里|图中}是什么{形状|图形}", "{这|图里}是什么", "你看到什么{形状|图形}"],
    },
    "describe": {
        "en": [
            "{describe|please describe} {it|this|the picture|the image|this picture|what you see}",
            "what {do you see|can you see|is in this picture|does the picture show|is shown in the picture}",
            "{tell me|say} what {you see|is in the picture|the picture shows}",
        ],
        "zh": [
            "{描述一下|请描述|描述}{它|这张图|图片|这幅图|画面|你看到的}",
            "{你看到了什么|图里有什么|图中有什么|这张图里有什么|画面上有什么|图片里有些什么}",
            "{说说|告诉我}{图里有什么|你看到了什么|这张图}",
        ],
    },
    "read": {
        "en": [
            "{read|please read|read out} {it|this|the text|the word|what is written|the picture|what it says}",
            (
                "what {does it say|does the sign say|does the picture say|is written here|is written"
                "|is printed here|word is this|text is this}"
            ),
            "{which|what} {word|number|text} {do you see|is it|is written|is shown|can you read}",
            "{what is|tell me} the {word|number|text}{| in the picture}",
            "can you read {it|this|that|the text}",
        ],
        "zh": [
            "{读一下|读一读|请读|念一下|念一念|读出|请念出}{|它|这个|图里的字|上面的字|文字|图中的文字|这个词}",
            "{上面|图里|图中|图上|这里|这}{写了什么|写的是什么|写着什么|是什么字|是什么词|印着什么}",
            "{是|这是|图中是|图里是}{什么字|什么单词|什么数字|哪个词|哪个数}",
            "{告诉我|说说}{写了什么|图中的文字|上面写着什么}",
        ],
    },
    "result": {
        "en": [
            (
                "{what is|what's|tell me|give me|calculate|compute} the "
                "{result|answer|sum|solution|total}{| of this| of the sum| in the picture}"
            ),
            "{solve|work out|calculate|compute} {it|this|that|the sum|the problem}",
            "{what|how much} does {it|this|that} {make|equal|come to|add up to}",
            "how much is {it|this|that}",
            "what is the answer to {this|the problem|the question in the picture}",
        ],
        "zh": [
            "{结果|答案|得数|和}{是多少|是几|是什么|等于多少}",
            "{算一下|算一算|计算一下|请计算|算出|解一下}{|结果|答案|这道题|图里的算式|这个算式|它}",
            "{这|图里|图中|这道题|图里的算式|这个算式}{等于多少|等于几|是多少|得多少|得几|的结果是多少|的答案是几}",
        ],
    },
    "next_box": {
        "en": [
            "{what|which|what box|which box} {comes|is|follows|goes} {after|right after} {|box |the box }<label>",
            "what {follows|is next after|is behind} {|box |the box }<label>",
            "{which box|what} is {the next one after|next after|the one after} <label>",
            "where does {the arrow|the arrow from} {from |}<label> {go|point|lead}",
            "after {|box }<label> comes {what|which box}",
            "what is the {next step|step} after <label>",
        ],
        "zh": [
            "<label>{后面是什么|之后是什么|的下一个是什么|后面是哪个|下一步是什么|后边是什么|接下来是什么|之后是哪个|后面是哪一个|指向哪里|指向什么|后面跟着什么}",
            "{在|}{方框|框}<label>{后面是什么|之后是什么|的下一个是什么|之后是哪个|后面是哪个框}",
            "{哪个|什么}{在|跟在}<label>{后面|之后}",
        ],
    },
    "first_box": {
        "en": ["{what|which} {box |}is {the first|first}", "{where|with what} does {it|the chart} {start|begin}"],
        "zh": ["{第一个是什么|第一个框是什么|从哪里开始|从哪个开始|最先是什么|起点是什么}"],
    },
    "last_box": {
        "en": ["{what|which} {box |}is {the last|last}", "{where|with what} does {it|the chart} {end|stop}"],
        "zh": ["{最后一个是什么|最后一个框是什么|最后是什么|到哪里结束|终点是什么}"],
    },
    "code": {
        "en": [
            "{write|please write|turn|put} {it|this|the chart|the flow chart} {as|in|into} {code|python|a program}",
            "{write|give me} the code",
        ],
        "zh": ["{把|请把}{它|图|流程图|这张图}{写成|变成}{代码|程序}", "{写出|写成}代码", "用代码{写出来|表示}"],
    },
}

YES = {"en": "yes", "zh": "有"}
NO = {"en": "no", "zh": "没有"}
