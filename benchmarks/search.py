"""Search in English and Chinese: does the page that holds the answer come among the first ten?

The same pages and queries for Webfarer's index, bm25s and SQLite's FTS5, each engine in a process
of its own, peers with stemming (English) and with the better of segmentation by jieba and pairs of
characters (Chinese). Queries are entity names, "relation of name", level-1 questions and two facts
without the name. `--tokens` compares ways to cut Chinese inside tantivy, and nothing but them, on
the same pages and on Wikipedia's Chinese where a labelled graph is given. Prints tables.

    python benchmarks/search.py --size 20000 --ours 100000
    python benchmarks/search.py --tokens --graph path/to/wikidata

Peers are not part of Webfarer: pip install bm25s PyStemmer jieba
"""

from __future__ import annotations

import argparse
import gc
import multiprocessing
import os
import pickle
import platform
import random
import re
import sqlite3
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from statistics import mean, median, quantiles
from typing import Any, NamedTuple

from rich.console import Console
from rich.table import Table

from webfarer.web import words
from webfarer.web.index import Entry, SearchIndex

K, A_KIND = 10, 300
Rank = Callable[[str], Sequence[int]]


class Case(NamedTuple):
    """What somebody looks for, and the number of the page that has it."""

    kind: str
    query: str
    page: int


class Data(NamedTuple):
    pages: list[Entry]
    cases: list[Case]


# Pages and queries


def world(size: int, language: str) -> Data:
    """The pages of a world's site, and queries whose page is known."""
    from webfarer.graph.text import node_text
    from webfarer.graph.worlds.world import build_world
    from webfarer.synth.tasks import Source, make_tasks
    from webfarer.web.site import GraphWeb

    graph = build_world(1, size, language)
    web = GraphWeb(graph)
    pages = [Entry.of(document, web.site.prefix) for document in web.site.documents()]
    at = {page.url: number for number, page in enumerate(pages)}
    rng = random.Random(7)
    of, colon = ("{0}的{1}", "{0}{1}") if language == "zh" else ("{1} of {0}", "{0} {1}")
    cases = []
    for entity in rng.sample(list(graph.entities), min(A_KIND, len(graph.entities))):
        page, label = at[web.url_of(entity)], graph.label(entity)
        facts = graph.facts_of(entity)
        relation = graph.relation_label(rng.choice(facts).relation)
        cases += [Case("name", label, page), Case("relation", of.format(label, relation), page)]
        said = [
            colon.format(graph.relation_label(fact.relation), node_text(graph, fact.object))
            for fact in rng.sample(facts, 2)
        ]
        cases.append(Case("two facts", " ".join(said), page))
    source = Source(graph, web.url_of)
    tasks = make_tasks(source, seed=3, split="test", per_level={1: A_KIND}, recipe="benchmark")
    cases += [Case("question", task.question, at[task.evidence[0]]) for task in tasks]
    return Data(pages, cases)


def wikipedia(folder: Path) -> Data:
    """Chinese extracts, to be found by their title and by a clause from their middle."""
    from webfarer.graph.files import load

    graph = load(folder, "wikidata", language="zh")
    rng, pages, cases = random.Random(7), [], []
    for entity in graph.entities.values():
        text = entity.extracts.get("zh", "")
        clauses = [c for c in re.split(r"[，。；：、\s]", text)[2:] if 8 <= len(c) <= 24]
        if not text or "zh" not in entity.labels:
            continue
        cases.append(Case("name", entity.labels["zh"], len(pages)))
        if clauses:
            cases.append(Case("clause", rng.choice(clauses), len(pages)))
        pages.append(Entry(entity.id, entity.labels["zh"], text))
    return Data(pages, cases)


# Ways to cut text into tokens, joined by spaces


def as_pairs(text: str) -> str:
    """Words in lower case, and Chinese as overlapping pairs."""
    rest = words.analyzer(stem=False).analyze(words.without(words.clean(text)))
    return " ".join([*rest, *words.pairs(text)])


def as_both(text: str) -> str:
    """As pairs, with every character as well."""
    return as_pairs(text) + " " + " ".join(words.characters("".join(words.pairs(text))).split())


def as_jieba(text: str) -> str:
    """Segmented by jieba, in its mode for search engines."""
    import jieba

    found = jieba.cut_for_search(text.lower())
    return " ".join(word for word in found if word.strip() and word[0].isalnum())


# Engines: pages in, a ranking out, and what it takes on disk


