"""`webfarer graph` by hand: each command on small input, and with input that cannot be used."""

import gzip
import json
import subprocess
import sys
from pathlib import Path

import pytest

from commands import Webfarer
from sparql_server import endpoint
from test_sparql import ITEMS, E
from webfarer.graph.files import load, save
from webfarer.graph.packed.store import PackedGraph
from webfarer.graph.worlds.world import build_world
from wikidata_forms import dump, triples

WIKIDATA = Path(__file__).parents[2] / "shared" / "data" / "wikidata"


@pytest.fixture
def webfarer(monkeypatch, capfd) -> Webfarer:
    monkeypatch.setenv("COLUMNS", "200")
    return Webfarer(monkeypatch, capfd)


@pytest.fixture(scope="module")
def lines():
    """A world's facts between entities, its ids spelt as Wikidata's."""
    world = build_world(3, 80)
    number = {id: f"Q{place}" for place, id in enumerate(world.entities, 1)}
    ends = [
        f"<{E}{number[f.subject]}> <http://www.wikidata.org/prop/direct/P{len(f.relation)}> "
        f"<{E}{number[f.object]}> ."
        for f in world.facts if isinstance(f.object, str)
    ]  # fmt: skip
    label = "<http://www.w3.org/2000/01/rdf-schema#label>"
    return [*ends, *(f'<{E}{q}> {label} "{world.label(id)}"@en .' for id, q in number.items())]


@pytest.fixture
def store(lines, tmp_path, webfarer):
    (tmp_path / "x.nt.gz").write_bytes(gzip.compress("\n".join(lines).encode()))
    said = webfarer("graph", "import", tmp_path / "x.nt.gz", "--out", tmp_path / "store")
    assert said.code == 0
    assert "entities: 80" in said.out
    return tmp_path / "store"


def test_import_then_show_walk_sample_and_ask(store, webfarer, tmp_path):
    shown = webfarer("graph", "show", store, "--check", "--json").json
    graph = PackedGraph.open(store)
    assert (shown["entities"], shown["edges"]) == (80, graph.manifest.edges)
    assert "relation" in webfarer("graph", "show", store).out
    walked = webfarer("graph", "walk", store, "--root", "Q5", "--edges", 6, "--json").json
    assert [len(walk["edges"]) for walk in walked] == [6]
    assert walked[0]["root"] == "Q5"
    text = webfarer("graph", "walk", store, "--root", "Q5", "--edges", 6)
    assert len(text.out.splitlines()) == 7
    assert text.out.startswith(f"from {graph.label(graph.node('Q5'))} (Q5): 6 edges in ")
    assert webfarer("graph", "walk", store, "--root", "Q5", "--edges", 6).out == text.out
    out = tmp_path / "part"
    taken = webfarer("graph", "sample", store, out, "--entities", 60, "--root", "Q5", "--json").json
    assert taken["entities"] == len(load(out).entities) == 60
    asked = webfarer("tasks", "make", tmp_path / "t.jsonl", "--world", out, "--level", "1=3")
    assert (asked.code, "3 tasks" in asked.out) == (0, True)


