"""A step of reinforcement learning over many turns against TRL's `GRPOTrainer` with
`environment_factory`: the same small model, tasks, groups, turns and lengths, on CPU, in one run.

Every turn samples a number of tokens that is fixed beforehand, the same on both sides; both decode
and parse what was sampled and then act on a canned call, whose observation has a fixed number of
tokens with all that frames it; the last turn answers. So both sample, read and train the same
numbers of tokens, which is checked and printed.

All turns are of `--sampled` and `--observation` tokens: TRL's best case, since it generates a batch
in lock step, waits for the longest turn and pads to the longest attempt. With `--like FOLDER`
turns, tokens and observations are as many as in the sampled attempts of that folder (those of a
finished run: run/eval-sft), as they are when a policy ends its turns itself.

TRL is run in each of the settings given by `--trl` (sequences a micro-batch : cache) and compared
in the fastest. It runs without compiling, checkpointing, bfloat16, a reference model or logging.
Each side runs in a process of its own, ours before and after TRL's. Prints tables.

    python benchmarks/rl_trl.py --threads 2
    python benchmarks/rl_trl.py --threads 2 --like run/eval-sft

TRL is not part of Webfarer: pip install -e '.[bench]'
"""

from __future__ import annotations

import argparse
import functools
import itertools
import multiprocessing
import os
import platform
import resource
import sys
import tempfile
import time
import warnings
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from statistics import median
from typing import Any, NamedTuple

import torch
from rich.console import Console
from rich.table import Table

from webfarer.grade.rules import RuleGrader
from webfarer.policy import tags
from webfarer.policy.base import Attempt, Reply
from webfarer.policy.chat import ChatRenderer, load_renderer
from webfarer.policy.engine import Sampling
from webfarer.policy.llm import LlmActor, LlmPolicy
from webfarer.policy.local import LocalEngine
from webfarer.policy.model import load_model
from webfarer.policy.source import model_folder
from webfarer.rollout.collect import Arena, Job
from webfarer.rollout.react import Rolled
from webfarer.rollout.trainee import Stateful, Trainee
from webfarer.store import read_jsonl
from webfarer.tools.toolbox import Toolbox, problem_of
from webfarer.train.rl import reinforce
from webfarer.train.rl_metrics import StepMetric
from webfarer.types import (
    Answer,
    Call,
    Observation,
    Origin,
    RlSettings,
    Segment,
    Task,
    Trajectory,
)

SYSTEM = "Answer the question. Tools: look(query)."
LEARNING_RATE, CLIP = 1e-5, 1.0
FRAME = 16  # the least tokens of an observation: those of what frames it, and a word


class Made(NamedTuple):
    """What a side did: seconds of each step's parts, and what has to be equal, a step."""

    name: str
    rollout: list[float]
    update: list[float]
    step: list[float]
    peak_mb: int
    equal: dict[str, Any]


class Turn(NamedTuple):
    """How many tokens a turn samples, and how many its observation has; the last one has none."""

    sampled: int
    observed: int


Lengths = list[list[Turn]]


def lengths_of(args: argparse.Namespace) -> Lengths:
    """The turns of every attempt. Exits where `--like` has too few."""
    size = args.tasks * args.group
    if args.like is None:
        return [[Turn(args.sampled, args.observation)] * args.turns] * size
    paths = sorted(args.like.glob("part-*.jsonl"))
    read = (one for path in paths for one in read_jsonl(path, Trajectory))
    found = list(itertools.islice((one for one in read if one.turns and not one.greedy), size))
    if len(found) < size:
        sys.exit(f"--like {args.like} has {len(found)} sampled attempts: {size} are needed")
    used = [[turn.usage for turn in one.turns] for one in found]
    return [
        [
            Turn(use.thought_tokens + use.action_tokens, max(FRAME, use.observation_tokens))
            for use in each
        ]
        for each in used
    ]


def longest(lengths: Lengths) -> int:
    """The most tokens of an attempt, its prompt not counted."""
    return max(sum(turn.sampled + turn.observed for turn in one) for one in lengths)


