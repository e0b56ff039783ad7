"""What several tests need: a small world and its tasks, and a tiny model folder of the right form.

Nothing here is a double: the world, the tasks, the tokenizer and the weights are made by the code
that makes the real ones, only smaller.
"""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import settings

from commands import Webfarer
from webfarer.graph.files import load, save
from webfarer.graph.worlds.world import build_world
from webfarer.policy import source
from webfarer.policy.chat import ChatRenderer, load_renderer
from webfarer.rollout.world import World
from webfarer.store.jsonl import write_jsonl
from webfarer.synth.tasks import Source, make_tasks
from webfarer.train.tokenizer import save_tokenizer, train_tokenizer
from webfarer.types import Task

# The same examples every time, so that a red run is the change's doing. To look for new ones:
# pytest --hypothesis-profile=default
settings.register_profile("same", derandomize=True, deadline=None)
settings.load_profile("same")


@pytest.fixture(scope="session")
def world_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a world called "lore"."""
    folder = tmp_path_factory.mktemp("worlds") / "lore"
    save(build_world(5, 60), folder)
    return folder


@pytest.fixture(scope="session")
def lore(world_folder: Path) -> World:
    return World(load(world_folder))


@pytest.fixture(scope="session")
def lore_tasks(lore: World) -> dict[str, Task]:
    """Six tasks of level 1, six of level 2, two of level 3, by id."""
    made = make_tasks(
        Source(lore.graph, lore.web.site.url_of),
        seed=1, split="test", per_level={1: 6, 2: 6, 3: 2}, recipe="test",
    )  # fmt: skip
    return {task.id: task for task in made}


@pytest.fixture(scope="session")
def task_file(lore_tasks: dict[str, Task], tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("tasks") / "tasks.jsonl"
    write_jsonl(path, lore_tasks.values())
    return path


@pytest.fixture(scope="session")
def tokenizer_folder(lore: World, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a tokenizer and no weights: enough for an expert, and made without torch."""
    folder = tmp_path_factory.mktemp("tokenizer")
    web = lore.web
    texts = [web.page(url).text for url in list(web.site.urls())[:30]]
    save_tokenizer(
        train_tokenizer([*texts, '{"name": "search", "arguments": {"'], 512), folder, 1024
    )
    return folder


@pytest.fixture(scope="session")
def renderer(tokenizer_folder: Path) -> ChatRenderer:
    return load_renderer(tokenizer_folder)


@pytest.fixture(scope="session")
def tiny_model(tokenizer_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model of one layer with random weights and that tokenizer."""
    pytest.importorskip("torch", reason="a model's weights need torch")
    from webfarer.train.base import Shape, new_model
    from webfarer.train.folder import copy_tokenizer, load_tokenizer, save_weights

    folder = tmp_path_factory.mktemp("model")
    shape = Shape(
        hidden=32, layers=1, heads=2, kv_heads=1, head_dim=16, intermediate=32, context=2048
    )
    save_weights(new_model(shape, load_tokenizer(tokenizer_folder), 0), folder)
    copy_tokenizer(tokenizer_folder, folder)
    return folder


@pytest.fixture
def webfarer(monkeypatch, capfd, tokenizer_folder) -> Webfarer:
    """The command line, with a tokenizer folder in place of the packaged base model."""
    monkeypatch.setattr(source, "base_model", lambda: tokenizer_folder)
    monkeypatch.setenv("COLUMNS", "200")
    return Webfarer(monkeypatch, capfd)