def test_an_import_tells_of_lines_and_files_that_are_broken(lines, webfarer, tmp_path):
    (tmp_path / "bad.nt").write_text("\n".join([lines[0], "nonsense", lines[1]]))
    whole = gzip.compress("\n".join(lines).encode())
    (tmp_path / "cut.nt.gz").write_bytes(whole[: len(whole) // 2])
    said = webfarer("graph", "import", tmp_path / "bad.nt", tmp_path / "cut.nt.gz",
                    "--out", tmp_path / "s", "--json")  # fmt: skip
    assert said.code == 0
    assert "1 of 3 lines are not of the form and were skipped, the first at 2" in said.err
    assert "cut short" in said.err
    assert [each["skipped"] for each in said.json["files"]] == [1, 0]
    assert said.json["files"][1]["broken"]
    PackedGraph.open(tmp_path / "s").check()


@pytest.mark.parametrize("where", ["edge", "_write_numbered"])
def test_an_import_killed_on_the_way_leaves_nothing_and_is_run_again(
    lines, tmp_path, webfarer, where
):
    """A process that dies while it reads, or while it packs; run again, the store is whole."""
    (tmp_path / "x.nt").write_text("\n".join(lines))
    code = (
        "import os, sys; from pathlib import Path\n"
        "from webfarer.graph.dumps import importing as dumps\n"
        f"dumps.Packer.{where} = lambda *_: os._exit(9)\n"
        "dumps.import_graph([Path(sys.argv[1])], Path(sys.argv[2]))"
    )
    paths = [str(tmp_path / "x.nt"), str(tmp_path / "s")]
    assert subprocess.run([sys.executable, "-c", code, *paths], check=False).returncode == 9
    assert sorted(path.name for path in tmp_path.iterdir()) == [".s.aside", "x.nt"]
    assert webfarer("graph", "import", paths[0], "--out", paths[1]).code == 0
    PackedGraph.open(tmp_path / "s").check()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["s", "x.nt"]


def test_expand(webfarer, tmp_path):
    with endpoint(ITEMS) as server:
        said = webfarer("graph", "expand", server.url, "--root", "Q1", "--out", tmp_path / "g",
                        "--property", "P19,P17", "--language", "en,zh", "--json",
                        "--user-agent", "readers/1.0 (ada@example.org)")  # fmt: skip
    assert server.agents == {"readers/1.0 (ada@example.org)"}
    assert (said.code, said.json["facts"]) == (0, 3)
    assert load(tmp_path / "g").sha256 == said.json["sha256"]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("import", "{gone}.nt", "--out", "{out}"), "is not a file"),
        (("import", "{x}", "--out", "{out}", "--language", "E N"), "is no language"),
        (("import", "{x}", "--out", "{x}"), "is a file; give a folder"),
        (("import", "{x}", "--out", "{dir}"), "holds something else"),
        (("import", "{x}", "--out", "{out}", "--property", "P999"), "no fact was read"),
        (("show", "{dir}"), "make one with webfarer graph import"),
        (("walk", "{store}", "--root", "Q999"), "has no 'Q999'"),
        (("walk", "{store}", "--property", "P999"), "has no relation 'P999'"),
        (("walk", "{store}", "--back", "2"), "not a probability"),
        (("walk", "{store}", "--edges", "0"), "give at least 1"),
        (("sample", "{store}", "{x}"), "is a file"),
        (("sample", "{dir}", "{out}"), "is not a packed graph"),
        (("walk", "{world}"), "is an ordinary graph, not a packed one: webfarer world show"),
        (("expand", "nowhere", "--root", "Q1", "--out", "{out}"), "no address"),
    ],
)
def test_what_cannot_be_used_is_told_in_one_line(store, webfarer, tmp_path, arguments, said):
    places = {"gone": tmp_path / "gone", "out": tmp_path / "out", "store": store, "dir": tmp_path,
              "x": tmp_path / "x.nt"}  # fmt: skip
    (tmp_path / "x.nt").write_text("<urn:a> <urn:p> <urn:b> .\n")
    places["world"] = tmp_path / "world"
    save(build_world(1, 60), places["world"])
    quiet = ["--quiet"] if arguments[0] in ("import", "sample", "expand") else []
    found = webfarer("graph", *(text.format(**places) for text in arguments), *quiet)
    assert said in found.complaint
    assert not (tmp_path / "out").exists()


def test_a_packed_graph_where_a_world_is_wanted(store, webfarer):
    assert "take a part: webfarer graph sample" in webfarer("world", "show", store).complaint


@pytest.mark.skipif(not WIKIDATA.is_dir(), reason="needs the Wikidata excerpt")
def test_the_excerpt_in_both_forms_gives_the_same_sample(webfarer, tmp_path):
    excerpt = load(WIKIDATA)
    (tmp_path / "a.nt").write_text("\n".join(triples(excerpt)))
    (tmp_path / "b.json").write_text("\n".join(dump(excerpt)))
    for name in ("a.nt", "b.json"):
        folder = tmp_path / name[0]
        webfarer("graph", "import", tmp_path / name, "-o", folder, "--language", "en,zh", "-q")
        webfarer("graph", "sample", folder, tmp_path / f"{name[0]}1", "--entities", 400, "-q")
    one, two = load(tmp_path / "a1"), load(tmp_path / "b1")
    assert one.facts == two.facts
    assert set(one.facts) <= set(excerpt.facts)
    inside = set(one.entities)
    nearly = {f for f in excerpt.facts if {f.subject, f.object} <= inside}
    assert set(one.facts) <= nearly
    assert json.dumps(sorted(inside)) == json.dumps(sorted(two.entities))
