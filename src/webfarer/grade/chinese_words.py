"""The Chinese words that may stand beside a name and are no name themselves.

Chinese has no capitals and no spaces: nothing tells a name from any other word. So `chinese_names`
lets stand only what it knows, and these are the words that it knows: those that frame an answer,
what people and works do, and what they are.
"""

# ruff: noqa: SIM905 - word lists are read more easily as words

from __future__ import annotations

_MEASURES = "个部位座本家名条所首张项种支件"

FRAME = frozenset(
    "答 答案 最终答案 正确答案 回答 结果 结论 是 为 的 了 在 叫 叫做 叫作 名叫 名为 称为 称作 即 "
    "就是 即是 便是 正是 应是 应该 应该是 应为 应当是 也就是 乃 我 我们 认为 觉得 相信 想 根据 "
    "依据 按照 由此 可知 可见 因此 所以 故 那么 综上 综上所述 经查 查到 页面 网页 资料 信息 "
    "上述 文中 页面上 显示 说明 记载 写道 提到 指出 得知 找到 发现 问题 题目 所问 要找 所求 "
    "的是 他 她 它 其 他的 她的 它的 这 那 该 此人 此片 此书 名字 姓名 全名 名称 简称 又称 又名 "
    "叫什么 也 都 由 被 这是 那是 其中 以及 最终 最后 可能 有可能 也许 或许 大概".split()
) | {this + measure for this in "一这那该此" for measure in _MEASURES}

VERBS = frozenset(
    "出生 出生于 出生在 生于 诞生于 来自 毕业于 毕业自 就读于 就读 求学于 逝世 逝世于 去世 "
    "去世于 死于 卒于 葬于 位于 坐落于 坐落在 地处 在于 执导 导演 导演了 执导了 编导 拍摄 "
    "拍摄了 主演 主演了 出演 饰演 演唱 主唱 担任 撰写 撰写了 写 写了 写的 著 所著 所写 创作 "
    "创作了 所作 出版 出版了 发行 发行了 制作 制作了 设计 设计了 建造 建立 创立 创立了 创办 "
    "创办了 成立 成立于 组建 组建于 获得 获得了 荣获 颁发 授予 举行 举办 流经 流入 发源于 汇入 "
    "登顶 登上 首登 嫁给 娶了 结婚 结为夫妻 工作 工作于 供职于 任职于 受雇于 居住 居住在 居住于 "
    "住在 定居 定居于 定居在 任职 就职 供职 属于 隶属于 使用 讲 领导 管理 掌管 负责 经营 "
    "上映 上映于 开放 建成 发表 改编自 取材于 拥有 签约 签约于 所属 从事 就职于 加入 加入了 建于 "
    "比 更早 最早 首次 第一个 第一位 首位 曾 曾经 曾在 当时 后来 于".split()
)

NOUNS = frozenset(
    "导演 编剧 制片人 演员 主演 主角 作者 作家 小说家 诗人 画家 建筑师 作曲家 物理学家 植物学家 "
    "化学家 天文学家 地质学家 数学家 历史学家 探险家 工程师 记者 雕塑家 歌手 主唱 歌唱家 音乐家 "
    "科学家 学者 教授 校长 市长 馆长 总裁 首席执行官 董事长 创始人 创办人 创办者 创始者 总统 "
    "国家元首 元首 首都 首府 配偶 妻子 丈夫 夫人 父亲 母亲 子女 儿子 女儿 出生地 出生城市 "
    "居住地 国籍 职业 雇主 母校 先生 女士 博士 城市 国家 河流 山峰 大学 公司 电影 影片 小说 "
    "图书 书 作品 博物馆 乐队 奖项 人物 出版社 所在地 所在城市 获奖者 得主 首位得主 发源地 总部 "
    "成立地 著名 知名".split()
)

# Single characters that may stand right before a name; others begin names (于, 任, 那).
BEFORE_A_NAME = frozenset("是为在叫由被即乃的了")
TIES = "、,;/和与及跟"  # what stands between two names
