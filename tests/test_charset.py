"""`decode`: labels as in the WHATWG Encoding standard; texts encoded by Python's own codecs."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from webfarer.web.http.charset import decode

CHINESE = "中华人民共和国的首都是北京，北京是一座历史悠久的城市，有许多名胜古迹。"
TAIWAN = "臺灣是一個位於東亞的島嶼，首都是臺北市，人口約二千三百萬。"
JAPANESE = "日本の首都は東京です。東京は世界で最も大きな都市の一つである。"
KOREAN = "대한민국의 수도는 서울이다. 서울은 한국에서 가장 큰 도시이다."
RUSSIAN = "Москва является столицей России и крупнейшим городом страны."
GREEK = "Η Αθήνα είναι η πρωτεύουσα της Ελλάδας και η μεγαλύτερη πόλη της χώρας."
FRENCH = "Le café à Paris où l’été dure : déjà vu, garçon, naïve façade, Élysée."
UNDECLARED = [
    ("utf-8", CHINESE), ("utf-8", FRENCH), ("gb18030", CHINESE), ("big5", TAIWAN),
    ("shift_jis", JAPANESE), ("euc_jp", JAPANESE), ("euc_kr", KOREAN), ("cp1251", RUSSIAN),
    ("koi8-r", RUSSIAN), ("cp1253", GREEK), ("cp1252", FRENCH),
]  # fmt: skip


def page(text: str, codec: str, meta: str = "") -> bytes:
    return f"<html><head>{meta}<title>x</title></head><body><p>{text}</p></body></html>".encode(
        codec
    )


@pytest.mark.parametrize(("codec", "text"), UNDECLARED)
@pytest.mark.parametrize("said", ["", "text/html", "text/html; charset=utf-8", "a; charset=nope"])
def test_bytes_that_nothing_true_is_said_of_are_recognised(codec, text, said):
    assert text in decode(page(text, codec), said)


@pytest.mark.parametrize(
    ("label", "codec", "text"),
    [
        ("gb2312", "gb18030", "朱镕基和𠮷"),  # neither in GB 2312
        ("GBK", "gb18030", "€ 中文"),
        ("x-gbk", "gbk", CHINESE),
        ("big5", "big5hkscs", "香港嘅街坊"),  # 嘅 is in HKSCS alone
        ("iso-8859-1", "cp1252", "“quoted” – €5"),
        ("latin1", "cp1252", "l’été"),
        ("us-ascii", "cp1252", "“quoted”"),
        ("shift_jis", "cp932", "①株式会社㈱"),
        ("ks_c_5601-1987", "cp949", "똠방각하"),  # not in KS X 1001
        ("iso-8859-9", "cp1254", "“İstanbul”"),
        ("iso-8859-2", "iso8859-2", "žluťoučký kůň"),
        ("windows-1250", "cp1250", "Žluťoučký kůň"),
        ("koi8-u", "koi8-u", "Київ"),
        ("iso-2022-jp", "iso2022_jp", "日本の首都"),
        ("utf8", "utf-8", "é"),
        ("utf-16", "utf-16-le", "中文"),
    ],
)
@pytest.mark.parametrize("form", ["text/html; charset={}", 'text/html;Charset="{}" ; x=y'])
def test_labels_mean_what_they_mean_to_browsers(label, codec, text, form):
    assert text in decode(page(text, codec), form.format(label))


@pytest.mark.parametrize(
    "meta",
    [
        '<meta charset="gb2312">',
        "<META CHARSET = gb2312 >",
        '<meta http-equiv="Content-Type" content="text/html; charset=gb2312">',
        "<meta content='text/html;charset=gb2312' http-equiv=content-type>",
        '<!-- <meta charset="utf-8"> --><meta charset="gb2312">',
    ],
)
def test_a_page_may_say_it_itself(meta):
    assert "朱镕" in decode(page("朱镕", "gb18030", meta), "text/html")


def test_the_header_is_believed_before_the_page():
    body = page("été", "cp1252", '<meta charset="koi8-r">')
    assert "été" in decode(body, "text/html; charset=windows-1252")
    assert "été" not in decode(body, "text/html")


def test_a_byte_order_mark_is_believed_before_the_header():
    for codec in ("utf-8-sig", "utf-16"):
        assert decode("中文".encode(codec), "text/html; charset=gb2312") == "中文"


def test_declared_utf8_that_is_gb18030_is_recognised():
    body = page(CHINESE * 20, "gb18030", '<meta charset="utf-8">')
    assert CHINESE in decode(body, "text/html; charset=utf-8")


def test_declared_latin_that_is_chinese_is_recognised():
    """Servers send iso-8859-1 for whatever they know nothing of."""
    body = page(CHINESE, "gb18030", '<meta charset="gb2312">')
    assert CHINESE in decode(body, "text/html; charset=iso-8859-1")
    assert CHINESE in decode(page(CHINESE, "utf-8"), "text/html; charset=iso-8859-1")


def test_declared_gb2312_that_is_utf8_is_recognised():
    assert CHINESE in decode(page(CHINESE, "utf-8"), "text/html; charset=gb2312")


def test_a_few_torn_characters_do_not_change_the_charset():
    body = page(CHINESE * 3, "utf-8")
    cut = body[: body.index("悠".encode()) + 1]
    assert decode(cut, "text/html; charset=utf-8").endswith("历史�")
    assert decode(cut, "").endswith("历史�")
    broken = body.replace("京".encode(), b"\xe4\xba", 1)
    assert "北�，北京是一座" in decode(broken, "text/html; charset=utf-8").replace("��", "�")


@pytest.mark.parametrize(
    "label",
    [
        "utf-7",
        "unicode_escape",
        "rot13",
        "zip",
        "idna",
        "punycode",
        "cp037",
        "x" * 10_000,
        "é",
        "0",
    ],
)
def test_only_charsets_of_the_web_are_known(label):
    assert decode(b"+ADw-script+AD4- \\u0041", f"text/html; charset={label}") == (
        "+ADw-script+AD4- \\u0041"
    )


@given(st.binary(max_size=300), st.text(max_size=60))
def test_it_never_raises(body, content_type):
    assert isinstance(decode(body, content_type), str)
    assert isinstance(decode(b"<meta charset=" + body, "a; charset=" + content_type), str)


@given(st.text(max_size=200).filter(lambda text: not text.startswith("\ufeff")))
def test_utf8_that_says_so_comes_back(text):
    assert decode(text.encode("utf-8"), "text/html; charset=utf-8") == text