def call_for(turn: Turn) -> Call:
    """The call that is answered by as many tokens as the turn wants."""
    return Call(name="look", arguments={"query": str(turn.observed)})


def questions(args: argparse.Namespace) -> list[str]:
    return [f"Where is town {number:03d}?" for number in range(args.tasks)]


def texts(lengths: Lengths, measure: Callable[[str], int]) -> dict[int, str]:
    """For each length of an observation a text that measures so many tokens."""
    wanted = {turn.observed for one in lengths for turn in one[:-1]}
    return {length: text_of(length, measure) for length in wanted}


def text_of(length: int, measure: Callable[[str], int]) -> str:
    """A text that measures exactly so many tokens."""
    words = itertools.accumulate(itertools.cycle([" the", " a", "."]), initial=".")
    for text in words:
        if (found := measure(text)) >= length:
            break
    if found != length:
        sys.exit(f"no text of {length} tokens: the frame alone takes {measure('.')}")
    return text


# Ours: the engine, the loop and the update of `webfarer train rl`


class OpenRenderer(ChatRenderer):
    """Takes every turn for unclosed, also where the end of turn was sampled by chance."""

    def observe(self, observation: Observation, *, closed: bool) -> list[int]:
        return super().observe(observation, closed=False)


class Forced(LlmPolicy):
    """Samples every turn to its length and acts on a canned call; the last turn answers."""

    lengths: Lengths
    group = 0

    def turns(self, attempt: Attempt) -> list[Turn]:
        number = int(attempt.task.id[1:]) * self.group + attempt.member
        return self.lengths[number]

    def sampling(self, attempt: Attempt, turn: int, room: int) -> Sampling:
        sampling = super().sampling(attempt, turn, room)
        tokens = self.turns(attempt)[turn].sampled
        return replace(sampling, stop=(), stop_ids=(), max_tokens=tokens)

    def start(self, attempt: Attempt) -> LlmActor:
        return ForcedActor(self, attempt)


class ForcedActor(LlmActor):
    async def act(self, observation: Observation | None) -> Reply:
        reply = await super().act(observation)
        tags.read(reply.text)  # what was sampled is parsed, as it would be
        assert isinstance(self._policy, Forced)
        turns = self._policy.turns(self._attempt)
        answer = "yes" if self._attempt.member % 2 else "no"
        acted = answer if self._turn == len(turns) else call_for(turns[self._turn - 1])
        return replace(reply, text=tags.write("so", acted), finish="stop")


class Look:
    """A tool that says as many tokens as it is asked for."""

    name, description = "look", "Looks something up."
    schema = {
        "type": "object",
        "properties": {"query": {"type": "string"}},
        "required": ["query"],
    }

    def __init__(self, says: Callable[[int], str]) -> None:
        self._says = says

    def problem(self, arguments: dict[str, Any]) -> str | None:
        return problem_of(self.schema, arguments)

    async def call(self, arguments: dict[str, Any]) -> Observation:
        return Observation.of(self._says(int(arguments["query"])))


def ours(args: argparse.Namespace) -> Made:
    torch.set_num_threads(args.threads)
    source = model_folder(args.model)
    loaded = load_renderer(source)
    renderer = OpenRenderer(loaded.tokenizer, loaded.family)
    lengths = lengths_of(args)
    says = texts(lengths, lambda text: len(renderer.observe(Observation.of(text), closed=False)))
    prompt = len(renderer.start(SYSTEM, questions(args)[0]))
    model = load_model(source, device="cpu")
    engine = LocalEngine(
        model, renderer.tokenizer, slots=args.tasks * args.group,
        context=prompt + longest(lengths) + 8,
    )  # fmt: skip
    policy = Forced("rl", engine, renderer)
    policy.lengths, policy.group = lengths, args.group
    toolbox, turns = Toolbox([Look(says.__getitem__)]), max(map(len, lengths))
    arena = Arena({"": toolbox}, RuleGrader(), SYSTEM, turns, renderer.count)
    trainee = Trainee(policy, engine, arena)
    settings = RlSettings(
        algorithm="grpo", steps=1 + args.steps, tasks=args.tasks, group=args.group,
        learning_rate=LEARNING_RATE, warmup=0, clip=CLIP, micro_tokens=args.micro_tokens,
        eval_every=0, show_every=0, checkpoint_every=1 + args.steps,
    )  # fmt: skip
    made = Made("Webfarer", [], [], [], 0, {})
    watched = Watched(trainee, made)
    with tempfile.TemporaryDirectory() as out:
        reinforce(
            settings, source, watched, tasks_of(args), Path(out) / "run", device="cpu",
            progress=watched.step_ends,
        )  # fmt: skip
    tokens = [len(segment) for segment in watched.segments]
    trained = [sum(segment.mask) for segment in watched.segments]
    made.equal.update(facts(tokens, trained, watched.trained, model.num_parameters()))
    return made._replace(peak_mb=peak())


