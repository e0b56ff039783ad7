"""`webfarer web` by hand over an archive: search, visit, index, show."""

import pytest

import warcs
from commands import Webfarer
from test_frozen import SITE, fill, html, live_site, sent
from webfarer.web.archive.archive import Archive


@pytest.fixture
def webfarer(monkeypatch, capfd) -> Webfarer:
    monkeypatch.setenv("COLUMNS", "200")
    return Webfarer(monkeypatch, capfd)


@pytest.fixture
def archive(tmp_path):
    return fill(tmp_path / "site")


def test_an_archive_is_searched(webfarer, archive):
    said = webfarer("web", "search", archive, "glacier")
    assert said.code == 0
    assert said.out.startswith("1. ")
    assert said.err == f"{archive}: reading 9 pages for search\n"
    again = webfarer("web", "search", archive, "glacier", "-k", 1, "--json")
    assert (again.err, len(again.json)) == ("", 1)
    assert set(again.json[0]) == {"url", "title", "snippet", "score"}


def test_a_page_of_an_archive_is_read(webfarer, archive):
    page = webfarer("web", "visit", archive, f"{SITE}/start", "--json").json
    assert (page["url"], page["title"]) == (f"{SITE}/river", "River")
    assert page["links"] == [{"url": f"{SITE}/harbour", "text": "next"}]
    assert webfarer("web", "visit", archive, f"{SITE}/start").out.strip() == page["text"]
    shown = webfarer("web", "visit", archive, f"{SITE}/start", "--html").out
    assert shown.startswith("<html><head><title>River")
    told = webfarer("web", "visit", archive, f"{SITE}/river", "--goal", "river", "--limit", 9).out
    assert "All about the river." in told


@pytest.mark.parametrize(
    ("url", "why"),
    [
        (f"{SITE}/absent", f"{SITE}/absent is not in ARCHIVE: fetch it and keep it there with "
                           "--record"),
        (f"{SITE}/out", "http://elsewhere.test/page is not in ARCHIVE: fetch it and keep it there "
                        "with --record"),
        (f"{SITE}/gone", f"404: there is no page at {SITE}/gone."),
        (f"{SITE}/blank", f"{SITE}/blank: empty; search first to find a page's address"),
        ("file:///etc/passwd", "file:///etc/passwd may not be fetched:"
                               " it is no web address, or on a host that is not allowed."),
    ],
)  # fmt: skip
def test_a_page_that_is_not_there_is_one_line_and_two(webfarer, archive, url, why):
    said = webfarer("web", "visit", archive, url)
    assert (said.code, said.out) == (2, "")
    assert said.err == f"webfarer: {why.replace('ARCHIVE', str(archive))}\n"


def test_what_the_archive_lacks_is_fetched_and_kept_when_told_to(webfarer, archive):
    with live_site() as base:
        url = f"{base}/a"
        assert webfarer("web", "visit", archive, url).code == 2
        refused = webfarer("web", "visit", archive, url, "--record")
        assert refused.code == 2
        assert refused.err.count("\n") == 1
        assert "--allow-private" in refused.err
        flags = ("--record", "--allow-private")
        first = webfarer("web", "visit", archive, url, *flags, "--json").json
        assert first["url"] == f"{base}/c"
        assert webfarer("web", "visit", archive, url, *flags, "--json").json == first
        gone = webfarer("web", "visit", archive, f"{base}/nothing", *flags)
        assert (gone.code, "404" in gone.err) == (2, True)
    assert webfarer("web", "visit", archive, url, "--json").json == first  # the site is gone
    down = webfarer("web", "visit", archive, f"{base}/new", *flags)
    assert (down.code, down.err.count("\n")) == (2, 1)
    with Archive.open(archive) as opened:
        assert [row.url for row in opened.rows()][-4:] == [
            f"{base}{path}" for path in ("/a", "/b?x=1", "/c", "/nothing")]  # fmt: skip


