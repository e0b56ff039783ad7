"""Invented Chinese names: every world draws characters of its own, so that none can be remembered.

Surnames are common in proportion to their rank, as they are; given names, place names, houses of
trade and titles are put together from the world's own characters and words. Places built on other
places ("青浦", "上青浦"), shared surnames and shared given characters are the near-duplicates that
make searching hard. Combinations that are the names of well-known places are left out.
"""

# ruff: noqa: SIM905 - word lists are read more easily as words

from __future__ import annotations

import random
from collections.abc import Callable, Sequence

# Commonest first; the order beyond the first thirty is approximate.
_SURNAMES = (
    "王李张刘陈杨黄赵吴周徐孙马朱胡郭何林高罗郑梁谢宋唐许韩邓冯曹彭曾肖田董潘袁蔡蒋余于杜叶程魏"
    "苏吕丁任卢姚沈钟姜崔谭陆范汪廖石金韦贾夏付方邹熊白孟秦邱侯江尹薛闫段雷龙黎史陶贺毛郝顾龚邵"
    "万覃武钱戴严莫孔向常汤温康施文牛樊葛邢安齐易乔伍庞颜倪庄聂章鲁岳翟殷詹申欧耿关兰焦俞左柳甘"
)
_COMPOUND = (
    "欧阳 上官 司徒 诸葛 皇甫 尉迟 公孙 慕容 令狐 端木 南宫 夏侯 钟离 闻人 司空 澹台".split()
)
_GIVEN_FIRST = (
    "文志国建明德永世家嘉思子宗承景若书云春秋兰玉素静慧淑雅晓雪月梦佩婉如锦绍继振兆鸿启允仲叔季元"
    "少善守存立克怀望予知亦彦修维光耀树长宛蕴"
)
_GIVEN_LAST = (
    "华明平林安清英芳珍琴梅莲贞仪容娟婷琳瑜瑾瑶岚涛波江海山峰岩松柏桐森楠棠昌昭晖晨旭生良义礼诚谦"
    "恒远达通毅强勇杰才彬伦庆祥瑞康宁轩章儒年芝蕙霞雯霜筠竹菊荷敏"
)
_GIVEN_ALONE = "岚涛琳瑜毅峥骏渊澄昭晖恺铮蔚荃莹蕴筠霁旻昱钧铎桓桢楷栩珩琰璇祺翊皓恂惇谨诠谟"
_COURTESY_FIRST, _COURTESY_LAST = "子伯仲叔季文公士元君", "明安远敬和谦卿瑜平之川衡直温清朗默如"
_PEN_FIRST = "寒听望半空梦拾枕抱问醉晚若隐闲倚"
_PEN_LAST = "石澜舟山秋雨溪云月梅竹庐斋泉禾蝉灯砚鹤烟"
_PLACE_FIRST = (
    "岚澄霁栖鹭苔蘅黛沅汀岫湄雁鹤桐榆槐枫柘檀芷荻菱茯萤琅琼瑶珂锦缃绛绯素翠碧苍玄朔霖霜露雾曜暮晓"
    "潞沁泠漪涟溆渌浔汐滦泓沐峤崧磐硕钧铎钟鼎琴笙箫笛瑟墨简帛梭棠梨杏柚橘栗蒲蓼薇蕙荷菡茗稻麦黍稷桑麻"
)
_PLACE_LAST = "安浦川陵宁城溪州关塘湾泽岭坪港津丘渡埠桥集堡坞滩洲屿坡峡垣墟甸圩陂亭岸浜渚冈"
_NATURE_LAST = "云月星霞石玉羽鳞龙凤鹿虎松竹霜波涛沙泉雁鹰狮烟火莲角牙光影露"
# What of these characters' combinations is a word or a known place (from jieba's dictionary).
_WELL_KNOWN = (
    "麻城 锦州 萤石 碧波 碧玉 桐城 苍松 翠竹 磐石 荷塘 锦鳞 麦角 菱角 苍龙 苍鹰 朔州 蒲州 沅陵 "
    "潞城 栖霞 湄州 墨城 琼州 锦城 翠玉 萤火 霜露 萤光 枫桥 麦城 玄石 墨玉 稻城 澄城 碧云 潞安 "
    "荷泽 柘城 苍溪 蒲城 玄关 溆浦 绛州 翠莲 碧烟 枫溪 暮云 晓露 磐安 澄光 霁月 汀州 汀洲 岫云 "
    "雁城 鹤城 鹤羽 槐角 枫城 枫港 枫露 锦霞 锦涛 碧影 朔月 露光 涟波 滦州 滦洲 鼎城 墨石 麻州 "
    "雁滩 锦石 沐川 稻岭 寒秋 寒月 寒梅 寒蝉 听泉 望月 半山 半月 空山 空竹 抱石 晚秋 闲云"
).split()
_SHOP = "恒丰裕泰瑞隆昌鼎利和茂源祥同兴顺德盛广福聚成益信通华庆怡正义谦协"
_MODIFIERS = (
    "沉默 遥远 破碎 金色 隐秘 温柔 燃烧 流浪 寂静 古老 借来 漂泊 苦涩 无名 迟到 空心 晚归 褪色 "
    "失落 倾斜 透明 潮湿 遗失 迟疑 明亮 深红 未完 孤独 缓慢 陌生 生锈 雪白 倔强 不眠 多余 折叠 "
    "被遗忘 无声 发光 清醒 荒凉 赤脚 摇晃 隔壁 看不见 漫长 滚烫 单薄"
).split()
_NOUNS = (
    "港湾 花园 灯笼 河流 镜子 果园 车站 石桥 钟表匠 海岸 信笺 岛屿 冬天 陌生人 麻雀 教堂 机器 "
    "森林 女儿 罗盘 潮汐 水手 陈列馆 地平线 渡口 灯塔 邮差 雨季 窗户 楼梯 钢琴 棋局 药铺 茶馆 "
    "梯田 风筝 铁轨 麦田 屋顶 围墙 书店 裁缝 盐田 渔火 马戏团 日历 墨水 邻居 渔夫 账簿 胡同 "
    "磨坊 候鸟 雪橇 剧院 航线 纸船 井台 木匠 口哨 相册 石匠 玻璃 蜂箱 码头 旅店 谷仓 帆布 信号 "
    "苹果树"
).split()
_TIMES = (
    "冬日 午夜 北方 雨中 黄昏 八月 雪夜 南岸 清晨 夏末 山间 雾里 初春 河畔 月下 城外 秋后 海边 "
    "正午 霜降"
).split()
_TALES = "往事 之夜 来信 旧梦 纪事 谣 晚钟 札记 三部曲 传奇 挽歌 旧事 四季 编年 夜话".split()
_NEIGHBOURS = "新上下东西南北大小"
_SYLLABLES = (
    "an ban bei chen dan dong fan feng gan gu hai heng jia jin kai lan li ling lu mei min mu nan "
    "ning ping pu qi qing rong ru san shan shu song su tai tang tao wan wei wen wu xi xia xin xu "
    "yan yao yi ying yu yun zhe zhou zhu zi"
).split()


