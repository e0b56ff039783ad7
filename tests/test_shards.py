"""Token arrays: what was written is what is read, and never as another tokenizer's."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from safetensors.numpy import load_file, save_file

from webfarer.store import Shard, Shards, read_segment, write_shard
from webfarer.types import BadInput, Segment

TOKENIZER = "ab" * 32


def segment(*tokens: tuple[int, int, float], tokenizer: str = TOKENIZER) -> Segment:
    ids, mask, logprobs = (list(part) for part in zip(*tokens, strict=True))
    versions = [n if bit else -1 for n, bit in enumerate(mask)]
    return Segment(tokenizer, ids, mask, logprobs, versions)


token = st.one_of(
    st.tuples(st.integers(0, 2**31 - 1), st.just(0), st.just(0.0)),
    st.tuples(st.integers(0, 2**31 - 1), st.just(1), st.floats(-100, 0, width=32)),
    st.tuples(st.integers(0, 2**31 - 1), st.just(1), st.just(math.nan)),
)
segments = st.lists(st.lists(token, min_size=1).map(lambda tokens: segment(*tokens)), min_size=1)


@given(segments)
def test_ids_mask_and_logprobs_come_back_as_they_were_sampled(tmp_path_factory, written):
    root = tmp_path_factory.mktemp("shards")
    refs = write_shard(root / "rollouts" / "part-00000.safetensors", written, root)
    assert [ref.length for ref in refs] == [len(part) for part in written]
    shards = Shards(root)
    for ref, expected in reversed(list(zip(refs, written, strict=True))):
        assert shards.read(ref) == expected
    assert refs[0].shard == "rollouts/part-00000.safetensors"


def test_the_file_is_plain_safetensors_of_the_stated_types(tmp_path):
    path = tmp_path / "x.safetensors"
    write_shard(path, [segment((5, 0, 0.0), (6, 1, -0.5)), segment((7, 1, -1.5))])
    arrays = load_file(path)
    assert {name: array.dtype.name for name, array in arrays.items()} == {
        "ids": "int32", "mask": "uint8", "logprobs": "float32", "versions": "int32",
        "offsets": "int64",
    }  # fmt: skip
    assert arrays["offsets"].tolist() == [0, 2, 3]
    assert len(Shard(path)) == 2


def test_versions_and_what_was_never_sampled_come_back(tmp_path):
    """A written token has no log-probability, before and after: NaN, never 0.0."""
    one = Segment(TOKENIZER)
    one.given([1, 2])
    one.chosen([3], [-0.5], version=2**31 - 1)
    one.written([4, 5])
    (ref,) = write_shard(tmp_path / "x", [one])
    again = read_segment(tmp_path, ref)
    assert again == one
    assert again.versions == [-1, -1, 2**31 - 1, -1, -1]
    assert [math.isnan(each) for each in again.logprobs] == [False] * 3 + [True] * 2


def test_a_shard_of_an_earlier_form_says_so(tmp_path):
    arrays = {"ids": np.zeros(1, np.int32), "offsets": np.asarray([0, 1])}
    save_file(arrays, tmp_path / "x", metadata={"webfarer-shard-1": TOKENIZER})
    with pytest.raises(BadInput, match="another version of Webfarer"):
        Shard(tmp_path / "x")


def test_the_same_segments_give_the_same_bytes(tmp_path):
    for name in ("a", "b"):
        write_shard(tmp_path / name, [segment((5, 0, 0.0), (6, 1, -0.5))])
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


def test_no_segments_no_file(tmp_path):
    assert write_shard(tmp_path / "x", []) == []
    assert not (tmp_path / "x").exists()


def test_an_empty_segment_is_kept_in_its_place(tmp_path):
    refs = write_shard(tmp_path / "x", [Segment(TOKENIZER), segment((1, 1, -1.0))])
    assert read_segment(tmp_path, refs[0]) == Segment(TOKENIZER)
    assert read_segment(tmp_path, refs[1]) == segment((1, 1, -1.0))


def test_ids_of_another_tokenizer_are_refused(tmp_path):
    (ref,) = write_shard(tmp_path / "x", [segment((1, 1, -1.0))])
    with pytest.raises(BadInput, match="tokenizer"):
        read_segment(tmp_path, ref.model_copy(update={"tokenizer": "cd" * 32}))
    with pytest.raises(ValueError, match="in one shard"):
        write_shard(tmp_path / "y", [segment((1, 1, -1.0)), Segment("cd" * 32)])


@pytest.mark.parametrize(
    "broken",
    [
        Segment(TOKENIZER, [1, 2], [1], [0.0, 0.0]),
        Segment(TOKENIZER, [1, 2], [1, 1], [0.0]),
        Segment(TOKENIZER, [1], [2], [0.0]),
        Segment(TOKENIZER, [1, 2], [1, 1], [0.0, 0.0], [3]),
    ],
)
def test_lengths_always_agree(tmp_path, broken):
    with pytest.raises(ValueError, match="mask"):
        write_shard(tmp_path / "x", [broken])


def test_a_reference_to_what_is_not_there_is_bad_input(tmp_path):
    (ref,) = write_shard(tmp_path / "x", [segment((1, 1, -1.0))])
    for change, says in (
        ({"row": 1}, "1 rows"),
        ({"length": 2}, "different runs"),
        ({"shard": "none"}, "no shard"),
    ):
        with pytest.raises(BadInput, match=says):
            read_segment(tmp_path, ref.model_copy(update=change))


def test_a_torn_or_foreign_file_is_bad_input(tmp_path):
    path = tmp_path / "x"
    write_shard(path, [segment((1, 1, -1.0))])
    whole = path.read_bytes()
    for data in (b"", whole[:40], whole[:-3], b"not safetensors at all, but long enough"):
        path.write_bytes(data)
        with pytest.raises(BadInput, match="not a readable shard"):
            Shard(path)
    save_file({"weight": np.zeros(3, np.float32)}, path)
    with pytest.raises(BadInput, match="not a shard"):
        Shard(path)
