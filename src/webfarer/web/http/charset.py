"""`decode`: a page's bytes as text, whatever charset they are in and whatever they say of it.

What a page says is believed as far as its bytes bear it out: a byte order mark, then the HTTP
header, then the page's own `<meta>` (in the first bytes, as in the HTML standard's prescan). Labels
mean what they mean to browsers (WHATWG Encoding standard): "gb2312" is gb18030, "iso-8859-1" is
windows-1252, and only charsets of the web are known, so never utf-7. Bytes that are valid UTF-8 in
more than a few places are UTF-8 whatever is said. Where nothing said fits, charset-normalizer
judges a sample.
"""

from __future__ import annotations

import codecs
import re
from functools import cache

from charset_normalizer import from_bytes

_PRESCAN = 4096  # bytes; the standard looks at 1024, and some pages put scripts first
_SAMPLE = 4096  # bytes that are judged: the judge takes milliseconds for each thousand
_TRIAL = 1 << 16  # bytes by which a charset is tried
_SURE = 12  # bytes outside ASCII that do not form valid UTF-8 by chance
_TORN = 0.1  # characters that may be broken before the charset itself is doubted
_BOMS = ((codecs.BOM_UTF8, "utf-8"), (codecs.BOM_UTF16_LE, "utf-16-le"),
         (codecs.BOM_UTF16_BE, "utf-16-be"))  # fmt: skip
_HEADER = re.compile(r"charset\s*=\s*[\"']?\s*([\w.:+-]+)", re.IGNORECASE)
_META = re.compile(
    rb"<meta\b[^>]{0,1000}?\bcharset\s*=\s*[\"']?\s*([\w.:+-]+)"
    rb"|<\?xml\b[^>]{0,200}?\bencoding\s*=\s*[\"']([\w.:+-]+)",
    re.IGNORECASE,
)
_COMMENT = re.compile(rb"<!--.*?(?:-->|\Z)", re.DOTALL)

# By Python's name for what a label says, the codec that browsers read it with.
_CODECS = {
    "utf-8": "utf-8", "ascii": "cp1252", "iso8859-1": "cp1252", "cp1252": "cp1252",
    "gb2312": "gb18030", "gbk": "gb18030", "hz": "gb18030", "gb18030": "gb18030",
    "big5": "big5hkscs", "cp950": "big5hkscs", "big5hkscs": "big5hkscs",
    "shift_jis": "cp932", "cp932": "cp932", "shift_jisx0213": "cp932", "euc_jp": "euc_jp",
    "iso2022_jp": "iso2022_jp", "euc_kr": "cp949", "cp949": "cp949",
    "iso8859-9": "cp1254", "cp1254": "cp1254", "tis-620": "cp874", "iso8859-11": "cp874",
    "cp874": "cp874", "utf-16": "utf-16-le", "utf-16-le": "utf-16-le", "utf-16-be": "utf-16-be",
    "cp866": "cp866", "koi8-r": "koi8-r", "koi8-u": "koi8-u", "mac-roman": "mac-roman",
    "mac-cyrillic": "mac-cyrillic",
    **{f"iso8859-{n}": f"iso8859-{n}" for n in (2, 3, 4, 5, 6, 7, 8, 10, 13, 14, 15, 16)},
    **{f"cp125{n}": f"cp125{n}" for n in (0, 1, 3, 5, 6, 7, 8)},
}  # fmt: skip
# Labels of the standard that Python does not know.
_LABELS = {
    "x-gbk": "gb18030", "gb_2312-80": "gb18030", "x-sjis": "cp932", "windows-31j": "cp932",
    "x-x-big5": "big5hkscs", "cn-big5": "big5hkscs", "x-euc-jp": "euc_jp",
    "windows-949": "cp949", "ks_c_5601-1987": "cp949", "ksc5601": "cp949", "korean": "cp949",
    "windows-874": "cp874", "dos-874": "cp874", "x-cp1250": "cp1250", "x-cp1251": "cp1251",
    "x-cp1252": "cp1252", "iso88591": "cp1252", "x-mac-roman": "mac-roman",
    "macintosh": "mac-roman", "x-mac-cyrillic": "mac-cyrillic", "koi": "koi8-r",
    "unicode-1-1-utf-8": "utf-8", "unicode": "utf-16-le",
}  # fmt: skip
# East Asian text shows by its pairs of bytes: the codec, the lead bytes of what is written most in
# it (kana; Hangul; the common characters of GB 2312 and of Big5), and the share that they have to
# have. In this order, since later ones hold earlier ones.
_PAIR = re.compile(rb"[\x81-\xfe][\x40-\xfe]")
_PAIRS = (
    ("euc_jp", re.compile(rb"[\xa4\xa5][\xa1-\xf6]"), 0.2),
    ("cp932", re.compile(rb"\x82[\x9f-\xf1]|\x83[\x40-\x96]"), 0.2),
    ("cp949", re.compile(rb"[\xa1-\xa3\xb0-\xc8][\xa1-\xfe]"), 0.97),
    ("gb18030", re.compile(rb"[\xa1-\xa3\xb0-\xd7][\xa1-\xfe]"), 0.85),
    ("big5hkscs", re.compile(rb"[\xa1-\xc6][\x40-\xfe]"), 0.85),
)
# What else is told apart, by charset-normalizer. The Latin scripts are not: it takes French for
# Baltic and Spanish for Polish, so whatever looks Latin is windows-1252, as in browsers.
_JUDGED = ["cp1252", "cp1251", "koi8_r", "cp1253", "cp1255", "cp1256", "cp874", "gb18030", "big5",
           "cp932", "euc_jp", "cp949"]  # fmt: skip
