"""Graders, put together from settings: rules, a model that judges, a trained reward model."""

from __future__ import annotations

import os
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from webfarer.cli.manifest import folder_key
from webfarer.grade.judge import NAME, Judge, read_reply
from webfarer.grade.reward_model import RewardModel
from webfarer.grade.rules import RuleGrader
from webfarer.grade.sources import Grader, RuleFirst
from webfarer.policy.ask import Ask, ChatServer, EngineAsker, Remembered, checked_endpoint
from webfarer.policy.chat import load_renderer
from webfarer.policy.source import model_folder
from webfarer.store.manifest import key_of
from webfarer.types import GradeSettings

if TYPE_CHECKING:
    from webfarer.policy.classifier import Classifier

KEY = "WEBFARER_JUDGE_KEY"
_CONTEXT = 8192  # tokens of a judge that runs here, where its model allows so many
_REPLY = 256  # tokens of its reply
# How the work is done, and not what comes of it.
_PLAIN = {"timeout", "attempts", "concurrency", "cache", "batch", "device", "endpoint"}


def grader_of(settings: GradeSettings) -> Grader:
    """The grader that the settings name. Raises BadInput where its model cannot be used."""
    if settings.by == "rule":
        return RuleGrader()
    grader = _judge(settings) if settings.by == "judge" else _reward_model(settings)
    return RuleFirst(RuleGrader(), grader) if settings.rule_first else grader


def graded_by(settings: GradeSettings) -> dict[str, Any]:
    """What verdicts and rewards depend on, for keys and manifests: nothing where rules grade as
    they do by default, so that keys made before there was a choice still fit."""
    weight = {"format_weight": settings.format_weight}
    if settings.by == "rule":
        same = settings.format_weight == GradeSettings().format_weight
        return {} if same else {"grade": {"by": "rule", **weight}}
    depends = settings.model_dump(mode="json", exclude=_PLAIN)
    if not settings.endpoint:
        depends["model"] = folder_key(model_folder(settings.model))
    return {"grade": {"grader": NAME if settings.by == "judge" else "reward-model-1", **depends}}


def _judge(settings: GradeSettings) -> Judge:
    name, ask = settings.model, _server(settings) if settings.endpoint else _engine(settings.model)
    if not settings.endpoint:
        name = _short(settings.model)
    if settings.cache is not None:
        of = key_of(NAME, name, settings.options)
        ask = Remembered(ask, Path(settings.cache), of, lambda text: read_reply(text) is not None)
    return Judge(name, ask)


def _server(settings: GradeSettings) -> ChatServer:
    return ChatServer(
        checked_endpoint(settings.endpoint),
        settings.model,
        key=os.environ.get(KEY, ""),
        options=settings.options,
        timeout=settings.timeout,
        attempts=settings.attempts,
        concurrency=settings.concurrency,
    )


@lru_cache(maxsize=1)
def _engine(model: str) -> Ask:
    """A model of this process as a judge; loaded once, for however many arenas."""
    source = model_folder(model)
    renderer = load_renderer(source)
    from webfarer.policy.local import LocalEngine
    from webfarer.policy.model import load_model

    loaded = load_model(source)
    most = loaded.config.get_text_config().max_position_embeddings
    engine = LocalEngine(loaded, renderer.tokenizer, slots=16, context=min(most, _CONTEXT))
    return EngineAsker(engine, renderer, max_tokens=_REPLY)


def _reward_model(settings: GradeSettings) -> RewardModel:
    classifier = _classifier(
        settings.model, settings.label, settings.dtype, settings.device, settings.reads
    )
    return RewardModel(
        f"reward-model-1 {_short(settings.model)}",
        classifier.scores,
        threshold=settings.threshold,
        batch=settings.batch,
        reads=settings.reads,
    )


@lru_cache(maxsize=1)
def _classifier(model: str, label: str, dtype: str, device: str, reads: str) -> Classifier:
    from webfarer.policy.classifier import load_classifier

    keep_end = reads == "trajectory"  # where the answer stands
    source = model_folder(model)
    return load_classifier(source, label=label, dtype=dtype, device=device, keep_end=keep_end)


def _short(model: str) -> str:
    """A model's name with the start of its hash: the name alone tells no two folders apart."""
    return f"{Path(model).name or 'base'}@{folder_key(model_folder(model))[:12]}"
