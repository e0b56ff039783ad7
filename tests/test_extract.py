"""Extraction: pages written as real sites write them, any bytes, any depth, and real pages."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from webfarer.types import Page
from webfarer.web.extract import extract

DOCS = Path("/usr/share/doc/python3.11/html/library")
URL = "https://site.example/a/b"


def read(html: str, **settings: bool) -> Page:
    return extract(html, URL, **settings)


ARTICLE = """<!DOCTYPE html><html><head><title>Bees | Field Notes</title><style>p{}</style></head>
<body class="has-sidebar"><div id="cookie-banner">We bake cookies</div>
<header><a href="/">Field Notes</a><nav><ul><li><a href="/x">Menu</a></ul></nav></header>
<main><header><h1>Bees<a class="headerlink" href="#bees">¶</a></h1></header>
<p>Bees   are <b>insects</b>,<br>and <a href="../wings#top">have wings</a>.</p>
<p hidden>Hidden</p><p style="display: none">Unseen</p><p aria-hidden="true">Mute</p>
<ul><li>One<ul><li>Inner</li></ul></li><li><p>Two</p><p>more</p></li></ul>
<ol start="3"><li>Three<li>Four</ol>
<blockquote><p>Said<br>twice</p></blockquote>
<pre><code>def f():
    return 1
</code></pre>
<table><caption>Sizes</caption><tr><th>Kind<th>mm</tr><tr><td>A|B<td><ul><li>1<li>2</ul></tr></table>
<img src="b.png" alt="A  bee"><img src="c.png" alt="">
<p>About 10<sup>6</sup> of them &mdash; caf&eacute;.</p>
<aside>Popular</aside><script>var x = "no";</script><noscript>no</noscript></main>
<footer>Copyright</footer></body></html>"""

ARTICLE_TEXT = """# Bees

Bees are insects,
and have wings.

- One
  - Inner
- Two
  more

3. Three
4. Four

> Said
> twice

```
def f():
    return 1
```

Sizes

| Kind | mm |
| A\\|B | 1; 2 |

[Image: A bee]