def ours(data: Data, folder: Path) -> Rank:
    index = SearchIndex.build(data.pages, "", folder / "index")
    at = {page.url: number for number, page in enumerate(data.pages)}
    return lambda query: [at[hit.url] for hit in index.search(query, K)]


def with_bm25s(cut: Callable[[str], str] | None) -> Callable[[Data, Path], Rank]:
    def build(data: Data, folder: Path) -> Rank:
        import bm25s
        import Stemmer

        stemmer = None if cut else Stemmer.Stemmer("english")

        def tokens(texts: list[str]) -> Any:
            if cut:
                return [cut(text).split() for text in texts]
            return bm25s.tokenize(texts, stopwords="en", stemmer=stemmer, show_progress=False)

        model = bm25s.BM25()
        texts = [f"{page.title}\n{page.body}" for page in data.pages]
        model.index(tokens(texts), show_progress=False)
        model.save(folder)

        def rank(query: str) -> Sequence[int]:
            found = tokens([query])
            return model.retrieve(found, k=K, show_progress=False).documents[0].tolist()

        return rank

    return build


def with_fts5(tokenizer: str, cut: Callable[[str], str], how: str) -> Callable[[Data, Path], Rank]:
    def build(data: Data, folder: Path) -> Rank:
        base = sqlite3.connect(folder / "pages.db")
        base.execute(f"create virtual table pages using fts5(title, body, tokenize='{tokenizer}')")
        rows = ((n, cut(page.title), cut(page.body)) for n, page in enumerate(data.pages))
        base.executemany("insert into pages(rowid, title, body) values (?, ?, ?)", rows)
        base.execute("insert into pages(pages) values ('optimize')")
        base.commit()
        ask = f"select rowid from pages where pages match ? order by bm25(pages, 2, 1) limit {K}"

        def rank(query: str) -> Sequence[int]:
            terms = dict.fromkeys(re.findall(r"\w+", cut(query)))
            if tokenizer == "trigram":
                terms = dict.fromkeys(t[i : i + 3] for t in terms for i in range(len(t) - 2))
            match = f" {how} ".join(f'"{term}"' for term in terms)
            return [row[0] for row in base.execute(ask, (match,))] if match else []

        return rank

    return build


def with_tantivy(cut: Callable[[str], str] | None) -> Callable[[Data, Path], Rank]:
    """Nothing but BM25 over title and body: `cut`, or tantivy's own n-grams of 1 and 2."""

    def build(data: Data, folder: Path) -> Rank:
        import tantivy

        schema = tantivy.SchemaBuilder()
        for field in ("title", "body"):
            schema.add_text_field(field, tokenizer_name="cut", index_option="freq")
        schema.add_integer_field("page", fast=True)
        index = tantivy.Index(schema.build(), str(folder))
        kind = tantivy.Tokenizer.whitespace() if cut else tantivy.Tokenizer.ngram(1, 2)
        lower = tantivy.TextAnalyzerBuilder(kind).filter(tantivy.Filter.lowercase()).build()
        index.register_tokenizer("cut", lower)
        writer = index.writer(256_000_000, num_threads=1)
        put = cut or (lambda text: text)
        for number, page in enumerate(data.pages):
            row = {"title": [put(page.title)], "body": [put(page.body)], "page": [number]}
            writer.add_document(tantivy.Document(**row))
        writer.commit()
        writer.wait_merging_threads()
        index.reload()
        searcher = index.searcher()

        def rank(query: str) -> Sequence[int]:
            parts = []
            for token in dict.fromkeys(lower.analyze(put(query))):
                for field, boost in (("title", 2.0), ("body", 1.0)):
                    term = tantivy.Query.term_query(index.schema, field, token, "freq")
                    parts.append((tantivy.Occur.Should, tantivy.Query.boost_query(term, boost)))
            found = searcher.search(tantivy.Query.boolean_query(parts), K, count=False).hits
            pages = searcher.fast_field_values("page", [address for _, address in found])
            return [int(page or 0) for page in pages]

        return rank

    return build


def plain(text: str) -> str:
    return text