class Watched:
    """The rollouts of `train rl` with a watch: attempts, then all of the step that is left."""

    def __init__(self, trainee: Trainee, made: Made) -> None:
        self.longest = trainee.longest
        self.segments: list[Segment] = []
        self.trained = 0
        self._trainee, self._made = trainee, made
        self._began = self._rolled = 0.0

    def make(self, jobs: Sequence[Job], step: int) -> list[Rolled]:
        began = time.perf_counter()
        rolled = self._trainee.make(jobs, step)
        self._rolled = time.perf_counter() - began
        self.segments = [segment for one in rolled for segment in one.segments]
        return rolled

    def take(self, model: Stateful, version: int) -> None:
        """Before the first step, and at the end of each: the engine gets the weights."""
        self._trainee.take(model, version)
        self._began = self._began or time.perf_counter()

    def step_ends(self, metric: StepMetric, total: int) -> None:
        now = time.perf_counter()
        note(self._made, self._began, self._began + self._rolled, now)
        self._began, self.trained = now, metric.trained


def tasks_of(args: argparse.Namespace) -> list[Task]:
    return [
        Task(
            id=f"t{number}",
            question=question,
            answers=(Answer(text="yes"),),
            origin=Origin(recipe="benchmark", seed=0, graph=""),
        )
        for number, question in enumerate(questions(args))
    ]


# TRL's


