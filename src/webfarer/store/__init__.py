"""Files: records as JSON lines, token arrays as shards, manifests; all written whole."""

from webfarer.store.atomic import folder, write_bytes, write_json, write_text
from webfarer.store.jsonl import append_jsonl, read_jsonl, write_jsonl
from webfarer.store.manifest import (
    Manifest,
    Stage,
    file_hashes,
    key_of,
    new_manifest,
    read_manifest,
    sha256_file,
    stage,
    write_manifest,
)
from webfarer.store.parts import Parts
from webfarer.store.shards import Shard, Shards, read_segment, write_shard

__all__ = [
    "Manifest", "Parts", "Shard", "Shards", "Stage", "append_jsonl", "file_hashes", "folder",
    "key_of", "new_manifest", "read_jsonl", "read_manifest", "read_segment", "sha256_file", "stage",
    "write_bytes", "write_json", "write_jsonl", "write_manifest", "write_shard", "write_text",
]  # fmt: skip
