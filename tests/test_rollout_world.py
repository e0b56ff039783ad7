"""Worlds as an agent meets them: budgets, names, and tasks that are of another graph."""

import pytest

from scripted import count
from webfarer.graph.world import build_world
from webfarer.rollout.world import World, by_name, check_tasks, host_of
from webfarer.types import BadInput, Call, ToolSettings


async def test_the_toolbox_keeps_to_its_settings(lore):
    toolbox = lore.toolbox(ToolSettings(hits=2, observation_tokens=30), count)
    assert toolbox.names == ("search", "visit")
    label = lore.graph.label(next(iter(lore.graph.entities)))
    found = await toolbox.run(Call(name="search", arguments={"query": [label, "film", "city"]}))
    assert 0 < count(found.text) <= 30
    url = lore.web.site.url_of(next(iter(lore.graph.entities)))
    seen = await toolbox.run(Call(name="visit", arguments={"url": url, "goal": "overview"}))
    assert 0 < count(seen.text) <= 30


def test_two_worlds_of_one_name_or_none_are_bad_input(lore):
    with pytest.raises(BadInput, match="two worlds are called 'lore'"):
        by_name([lore.graph, lore.graph])
    with pytest.raises(BadInput, match="no world is given"):
        by_name([])
    assert list(by_name([lore.graph])) == ["lore"]


def test_a_web_is_built_when_it_is_first_needed():
    world = World(build_world(1, 60))
    assert "web" not in vars(world)
    assert world.web is world.web


def test_tasks_of_another_world_or_of_another_graph_of_that_name_are_bad_input(lore, lore_tasks):
    check_tasks(lore_tasks.values(), {"lore": lore})
    with pytest.raises(BadInput, match="about the world 'lore', which is not given"):
        check_tasks(lore_tasks.values(), {"else": lore})
    with pytest.raises(BadInput, match="made from another graph"):
        check_tasks(lore_tasks.values(), {"lore": World(build_world(6, 60))})


def test_hosts_are_drawn_from_few_words_and_kept_by_name():
    hosts = {host_of(f"world-{number}") for number in range(400)}
    assert len(hosts) == 8 * 6  # every pair of words, and nothing else
    assert host_of("faivholm") == host_of("faivholm")
    assert all(host.startswith("https://") and host.endswith(".example") for host in hosts)