PEERS = {
    "en": {
        "bm25s, stemmed": with_bm25s(None),
        "FTS5 porter, OR": with_fts5("porter unicode61", plain, "OR"),
        "FTS5 porter, AND": with_fts5("porter unicode61", plain, "AND"),
    },
    "zh": {
        "bm25s, pairs": with_bm25s(as_pairs),
        "bm25s, jieba": with_bm25s(as_jieba),
        "FTS5 pairs, OR": with_fts5("unicode61", as_pairs, "OR"),
        "FTS5 pairs, AND": with_fts5("unicode61", as_pairs, "AND"),
        "FTS5 jieba, OR": with_fts5("unicode61", as_jieba, "OR"),
        "FTS5 trigram, OR": with_fts5("trigram", plain, "OR"),
    },
}
TOKENS = {
    "tantivy n-grams of 1 and 2": with_tantivy(None),
    "pairs (Webfarer's)": with_tantivy(as_pairs),
    "pairs and characters": with_tantivy(as_both),
    "jieba": with_tantivy(as_jieba),
}
ENGINES: dict[str, Callable[[Data, Path], Rank]] = {
    "Webfarer": ours, **PEERS["en"], **PEERS["zh"], **TOKENS
}  # fmt: skip


# Measuring


def resident() -> float:
    """MB in memory now."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 1e6


def measure(engine: str, path: Path) -> dict[str, Any]:
    """Recall by kind of query, and what building and asking cost, in a process of its own."""
    data: Data = pickle.loads(path.read_bytes())
    if "jieba" in engine:
        as_jieba("预先加载词典")
    with tempfile.TemporaryDirectory() as folder:
        before, cpu, wall = resident(), time.process_time(), time.perf_counter()
        rank = ENGINES[engine](data, Path(folder))
        built = time.perf_counter() - wall, time.process_time() - cpu
        disk = sum(file.stat().st_size for file in Path(folder).rglob("*") if file.is_file())
        gc.collect()
        found: dict[str, list[bool]] = {}
        times, busy = [], []
        for case in random.Random(5).sample(data.cases, len(data.cases)):
            wall, cpu = time.perf_counter(), time.process_time()
            ranked = rank(case.query)
            busy.append(time.process_time() - cpu)
            times.append(time.perf_counter() - wall)
            found.setdefault(case.kind, []).append(case.page in ranked)
    return {
        "recall": {kind: mean(hits) for kind, hits in found.items()},
        "build": built, "p50": (median(times), median(busy)),
        "p95": quantiles(times, n=20)[-1], "memory": resident() - before, "disk": disk / 1e6,
    }  # fmt: skip


def table(title: str, engines: Iterable[str], data: Data) -> Table:
    kinds = list(dict.fromkeys(case.kind for case in data.cases))
    made = Table(title=title)
    made.add_column("engine")
    for name in (*kinds, "build s (CPU)", "p50 ms (CPU)", "p95 ms", "memory MB", "disk MB"):
        made.add_column(name, justify="right")
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "data"
        path.write_bytes(pickle.dumps(data))
        for engine in engines:
            with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as pool:
                got = pool.submit(measure, engine, path).result()
            made.add_row(
                engine, *(f"{got['recall'][kind]:.1%}" for kind in kinds),
                "{:.1f} ({:.1f})".format(*got["build"]),
                "{:.2f} ({:.2f})".format(*(1e3 * second for second in got["p50"])),
                f"{1e3 * got['p95']:.2f}", f"{got['memory']:.0f}", f"{got['disk']:.0f}",
            )  # fmt: skip
    return made


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--size", type=int, default=20_000, help="entities, for all engines")
    parser.add_argument("--ours", type=int, default=0, help="entities, for Webfarer alone")
    parser.add_argument("--language", choices=("en", "zh"), action="append")
    parser.add_argument("--tokens", action="store_true", help="compare ways to cut Chinese")
    parser.add_argument("--graph", type=Path, help="a labelled graph with Chinese extracts")
    given = parser.parse_args()
    console = Console(width=140)
    console.print(f"Recall@{K} of the page. {platform.platform()}, {os.cpu_count()} cores, "
                  f"Python {sys.version.split()[0]}, SQLite {sqlite3.sqlite_version}")  # fmt: skip
    if given.tokens:
        sets = {f"a Chinese world of {given.size:,}": world(given.size, "zh")}
        if given.graph:
            sets["Chinese Wikipedia"] = wikipedia(given.graph)
        for title, data in sets.items():
            console.print(table(f"{title}, {len(data.pages):,} pages", TOKENS, data))
        return
    for language in given.language or ("en", "zh"):
        data = world(given.size, language)
        title = f"{language}: {given.size:,} entities, {len(data.pages):,} pages"
        console.print(table(title, ["Webfarer", *PEERS[language]], data))
        if given.ours:
            data = world(given.ours, language)
            title = f"{language}: {given.ours:,} entities, {len(data.pages):,} pages"
            console.print(table(title, ["Webfarer"], data))


if __name__ == "__main__":
    main()