def test_a_world_cannot_be_recorded_into(webfarer, world_folder):
    said = webfarer("web", "visit", world_folder, SITE, "--record")
    assert said.code == 2
    assert said.err.endswith(
        f"{world_folder} is no archive: only an archive can be recorded into\n"
    )


def test_warc_files_of_others_are_indexed_searched_and_read(webfarer, tmp_path):
    path, out = tmp_path / "cc.warc.gz", tmp_path / "archive"
    urls = [f"http://a.test/{name}" for name in ("river", "harbour")]
    parts = warcs.common_crawl(*((url, warcs.page(url, f"the {url[14:]}")) for url in urls))
    path.write_bytes(b"".join(parts)[:-20])
    said = webfarer("web", "index", path, "--out", out)
    assert said.out == f"{path}: 2 records, 1 problems\n"
    place = sum(map(len, parts[:-1]))
    assert said.err == f"{path}: at byte {place}: the file ends within a record\n"
    hits = webfarer("web", "search", out, "harbour", "--json").json
    assert [hit["url"] for hit in hits] == urls[1:]
    assert webfarer("web", "visit", out, urls[0]).out == "the river\n"
    again = webfarer("web", "index", path, "--out", out, "--json")
    assert again.json == {str(path): {"records": 0, "problems": 1}}
    assert again.err == said.err
    shown = webfarer("web", "show", out, "--json").json
    assert shown["problem"] == {"the file ends within a record": 1}
    assert (shown["urls"], shown["host"], shown["status"]) == (2, {"a.test": 2}, {"200": 2})


def test_many_problems_are_not_told_one_by_one(webfarer, tmp_path):
    path = tmp_path / "x.warc.gz"
    bad = [warcs.record("response", b"nothing", f"http://a.test/{n}") for n in range(15)]
    path.write_bytes(b"".join(warcs.members(*bad)))
    said = webfarer("web", "index", path, "--out", tmp_path / "a")
    assert len(said.err.splitlines()) == 11
    assert "5 more problems" in said.err
    assert webfarer("web", "index", path, "--out", tmp_path / "b", "-q").err == ""
    shown = webfarer("web", "show", tmp_path / "a")
    assert "not an HTTP response" in shown.out


def test_an_archive_is_shown(webfarer, archive):
    counts = webfarer("web", "show", archive, "--json").json
    assert counts["urls"] == counts["records"] == 23
    assert counts["near_duplicates"] == 1
    assert counts["status"] == {"200": 15, "301": 3, "302": 2, "307": 1, "404": 1, "503": 1}
    assert counts["host"] == {"site.test": 23}
    assert counts["problem"] == {}
    out = webfarer("web", "show", archive).out
    assert out.startswith("23 addresses, 23 records, ")
    assert "text/html" in out


def test_bad_input_is_one_line_and_two(webfarer, archive, tmp_path):
    (tmp_path / "x.warc").write_text("hello")
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "thesis.txt").write_text("x")
    good = tmp_path / "good.warc"
    good.write_bytes(warcs.page("http://a.test/", "x"))
    for arguments in (
        ["show", tmp_path / "absent"],
        ["show", tmp_path / "full"],
        ["search", tmp_path / "absent", "x"],
        ["index", tmp_path / "absent.warc", "--out", tmp_path / "new"],
        ["index", tmp_path / "x.warc", "--out", tmp_path / "new"],
        ["index", good, tmp_path, "--out", tmp_path / "new"],
        ["index", good, "--out", tmp_path / "full"],
        ["index", good, "--out", tmp_path / "x.warc"],
    ):
        said = webfarer("web", *arguments)
        assert (said.code, said.out) == (2, ""), arguments
        assert said.err.count("\n") == 1, said.err
        assert said.err.startswith("webfarer: ")
    assert not (tmp_path / "new").exists()


def test_two_writers_are_told(webfarer, archive):
    with Archive.create(archive) as held:
        held.append(sent("/more", html("More", "words")))
        said = webfarer("web", "visit", archive, f"{SITE}/more", "--record")
        assert (said.code, "another process" in said.err) == (2, True)
        assert webfarer("web", "visit", archive, f"{SITE}/more").code == 0
