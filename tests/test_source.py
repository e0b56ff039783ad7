"""Where a model is: the packaged one, a folder, or the hub's (which is never asked here)."""

import huggingface_hub
import pytest

from webfarer.policy.source import PATTERNS, base_model, model_folder
from webfarer.types import BadInput


@pytest.fixture
def asked(monkeypatch, tmp_path):
    """What the hub was asked for; it has one model, owner/name."""
    calls = []

    def download(repo, allow_patterns):
        calls.append((repo, allow_patterns))
        if repo != "owner/name":
            raise OSError("404 Client Error\nRepository Not Found")
        return str(tmp_path)

    monkeypatch.setattr(huggingface_hub, "snapshot_download", download)
    return calls


def test_empty_is_the_packaged_base(asked):
    assert model_folder("") == base_model()
    assert base_model().parts[-2:] == ("data", "base")
    assert asked == []


def test_a_folder_is_itself(asked, tmp_path):
    with pytest.raises(BadInput, match="is not a model folder"):
        model_folder(tmp_path)
    (tmp_path / "config.json").write_text("{}")
    assert model_folder(tmp_path) == model_folder(str(tmp_path)) == tmp_path
    assert asked == []


def test_a_hub_id_is_fetched_without_pickles_or_code(asked, tmp_path):
    assert model_folder("owner/name") == tmp_path
    assert asked == [("owner/name", PATTERNS)]
    assert not any(pattern.endswith((".bin", ".py", ".pt")) for pattern in PATTERNS)


def test_what_looks_like_a_path_is_never_asked_of_the_hub(asked, tmp_path):
    file = tmp_path / "file"
    file.write_text("x")
    for source in (file, "./none", "../none", "/none", "~/none", "a/b/c"):
        with pytest.raises(BadInput, match="is not a model folder"):
            model_folder(source)
    assert asked == []


def test_an_unknown_id_is_told_in_one_line(asked):
    with pytest.raises(BadInput, match="no folder basee, and the hub did not give") as told:
        model_folder("basee")
    assert "404 Client Error" in str(told.value)
    assert "\n" not in str(told.value)