_BEYOND = re.compile(rb"[\x80-\xff]")
_RUN = re.compile(rb"[\x80-\xff]{2,}")
_RUNS = 0.4  # share of bytes outside ASCII in runs, from which it is no western text


def decode(body: bytes, content_type: str = "") -> str:
    """The text of a body, with U+FFFD for what its charset cannot hold. Never raises, and takes
    time linear in its length. `content_type` is the header's value as sent."""
    for mark, codec in _BOMS:
        if body.startswith(mark):
            return body[len(mark) :].decode(codec, "replace")
    said = _said(body, content_type)
    if body.isascii() and not any(map(_hides_in_ascii, said)):
        return body.decode("ascii")
    return _read(body, said)


def _read(body: bytes, said: list[str]) -> str:
    beyond = len(body) - len(body.translate(None, bytes(range(128, 256))))
    utf8 = _strict(body, "utf-8")
    if utf8 is not None and beyond >= _SURE:
        return utf8
    for codec in said:
        if codec == "cp1252" and beyond >= _SURE and not _is_western(_sample(body)):
            continue  # servers call "iso-8859-1" whatever they know nothing of
        if (text := _believed(body, codec)) is not None:
            return text
    if (text := utf8 or _believed(body, "utf-8")) is not None:
        return text
    return body.decode(_judged(body) or "cp1252", "replace")


def _hides_in_ascii(codec: str) -> bool:
    """Whether bytes that are all ASCII may mean something else in it."""
    return codec.startswith("utf-16") or codec == "iso2022_jp"


def _said(body: bytes, content_type: str) -> list[str]:
    """The codecs that the header and the page name, in the order in which they are believed."""
    header = _HEADER.search(content_type)
    named = [_codec(header[1])] if header else []
    if meta := _META.search(_COMMENT.sub(b"", body[:_PRESCAN])):
        codec = _codec((meta[1] or meta[2]).decode("ascii", "replace"))
        # A page whose <meta> could be read as ASCII is not in UTF-16 (HTML standard).
        named.append("utf-8" if codec and codec.startswith("utf-16") else codec)
    return list(dict.fromkeys(codec for codec in named if codec))


@cache
def _known(label: str) -> str | None:
    if label in _LABELS:
        return _LABELS[label]
    try:
        return _CODECS.get(codecs.lookup(label).name)
    except (LookupError, ValueError):
        return None


def _codec(label: str) -> str | None:
    """The codec for a label; None for one that the web does not know."""
    return _known(label.strip().lower()) if len(label) <= 40 and label.isascii() else None


def _strict(body: bytes, codec: str) -> str | None:
    try:
        return body.decode(codec)
    except UnicodeDecodeError:
        return None


def _believed(body: bytes, codec: str) -> str | None:
    """The text where the codec fits, a few torn characters aside; None where it does not, by the
    first stretch outside ASCII."""
    if (text := _strict(body, codec)) is not None:
        return text
    start = _first(body)
    trial = body[start : start + _TRIAL].decode(codec, "replace")
    torn, foreign = trial.count("\ufffd"), len(trial) - len(trial.encode("ascii", "ignore"))
    return body.decode(codec, "replace") if torn <= max(1, _TORN * foreign) else None


def _first(body: bytes) -> int:
    """Where the bytes leave ASCII."""
    found = _BEYOND.search(body)
    return found.start() if found else 0


def _is_western(sample: bytes) -> bool:
    """Whether bytes outside ASCII stand alone, as the accented letters of western Europe do."""
    beyond = len(sample) - len(sample.translate(None, bytes(range(128, 256))))
    return sum(map(len, _RUN.findall(sample))) <= _RUNS * beyond


def _judged(body: bytes) -> str | None:
    """What a sample of the bytes, taken from where they leave ASCII, looks like."""
    sample = _sample(body)
    pairs = _PAIR.findall(sample)
    for codec, common, share in _PAIRS if len(pairs) > 1 else ():
        fits = sum(common.match(pair) is not None for pair in pairs)
        if fits >= share * len(pairs) and _is_whole(sample, codec):
            return codec
    if _is_western(sample):
        return "cp1252"
    best = from_bytes(sample, cp_isolation=_JUDGED, threshold=0.4).best()
    return _known(best.encoding.replace("_", "-")) if best else None


def _is_whole(sample: bytes, codec: str) -> bool:
    """Whether the sample is valid in it, but for a character that its end cuts."""
    return any(_strict(sample[: len(sample) - cut], codec) is not None for cut in range(4))


def _sample(body: bytes) -> bytes:
    """The text around the first bytes outside ASCII, markup mostly gone."""
    start = _first(body)
    text = re.sub(rb"<[^<>]*>", b" ", body[start : start + 4 * _SAMPLE])
    return text[:_SAMPLE]
