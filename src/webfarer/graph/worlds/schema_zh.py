"""The relations of a procedural world in Chinese: those of `schema`, said as Chinese says them.

A relation's label reads after "X的": "青浦市的市长". Sentences are what pages say in prose, where
the label's own word often does not occur; book marks around works are the page's business.
"""

from webfarer.graph.graph import Relation
from webfarer.graph.worlds.schema import RELATIONS

# id: label, inverse heading, sentences
_TABLE: dict[str, tuple[str, str, tuple[str, ...]]] = {
    "born_in": ("出生地", "出生于此的人物", ("{s}出生在{o}。", "{s}是{o}人。")),
    "birth_date": ("出生日期", "", ("{s}生于{o}。", "{o}，{s}来到人世。")),
    "death_date": ("逝世日期", "", ("{s}于{o}去世。",)),
    "occupation": ("职业", "", ("{s}以{o}的身份为人所知。", "{s}是一位{o}。")),
    "spouse": ("配偶", "", ("{s}与{o}结为夫妻。", "{s}和{o}成婚。")),
    "citizenship": ("国籍", "该国公民", ("{s}是{o}公民。",)),
    "studied_at": ("母校", "知名校友", ("{s}曾就读于{o}。", "{s}在{o}取得学位。")),
    "employer": ("任职机构", "知名员工", ("{s}曾供职于{o}。", "{s}在{o}工作过。")),
    "residence": ("居住地", "曾居于此的人物", ("{s}在{o}安家。", "{s}长年住在{o}。")),
    "won": ("所获奖项", "获奖者", ("{s}曾荣获{o}。", "{s}是{o}得主。")),
    "country": ("所属国家", "该国境内", ("{s}位于{o}。", "{s}地处{o}境内。")),
    "population": ("人口", "", ("{s}有{o}名居民。", "据最近一次普查，{s}共住有{o}人。")),
    "founded": ("创立日期", "", ("{s}的历史始于{o}。", "{s}的由来可以追溯到{o}。")),
    "elevation": ("海拔", "", ("{s}高出海平面{o}。",)),
    "river": ("境内河流", "沿岸城市", ("{s}坐落在{o}岸边。",)),
    "mayor": ("市长", "担任市长的城市", ("{o}主持{s}的市政。", "{s}选出{o}来执掌全城。")),
    "capital": ("首都", "以此为首都的国家", ("{s}的中央政府设在{o}。",)),
    "language": ("官方语言", "", ("{s}的居民说{o}。",)),
    "currency": ("货币", "", ("在{s}，买卖都用{o}结算。",)),
    "area": ("面积", "", ("{s}的国土有{o}。",)),
    "head_of_state": ("国家元首", "担任元首的国家", ("{s}由{o}领导。",)),
    "independence": ("独立日期", "", ("{s}于{o}宣告独立。",)),
    "length": ("长度", "", ("{s}全程{o}。",)),
    "source": ("发源地", "发源于此的河流", ("{s}的源头在{o}。",)),
    "discharge": ("平均流量", "", ("{s}入海时的水量为{o}。",)),
    "basin": ("流域面积", "", ("{s}汇集了{o}土地上的雨水。",)),
    "mouth": ("注入海域", "", ("{s}最终流入{o}。",)),
    "height": ("高度", "", ("{s}拔地而起，顶峰达{o}。",)),
    "prominence": ("相对高度", "", ("{s}高出四周{o}。",)),
    "range": ("所属山脉", "", ("{s}是{o}的一部分。",)),
    "first_climber": ("首登者", "首登的山峰", ("最先登上{s}的人是{o}。",)),
    "first_ascent": ("首登日期", "", ("{o}，{s}第一次被人征服。",)),
    "location": ("所在地", "设于此地的机构", ("{s}设在{o}。", "{s}落户{o}。")),
    "students": ("学生人数", "", ("{s}有{o}名学子就读。",)),
    "rector": ("校长", "担任校长的院校", ("{s}由{o}执掌。",)),
    "motto": ("校训", "", ("{s}的校门上刻着“{o}”。",)),
    "founder": ("创办人", "创办的机构", ("{s}由{o}一手创建。", "当初办起{s}的是{o}。")),
    "industry": ("行业", "", ("{s}从事{o}。",)),
    "employees": ("员工人数", "", ("{s}雇有{o}人。",)),
    "chief": ("总经理", "执掌的公司", ("{s}由{o}经营。",)),
    "author": ("作者", "著作", ("{s}出自{o}之手。", "{o}写了{s}。")),
    "published": ("出版日期", "", ("{s}于{o}问世。",)),
    "publisher": ("出版方", "出版的图书", ("{s}由{o}刊行。",)),
    "pages": ("页数", "", ("{s}的初版有{o}页。",)),
    "genre": ("类型", "", ("{s}可以归入{o}一类。",)),
    "set_in": ("故事发生地", "以此为背景的图书", ("{s}的情节在{o}展开。",)),
    "director": ("导演", "执导的电影", ("{s}由{o}执导。", "{o}拍摄了{s}。")),
    "release_date": ("上映日期", "", ("{s}于{o}登上银幕。",)),
    "runtime": ("片长", "", ("{s}放映一遍要{o}。",)),
    "lead_actor": ("主演", "主演的电影", ("{o}在{s}中担纲主角。", "{s}的主角由{o}扮演。")),
    "producer": ("出品方", "出品的电影", ("{s}由{o}出资拍摄。",)),
    "based_on": ("原著", "改编的电影", ("{s}改编自{o}。",)),
    "opened": ("开馆日期", "", ("{s}于{o}迎来第一批观众。",)),
    "architect": ("建筑师", "设计的建筑", ("{s}的馆舍由{o}设计。",)),
    "visitors": ("年参观人次", "", ("每年有{o}人次走进{s}。",)),
    "curator": ("馆长", "担任馆长的博物馆", ("{s}的藏品由{o}照管。",)),
    "formed_in": ("成立地点", "来自此地的乐队", ("{s}在{o}组建。",)),
    "formed": ("成立日期", "", ("{s}于{o}首次登台。",)),
    "singer": ("主唱", "担任主唱的乐队", ("{o}是{s}的歌手。", "{s}的歌由{o}来唱。")),
    "label": ("唱片公司", "旗下的乐队", ("{s}与{o}签约。",)),
    "members": ("成员人数", "", ("{s}有{o}名乐手。",)),
    "presented_by": ("颁奖机构", "颁发的奖项", ("{s}由{o}颁发。",)),
    "first_awarded": ("首次颁奖日期", "", ("{s}于{o}第一次颁出。",)),
    "money": ("奖金", "", ("{s}的得主可领取{o}。",)),
    "field": ("领域", "", ("{s}专为{o}而设。",)),
    "first_winner": ("首位得主", "首届获得的奖项", ("第一个捧得{s}的是{o}。",)),
    "ceremony": ("颁奖地点", "在此颁发的奖项", ("{s}的典礼在{o}举行。",)),
}


def _in_chinese(relation: Relation) -> Relation:
    label, inverse, sentences = _TABLE[relation.id]
    return Relation(
        id=relation.id,
        labels={"zh": label},
        value=relation.value,
        unit=relation.unit,
        sentences={"zh": sentences},
        inverse={"zh": inverse} if inverse else {},
    )


RELATIONS_ZH: tuple[Relation, ...] = tuple(map(_in_chinese, RELATIONS))