class ChineseNamer:
    """Gives out names that have not been given before.

    `people` is how many will be named: where they are many, the world has twice the characters, so
    that there are always enough names.
    """

    def __init__(self, rng: random.Random, people: int = 0) -> None:
        self._rng = rng
        self._taken: set[str] = set(_WELL_KNOWN)
        self._places: list[str] = []
        common = sorted(rng.sample(range(len(_SURNAMES)), 56))
        self._surnames = [_SURNAMES[place] for place in common] + rng.sample(_COMPOUND, 4)
        # The five commonest have 31% of the people, as in China (30.8% in 2020).
        self._weights = [1 / (place + 4) for place in range(len(self._surnames))]
        # Half of the characters and mostly short names; in a big world all, and long names.
        room, self._long = (1, 0.85) if people > 10_000 else (2, 0.12)
        self._given_first = rng.sample(_GIVEN_FIRST, len(_GIVEN_FIRST) // room)
        self._given_last = rng.sample(_GIVEN_LAST, len(_GIVEN_LAST) // room)
        self._alone = rng.sample(_GIVEN_ALONE, 20)
        self._first = rng.sample(_PLACE_FIRST, len(_PLACE_FIRST) // room)
        self._last = {"place": rng.sample(_PLACE_LAST, 20), "nature": rng.sample(_NATURE_LAST, 16)}
        self._shop = rng.sample(_SHOP, 18)
        self._modifiers = rng.sample(_MODIFIERS, 24)
        self._nouns = rng.sample(_NOUNS, 32)
        self._regions = [self.stem("nature") for _ in range(24)]

    def host(self) -> str:
        """A name for a host, in letters: three syllables."""
        return "".join(self._rng.sample(_SYLLABLES, 3))

    def stem(self, kind: str) -> str:
        """A new word of two or three characters: a "place" or something in "nature"."""
        return self._fresh(lambda: self._stem(kind), lambda stem: self._pick(self._first) + stem)

    def _stem(self, kind: str) -> str:
        before = self._pick(self._first)
        if self._rng.random() < self._long:
            before += self._pick(self._first)
        stem = before + self._pick(self._last[kind])
        return stem if len(set(stem)) == len(stem) else self._stem(kind)

    def place(self) -> str:
        """The stem of a place's name; one in six is built on that of another place."""
        if self._places and self._rng.random() < 0.17:
            return self._fresh(
                lambda: self._pick(_NEIGHBOURS) + self._pick(self._places),
                lambda name: self._pick(_NEIGHBOURS) + name,
            )
        name = self.stem("place")
        self._places.append(name)
        return name

    def region(self) -> str:
        """One of the few stems that seas and ranges are called by; not new."""
        return self._pick(self._regions)

    def named(self, make: Callable[[], str]) -> str:
        """What `make` gives, made new; at worst a place stands before it."""
        return self._fresh(make, lambda name: self._pick(self._places) + name)

    def spare(self, make: Callable[[], str]) -> tuple[str, ...]:
        """Another name for something, where `make` gives one that is not taken."""
        name = make()
        if name in self._taken:
            return ()
        self._taken.add(name)
        return (name,)

    # People

    def person(self) -> str:
        return self._fresh(
            lambda: self.surname() + self.given(),
            lambda name: name + self._pick(self._given_last),
        )

    def surname(self) -> str:
        return self._rng.choices(self._surnames, self._weights)[0]

    def given(self) -> str:
        """A given name: two characters, or one in every fifth."""
        if self._rng.random() < 0.2:
            return self._pick(self._alone)
        return self._full_given()

    def _full_given(self) -> str:
        return self._pick(self._given_first) + self._pick(self._given_last)

    def by_courtesy(self, person: str) -> tuple[str, ...]:
        """Someone's surname with a courtesy name."""
        surname = person[: 2 if person[:2] in _COMPOUND else 1]
        name = self._pick(_COURTESY_FIRST) + self._pick(_COURTESY_LAST)
        return self.spare(lambda: surname + name)

    def pen_name(self) -> tuple[str, ...]:
        return self.spare(lambda: self._pick(_PEN_FIRST) + self._pick(_PEN_LAST))

    # Houses and works

    def shop(self) -> str:
        """What a house of trade is called; not new."""
        return "".join(self._rng.sample(self._shop, 3 if self._rng.random() < 0.25 else 2))

    def troupe(self) -> str:
        """What those who play together call themselves; not new."""
        short = [word for word in self._modifiers if len(word) == 2]
        before = self._pick(_TIMES if self._rng.random() < 0.4 else short)
        return before + self._pick(self._nouns)

    def title(self) -> str:
        """The title of a work."""
        return self._fresh(self._title, lambda title: f"{self._pick(self._places)}：{title}")

    def _title(self) -> str:
        modifier, noun, other = self._pick(self._modifiers), *self._rng.sample(self._nouns, 2)
        place = self._pick(self._places or self._regions)
        return self._pick(
            (
                f"{modifier}的{noun}",
                f"{noun}与{other}",
                f"{place}{self._pick(_TALES)}",
                f"{place}的{noun}",
                f"{self._pick(_TIMES)}{noun}",
                f"{self._full_given()}的{noun}",
            )
        )

    def _pick(self, options: Sequence[str]) -> str:
        return self._rng.choice(options)

    def _fresh(self, make: Callable[[], str], longer: Callable[[str], str]) -> str:
        """What `make` gives, once it gives something new; after many tries, something longer."""
        tries, name = 0, make()
        while name in self._taken:
            tries += 1
            name = make() if tries < 50 else longer(name)
        self._taken.add(name)
        return name