def theirs(args: argparse.Namespace, setting: str) -> Made:
    """`GRPOTrainer`, 1 + `--steps` steps; `setting` is sequences a micro-batch : cache."""
    torch.set_num_threads(args.threads)
    warnings.simplefilter("ignore")
    from datasets import Dataset
    from transformers import (
        AutoModelForCausalLM,
        AutoTokenizer,
        LogitsProcessor,
        PrinterCallback,
        TrainerCallback,
    )  # fmt: skip
    from transformers.utils.logging import disable_progress_bar
    from trl import GRPOConfig, GRPOTrainer
    from trl.chat_template_utils import parse_response, qwen3_template
    from trl.trainer import grpo_trainer

    disable_progress_bar()
    micro, cache = int(setting.split(":")[0]), setting.split(":")[1]
    size = args.tasks * args.group
    source = model_folder(args.model)
    tokenizer = AutoTokenizer.from_pretrained(source)
    tokenizer.response_template = qwen3_template
    model = AutoModelForCausalLM.from_pretrained(source, dtype=torch.float32)
    made = Made(f"TRL {micro} x {size // micro}, {cache} cache", [], [], [], 0, {})

    lengths = lengths_of(args)
    most = max(turn.sampled for one in lengths for turn in one)
    numbers = itertools.count()
    says: dict[int, str] = {}
    acts: list[Call | None] = []  # what the attempts of a turn do, in the order they are parsed

    def canned(tokenizer: Any, ids: list[int], **rest: Any) -> dict[str, Any]:
        parse_response(tokenizer, ids, **rest)  # what was sampled is parsed, as it would be
        call = acts.pop(0)
        if call is None:
            return {"role": "assistant", "content": "yes"}
        function = {"name": call.name, "arguments": call.arguments}
        called = {"type": "function", "function": function}
        return {"role": "assistant", "content": "", "tool_calls": [called]}

    grpo_trainer.parse_response = canned

    class Ends(LogitsProcessor):
        """Ends every attempt's turn at its length, and no sooner."""

        def begin(self, turns: Sequence[Turn]) -> None:
            self.left = torch.tensor([turn.sampled for turn in turns])

        def __call__(self, input_ids: Any, scores: Any) -> Any:
            self.left -= 1
            scores[:, tokenizer.eos_token_id] = -torch.inf
            scores[self.left == 0] = -torch.inf
            scores[self.left == 0, tokenizer.eos_token_id] = 0.0
            return scores

    ends = Ends()
    model.generate = functools.partial(model.generate, logits_processor=[ends])

    class Environment:
        def __init__(self) -> None:
            self._reward = float(next(numbers) % 2)

        def reset(self, **row: Any) -> None:
            return None

        def look(self, query: str) -> str:
            """Looks something up.

            Args:
                query: what to look up
            """
            return says[int(query)]

        def get_reward(self) -> float:
            return self._reward

    class Timed(GRPOTrainer):
        rolled = began = 0.0
        turn = 0
        batch: dict[str, Any]

        def _generate_single_turn(self, prompt_ids: Any, *rest: Any, **named: Any) -> Any:
            """The attempts that go on come in their order: their turns end, and act, by plan."""
            turn, self.turn = self.turn, self.turn + 1
            going = [one for one in lengths if len(one) > turn]
            assert len(going) == len(prompt_ids)
            ends.begin([one[turn] for one in going])
            acts[:] = [call_for(one[turn]) if one[turn + 1 :] else None for one in going]
            return super()._generate_single_turn(prompt_ids, *rest, **named)

        def _generate_and_score_completions(self, inputs: Any) -> Any:
            begun, self.turn = time.perf_counter(), 0
            self.batch = super()._generate_and_score_completions(inputs)
            self.rolled = time.perf_counter() - begun
            return self.batch

    class Clock(TrainerCallback):
        def on_step_begin(self, *_: Any, **__: Any) -> None:
            trainer.began = time.perf_counter()

        def on_step_end(self, *_: Any, **__: Any) -> None:
            note(made, trainer.began, trainer.began + trainer.rolled, time.perf_counter())

    prompts = [
        [{"role": "system", "content": SYSTEM}, {"role": "user", "content": question}]
        for question in questions(args)
    ]
    with tempfile.TemporaryDirectory() as out:
        config = GRPOConfig(
            output_dir=out, use_cpu=True, bf16=False, gradient_checkpointing=False,
            per_device_train_batch_size=micro, gradient_accumulation_steps=size // micro,
            num_generations=args.group, max_steps=1 + args.steps, loss_type="grpo", beta=0.0,
            epsilon=0.2, scale_rewards="group", learning_rate=LEARNING_RATE,
            lr_scheduler_type="constant", max_grad_norm=CLIP, optim="adamw_torch_fused",
            adam_beta1=0.9, adam_beta2=0.95, weight_decay=0.0, temperature=1.0, top_p=1.0, top_k=0,
            max_completion_length=longest(lengths),
            max_tool_calling_iterations=max(map(len, lengths)) - 1,
            cache_implementation=None if cache == "dynamic" else cache,
            generation_kwargs={"max_new_tokens": most},
            save_strategy="no", report_to="none", disable_tqdm=True, logging_strategy="no",
            dataloader_pin_memory=False,
        )  # fmt: skip
        trainer = Timed(
            model=model, args=config, processing_class=tokenizer, callbacks=[Clock()],
            train_dataset=Dataset.from_list([{"prompt": prompt} for prompt in prompts]),
            environment_factory=Environment,
        )  # fmt: skip

        def measure(text: str) -> int:
            said = {"role": "tool", "name": "look", "content": text}
            return len(trainer._get_tool_suffix_ids([said]))

        says.update(texts(lengths, measure))
        trainer.remove_callback(PrinterCallback)
        trainer.train()
    batch = trainer.batch
    tokens = batch["prompt_mask"].sum(1) + batch["completion_mask"].sum(1)
    trained = (batch["completion_mask"] * batch["tool_mask"]).sum(1)
    counted = int(batch["num_items_in_batch"])
    made.equal.update(facts(tokens.tolist(), trained.tolist(), counted, model.num_parameters()))
    return made._replace(peak_mb=peak())


