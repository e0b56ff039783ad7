"""What several tests need: a tiny model folder of the right form, a small world and its tasks."""

from __future__ import annotations

import random
import zlib
from pathlib import Path

import pytest

from webfarer.graph.files import save
from webfarer.graph.world import build_world
from webfarer.rollout.world import World
from webfarer.store.jsonl import write_jsonl
from webfarer.synth.tasks import Source, make_tasks
from webfarer.types import Task
