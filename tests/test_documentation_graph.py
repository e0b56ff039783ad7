"""The graph of Python's documentation: read off its pages, and asked about."""

import sys
from pathlib import Path

import pytest

from webfarer.graph.text import node_text
from webfarer.synth.tasks import Source, make_tasks
from webfarer.types import Page
from webfarer.web.extract import extract

sys.path.insert(0, str(Path(__file__).parents[1] / "benchmarks"))
from documentation_graph import documentation_graph

LIBRARY = Path("/usr/share/doc/python3.11/html/library")


def page(name: str, purpose: str, text: str) -> Page:
    return Page(f"https://docs.example/{name}.html", f"{name} — {purpose}", text)


def test_a_graph_is_read_off_pages():
    graph, urls = documentation_graph([
        page("zip", "Archives", "Source code: Lib/zip.py\n\nSee also\n\nModule tar\n\nTapes."),
        page("tar", "Tapes", "Source code: Lib/a.py\n\nSource code: Lib/b.py"),
        page("rar", "More", "See also\n\nModule zip\n\nModule tar"),
        page("lha", "Old", "See also\n\nModule elsewhere"),
        Page("https://docs.example/", "Contents", "Source code: Lib/none.py"),
    ])  # fmt: skip
    said = [(graph.label(f.subject), f.relation, node_text(graph, f.object)) for f in graph.facts]
    assert said == [
        ("zip", "purpose", "Archives"), ("zip", "source", "Lib/zip.py"), ("zip", "related", "tar"),
        ("tar", "purpose", "Tapes"), ("rar", "purpose", "More"), ("lha", "purpose", "Old"),
    ]  # fmt: skip
    assert urls["module zip"] == "https://docs.example/zip.html"


@pytest.mark.skipif(not LIBRARY.is_dir(), reason="python3.11-doc is not installed")
def test_tasks_over_the_real_documentation_stand_on_its_pages():
    """Numbers read by hand off the pages named: `grep -A8 seealso library/{gzip,fnmatch}.html`."""
    pages = [
        extract(path.read_text(), f"https://docs.example/library/{path.name}")
        for path in sorted(LIBRARY.glob("*.html"))
    ]
    graph, urls = documentation_graph(pages)
    assert graph.objects("module gzip", "related") == ["module zlib"]
    assert graph.objects("module fnmatch", "related") == ["module glob"]
    (source,) = graph.objects("module shlex", "source")
    assert node_text(graph, source) == "Lib/shlex.py"
    tasks = make_tasks(
        Source(graph, urls.__getitem__), seed=1, split="test", per_level={1: 20, 2: 15}, recipe="t"
    )
    assert [sum(task.level == level for task in tasks) for level in (1, 2)] == [20, 15]
    texts = {page.url: f"{page.title}\n{page.text}" for page in pages}
    for task in tasks:
        assert task.answers[0].text in texts[task.evidence[-1]]