# Both


def facts(
    lengths: Sequence[int], trained: Sequence[int], counted: int, parameters: int
) -> dict[str, Any]:
    """What a step was, as it was found in its attempts; `counted` are the tokens of its loss."""
    return {
        "attempts": len(lengths),
        "tokens an attempt": sorted(lengths),
        "of them sampled": sorted(trained),
        "tokens of a step's loss": counted,
        "optimiser steps a step": 1,
        "parameters": parameters,
        "threads": torch.get_num_threads(),
        "dtype": "float32",
    }


def note(made: Made, began: float, rolled: float, ended: float) -> None:
    made.rollout.append(rolled - began)
    made.update.append(ended - rolled)
    made.step.append(ended - began)


def peak() -> int:
    """The most memory that this process had, in MB."""
    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return most // (1 << 20 if sys.platform == "darwin" else 1 << 10)


def apart(work: Callable[..., Made], *given: Any) -> Made:
    """Runs in a process of its own."""
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        return pool.apply(work, given)


def middle(made: Made) -> tuple[float, float, float]:
    """Medians over the steps, the first one left out: it warms up."""
    return median(made.rollout[1:]), median(made.update[1:]), median(made.step[1:])


def spread(values: list[int]) -> str:
    """The mean, and where they differ the least and the most."""
    low, high = min(values), max(values)
    return f"{low}" if low == high else f"{sum(values) / len(values):.0f} ({low} to {high})"


def show(mine: Made, others: list[Made], console: Console) -> None:
    best = min(others, key=lambda made: middle(made)[2])
    table = Table(title="Seconds a step (median)")
    for column in ("", "rollout", "update", "step", "peak MB"):
        table.add_column(column, justify="right" if column else "left")
    for made in (mine, *others):
        table.add_row(made.name, *(f"{s:.2f}" for s in middle(made)), str(made.peak_mb))
    ratios = (b / a for a, b in zip(middle(mine), middle(best), strict=True))
    memory = f"{best.peak_mb / mine.peak_mb:.2f} x"
    table.add_row(f"{best.name} / Webfarer", *(f"{r:.2f} x" for r in ratios), memory)
    console.print(table)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--model", default="", help="a folder; empty: the packaged base model")
    parser.add_argument("--threads", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--steps", type=int, default=5, help="timed, after one to warm up")
    parser.add_argument("--tasks", type=int, default=16)
    parser.add_argument("--group", type=int, default=8)
    parser.add_argument("--turns", type=int, default=4)
    parser.add_argument("--sampled", type=int, default=30, help="tokens a turn")
    parser.add_argument("--observation", type=int, default=40, help="tokens, with their frame")
    parser.add_argument("--like", type=Path, help="a folder of attempts whose lengths to take")
    parser.add_argument("--micro-tokens", type=int, default=RlSettings().micro_tokens)
    parser.add_argument("--trl", nargs="+", default=["32:static", "32:dynamic"])
    args = parser.parse_args()
    try:
        import trl
    except ImportError:
        sys.exit("TRL is not installed: pip install -e '.[bench]'")
    console = Console()
    console.print(
        f"{platform.processor() or platform.machine()}, {args.threads} threads, "
        f"Python {platform.python_version()}, torch {torch.__version__}, TRL {trl.__version__}"
    )
    first = apart(ours, args)
    others = [apart(theirs, args, setting) for setting in args.trl]
    second = apart(ours, args)
    mine = Made(
        "Webfarer", first.rollout + second.rollout[1:], first.update + second.update[1:],
        first.step + second.step[1:], max(first.peak_mb, second.peak_mb), first.equal,
    )  # fmt: skip
    for made in others:
        if made.equal != mine.equal:
            sys.exit(f"not the same work: {made.name} {made.equal}, Webfarer {mine.equal}")
    held = Table(title="Held equal, and found so in both sides' batches")
    held.add_column("")
    held.add_column("", justify="right")
    for name, value in mine.equal.items():
        held.add_row(name, spread(value) if isinstance(value, list) else str(value))
    console.print(held)
    show(mine, others, console)


if __name__ == "__main__":
    main()
