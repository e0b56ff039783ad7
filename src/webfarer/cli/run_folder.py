"""A run's folder, opened: what its stages read, and the work that several processes share."""

from __future__ import annotations

from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from webfarer.cli.agents import arena, local_policy, trainee
from webfarer.cli.manifest import keep_engine
from webfarer.cli.progress import Teller, Update
from webfarer.cli.run_worlds import SPLITS, language
from webfarer.curate.funnel import funnel
from webfarer.curate.tokens import segments_of
from webfarer.graph.files import load
from webfarer.graph.split import EntitySplit, fact_split, split_entities
from webfarer.policy.base import Policy
from webfarer.policy.chat import ChatRenderer, load_renderer
from webfarer.policy.expert import Expert
from webfarer.policy.source import model_folder
from webfarer.rollout.collect import Arena, Job, collect, jobs_for
from webfarer.rollout.world import World, by_name
from webfarer.store.jsonl import read_jsonl
from webfarer.store.parts import Parts
from webfarer.store.shards import Shards
from webfarer.synth.tasks import Source
from webfarer.types import BadInput, Recipe, Segment, Split, Task, Trajectory

if TYPE_CHECKING:
    from webfarer.train.processes import Ranks

SCRIPTED: dict[str, Split] = {"expert": "train", "valid": "valid"}  # stages, and where they act


class RunFolder:
    """What a recipe's stages have written so far. Every process of a run opens it for itself."""

    def __init__(self, recipe: Recipe, folder: Path) -> None:
        self.recipe, self.folder = recipe, folder
        self._opened: dict[Split, dict[str, World]] = {}

    # What is there

    @cached_property
    def renderer(self) -> ChatRenderer:
        return load_renderer(model_folder(self.recipe.model), self.recipe.family)

    @property
    def worlds(self) -> dict[str, World]:
        """The worlds of the run by folder name, which is the split, a dash and the world's name."""
        return {name: world for split in sorted(SPLITS) for name, world in self.of(split).items()}

    def of(self, split: Split) -> dict[str, World]:
        """Those of a split."""
        if split not in self._opened:
            spoken, found = language(self.recipe), (self.folder / "worlds").glob(f"{split}-*")
            loaded = {path.name: load(path, path.name.partition("-")[2], spoken)
                      for path in sorted(found)}  # fmt: skip
            self._opened[split] = {name: World(graph) for name, graph in loaded.items()}
        return self._opened[split]

    @cached_property
    def _entities(self) -> EntitySplit | None:
        """The split of an imported graph's entities; None for procedural worlds."""
        graph = self.recipe.graph
        if graph.folder is None:
            return None
        whole = load(Path(graph.folder))
        return split_entities(whole, self.recipe.seed, valid=graph.valid, test=graph.test)

    def source(self, world: World, split: Split) -> Source:
        """What questions of a split are asked of, in one of its worlds."""
        entities = self._entities
        return Source(
            world.graph,
            world.url_of,
            keep=lambda fact: entities is None or fact_split(fact, entities) == split,
            english_names=self.recipe.graph.english_names,
        )

    def tasks(self, split: Split) -> dict[str, Task]:
        return {task.id: task for task in read_jsonl(self.folder / f"tasks/{split}.jsonl", Task)}

    def arena(self, split: Split) -> Arena:
        worlds, recipe = by_name(world.graph for world in self.of(split).values()), self.recipe
        return arena(
            worlds, self.renderer.count, recipe.tools, recipe.rollout, recipe.seed, recipe.grade
        )

    def model(self, name: str) -> Path:
        """The folder of a policy's model: the base model, or what a stage has trained."""
        if name == "base":
            return model_folder(self.recipe.model)
        return self.folder / name / "model"

    def valid_segments(self) -> list[Segment]:
        """The validation trajectories that the funnel would keep, as token ids."""
        renderer, folder = self.renderer, self.folder / "valid"
        kept = funnel(Parts(folder).read(Trajectory), self.tasks("valid"), self.recipe.funnel).kept
        shards = Shards(folder)
        return [
            segment
            for one in kept
            for segment in segments_of(one, renderer, shards, compact=renderer.family.compact)
        ]

    # Attempts

    def jobs(self, stage: str) -> list[Job]:
        """A stage's attempts; of an evaluation the greedy ones at every task, then the samples."""
        if stage == "expert":
            attempts = self.recipe.expert.attempts
            return jobs_for(self.tasks("train").values(), samples=attempts, greedy=False)
        if stage == "valid":
            return jobs_for(self.tasks("valid").values(), samples=1, greedy=False)
        settings = self.recipe.eval
        tasks = [task for task in self.tasks("test").values() if task.level in settings.levels]
        if not tasks:
            raise BadInput(
                f"there is no test task of the levels to score, {settings.levels}: set eval.levels "
                "or tasks.test"
            )
        return jobs_for(tasks, samples=settings.samples, greedy=True)

    def attempts(
        self, stage: str, share: tuple[int, int] = (0, 1), update: Update = lambda *_: None
    ) -> None:
        """A share of a stage's attempts, into its folder."""
        policy, out, arena = self._policy(stage), self.folder / stage, self._place(stage)
        chunk = self.recipe.rollout.chunk
        collect(policy, arena, self.jobs(stage), out, chunk=chunk, progress=update, share=share)
        if stage not in SCRIPTED:
            keep_engine(out, policy, self.recipe.rollout)

    def _place(self, stage: str) -> Arena:
        return self.arena(SCRIPTED.get(stage, "test"))

    def _policy(self, stage: str) -> Policy:
        recipe = self.recipe
        if stage in SCRIPTED:
            split = SCRIPTED[stage]
            worlds = self.of(split).values()
            faults = recipe.expert.fault_rate if stage == "expert" else 0.0
            return Expert({world.graph.name: world.atlas for world in worlds}, faults)
        name = stage.removeprefix("eval-")
        return local_policy(
            name, self.model(name), self.renderer, recipe.rollout, recipe.eval.temperature
        )

    # Reinforcement learning

    def reinforce(self, key: str, ranks: Ranks, teller: Teller) -> None:
        """Trains from the cold start's weights, together with the other processes of `ranks`."""
        from webfarer.cli.rl_live import Live
        from webfarer.train.rl import reinforce

        recipe, source = self.recipe, self.model("sft")
        valid = list(self.tasks("valid").values())
        place = self.arena("train")
        trained = trainee(
            recipe, source, self.renderer, place, self.arena("valid") if valid else None
        )
        with teller.bar(recipe.rl.algorithm, slim=True) as update:
            live = Live(teller, update)

            def scored(done: int) -> float | None:
                return live.scored(done, trained.greedy(valid, ranks.share))

            reinforce(
                recipe.rl, source, trained, list(self.tasks("train").values()),
                self.folder / "rl", seed=recipe.seed, given=key, ranks=ranks,
                evaluate=scored if valid else None, progress=live if ranks.first else None,
            )  # fmt: skip


def make_share(recipe: Recipe, folder: Path, stage: str, number: int, count: int) -> None:
    """What one of several processes does for a stage."""
    RunFolder(recipe, folder).attempts(stage, (number, count))


def reinforce_too(recipe: Recipe, folder: Path, key: str, ranks: Ranks) -> None:
    """What one of several processes does in reinforcement learning; it says nothing."""
    RunFolder(recipe, folder).reinforce(key, ranks, Teller(quiet=True))
