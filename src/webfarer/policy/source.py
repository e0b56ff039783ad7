"""Where a model is: a folder, a hub id, or the base model that comes with Webfarer."""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path

from webfarer.types import BadInput

PATTERNS = ["*.json", "*.safetensors", "*.jinja", "*.txt", "*.model"]


def base_model() -> Path:
    """The folder of the small base model that comes with the package."""
    return Path(str(files("webfarer") / "data" / "base"))


def model_folder(source: str | Path) -> Path:
    """The folder of a model: `source` itself, the packaged base where it is empty, or the local
    copy of the hub's model of that id, fetched once. Raises BadInput where there is none."""
    if not str(source):
        return base_model()
    folder = Path(source)
    if (folder / "tokenizer.json").is_file() or (folder / "config.json").is_file():
        return folder
    if folder.exists() or str(source).startswith((".", "/", "~")) or str(source).count("/") > 1:
        raise BadInput(
            f"{source} is not a model folder: give one that holds a config.json "
            "and a tokenizer.json"
        )
    from huggingface_hub import snapshot_download

    try:
        return Path(snapshot_download(str(source), allow_patterns=PATTERNS))
    except Exception as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise BadInput(
            f"there is no folder {source}, and the hub did not give a model of that id ({reason})"
        ) from error