About 10^6 of them — café."""


def test_a_marked_article_is_read_in_shape():
    page = read(ARTICLE)
    assert page.text == ARTICLE_TEXT
    assert page.title == "Bees"
    assert page.status == "ok"
    assert [(link.url, link.text) for link in page.links] == [
        ("https://site.example/wings", "have wings")
    ]


def test_links_are_inline_when_asked():
    text = read(ARTICLE, links=True).text
    assert "and [have wings](https://site.example/wings)." in text


def test_unmarked_content_is_found_by_its_prose():
    story = "<p>" + "The river rose in the night and took the bridge with it. " * 4 + "</p>"
    menu = "".join(f'<li><a href="/{i}">Another headline number {i}</a></li>' for i in range(20))
    page = read(
        f"<title>Flood</title><body><div class=top><ul>{menu}</ul></div><div class=page>"
        f"<div class=story><h2>Flood</h2>{story * 3}<div><ul>{menu}</ul></div></div>"
        f"<div class=more>Short words</div></div></body>"
    )
    assert "headline" not in page.text
    assert "Short words" not in page.text
    assert page.text.startswith("## Flood\n\nThe river rose")
    assert page.title == "Flood"


def test_a_page_of_links_keeps_its_links():
    links = "".join(f'<li><a href="/{i}">Entry number {i}</a>' for i in range(30))
    page = read(f"<body><h1>Index</h1><ul>{links}</ul></body>")
    assert len(page.links) == 30
    assert "- Entry number 29" in page.text


def test_tables_for_layout_are_read_as_text_and_those_within_as_rows():
    page = read("<table><tr><td><h2>Left</h2><table><tr><td>a<td>b</table><td><p>Right</table>")
    assert page.text == "## Left\n\n| a | b |\n\nRight"


def test_what_is_only_clutter_is_still_read():
    assert read("<body><nav><a href='/x'>Only</a></nav></body>").text == "Only"
    assert read("<div class=modal>Pay first</div>").text == "Pay first"


@pytest.mark.parametrize("html", ["", " \n", "<html></html>", "<script>x</script>", "\u200b", "\0"])
def test_a_page_without_text_is_empty(html: str):
    assert (read(html).status, read(html).text) == ("empty", "")


@pytest.mark.parametrize(
    ("href", "url"),
    [
        ("c", "https://site.example/a/c"),
        ("/c?x=1&amp;y=2", "https://site.example/c?x=1&y=2"),
        ("/c/../d", "https://site.example/d"),
        ("//other.example/c", "https://other.example/c"),
        ("HTTPS://other.example/c#d", "https://other.example/c"),
        ("javascript:alert(1)", None),
        ("mailto:a@b.example", None),
        ("file:///etc/passwd", None),
        ("data:text/html,x", None),
        ("#part", None),
        ("http://[", None),
    ],
)
def test_links_are_absolute_and_only_of_the_web(href: str, url: str | None):
    links = read(f'<p><a href="{href}">t</a> <a href="{href}">again</a></p>').links
    assert [link.url for link in links] == ([] if url is None else [url])


def test_a_base_moves_relative_links():
    page = read('<base href="https://cdn.example/z/"><p><a href="c">c</a> <a href="/d">d</a>')
    assert [link.url for link in page.links] == ["https://cdn.example/z/c", "https://cdn.example/d"]


def test_titles():
    assert read("<title>  A\n B </title><p>x").title == "A B"
    assert read("<h1>Only</h1><p>x").title == "Only"
    assert read("<title>Site</title><h1>Other</h1><p>x").title == "Site"
    assert read("<p>x").title == ""


def test_a_fence_is_longer_than_any_within():
    assert read("<pre>```\nx\n```</pre>").text == "````\n```\nx\n```\n````"


def test_marks_that_no_reader_sees_are_left_out():
    assert read("<p>pass\u200bword \u202eabc\u00ad\x07</p>").text == "password abc"


@given(st.text())
def test_any_text_can_be_read(html: str):
    assert isinstance(read(html).sha256, str)


_TAGS = "<div> </div> <p> <table> <tr> <td> </table> <ul> <li> </ul> </a> <pre> </pre>"
_BLOCKS = "<h2> </h2> <main> </main> <br> <blockquote>"
_PIECES = [*_TAGS.split(), *_BLOCKS.split(), "<a href=x>", "word "]


@given(st.lists(st.sampled_from(_PIECES), max_size=60), st.booleans())
def test_any_nesting_keeps_every_word(pieces: list[str], links: bool):
    html = "".join(pieces)
    assert read(html, links=links).text.count("word") <= html.count("word")
    if "<main>" not in pieces and "<a href=x>" not in pieces:
        assert read(html).text.count("word") == html.count("word")


@pytest.mark.parametrize("tag", ["div", "b", "ul><li", "blockquote", "table><tr><td", "span"])
@pytest.mark.parametrize("levels", [10_000, 100_000])
def test_deep_nesting_is_read_without_recursion(tag: str, levels: int):
    page = read(f"<{tag}>" * levels + "hello world")
    assert page.text.split()[-2:] == ["hello", "world"]


@pytest.mark.skipif(not DOCS.is_dir(), reason="Debian's python3.11-doc is not installed")
@pytest.mark.parametrize(
    ("name", "title", "words"),
    [
        ("bisect", "bisect — Array bisection algorithm", "lo and hi may be used to specify"),
        ("json", "json — JSON encoder and decoder", "| JSON | Python |\n| object | dict |"),
        ("heapq", "heapq — Heap queue algorithm", "Heaps are binary trees"),
        ("csv", "csv — CSV File Reading and Writing", "```\n>>> import csv\n"),
        ("queue", "queue — A synchronized queue class", "FIFO queue"),
        ("shelve", "shelve — Python object persistence", "persistent, dictionary-like"),
        ("textwrap", "textwrap — Text wrapping and filling", "Wraps the single paragraph"),
        ("typing", "typing — Support for type hints", "type hints"),
        ("zlib", "zlib — Compression compatible with gzip", "checksum"),
        ("index", "The Python Standard Library", "- Introduction"),
    ],
)
def test_pages_of_the_python_documentation(name: str, title: str, words: str):
    html = (DOCS / f"{name}.html").read_text()
    page = extract(html, f"https://docs.example/library/{name}.html")
    assert page.title == title
    assert page.text.startswith(f"# {title}")
    assert words in page.text
    for clutter in ("Previous topic", "Report a Bug", "Copyright", "¶", "Quick search", "<a "):
        assert clutter not in page.text.split("```")[0]
    assert all(link.url.startswith("http") for link in page.links)
