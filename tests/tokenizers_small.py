"""Tiny tokenizers with the real families' machinery: normaliser, pre-tokenizer, special tokens.

Trained on a few lines, so that the ids are small but the rules by which text is cut are the
families' own: the regular expressions and flags are those of the published tokenizer.json files.
"""

from tokenizers import (
    AddedToken,
    Regex,
    Tokenizer,
    decoders,
    models,
    normalizers,
    pre_tokenizers,
    processors,
    trainers,
)

from webfarer.policy.chat import CONTROL_TOKENS

CORPUS = [
    "The museum opened in 1912.\nIts founder was Orla Venn.\n\nSee also: rivers, bridges.",
    '{"name": "search", "arguments": {"query": ["the founder of the museum"]}}',
    "think tool_call tool_response answer </think> <tool_call> </tool_response> <answer>",
    "user assistant system You are a helpful agent. Café, naïve, 東京, the the the  and   and.",
    "</answer>\n\n<think>\n",
] * 3

QWEN_SPLIT = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}"
    r"| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)
LLAMA_SPLIT = QWEN_SPLIT.replace(r"|\p{N}|", r"|\p{N}{1,3}|")
QWEN25_SPECIAL = ["<|endoftext|>", "<|im_start|>", "<|im_end|>", "<|vision_start|>"]
QWEN25_ADDED = ["<tool_call>", "</tool_call>", "<|fim_prefix|>", "<|file_sep|>"]
QWEN3_ADDED = [*QWEN25_ADDED, "<tool_response>", "</tool_response>", "<think>", "</think>"]
LLAMA3_SPECIAL = [
    "<|begin_of_text|>", "<|end_of_text|>", "<|start_header_id|>", "<|end_header_id|>",
    "<|eot_id|>", "<|eom_id|>", *(f"<|reserved_special_token_{n}|>" for n in range(250)),
]  # fmt: skip


def byte_level(split: str, *, special: tuple[str, ...] = (), ignore_merges: bool = False):
    tokenizer = Tokenizer(models.BPE(ignore_merges=ignore_merges))
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(split), "isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.train_from_iterator(
        CORPUS,
        trainers.BpeTrainer(
            vocab_size=420 + len(special),
            special_tokens=list(special),
            initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
            show_progress=False,
        ),
    )
    return tokenizer


def _plainly(strings: list[str]) -> list[AddedToken]:
    return [AddedToken(text, normalized=False, special=False) for text in strings]


def qwen25() -> Tokenizer:
    """Tags: `<tool_call>` is one added token, the others are several ordinary ones."""
    tokenizer = byte_level(QWEN_SPLIT)
    tokenizer.normalizer = normalizers.NFC()
    tokenizer.add_special_tokens(QWEN25_SPECIAL)
    tokenizer.add_tokens(_plainly(QWEN25_ADDED))
    return tokenizer


def qwen3() -> Tokenizer:
    tokenizer = byte_level(QWEN_SPLIT)
    tokenizer.normalizer = normalizers.NFC()
    tokenizer.add_special_tokens(QWEN25_SPECIAL)
    tokenizer.add_tokens(_plainly(QWEN3_ADDED))
    return tokenizer


def llama3() -> Tokenizer:
    tokenizer = byte_level(LLAMA_SPLIT, ignore_merges=True)
    tokenizer.add_special_tokens(LLAMA3_SPECIAL)
    bos = "<|begin_of_text|>"
    tokenizer.post_processor = processors.TemplateProcessing(
        single=f"{bos} $A", special_tokens=[(bos, tokenizer.token_to_id(bos))]
    )
    return tokenizer


def webfarer() -> Tokenizer:
    """Its special tokens are in the model's vocabulary too, as a trainer puts them there."""
    return byte_level(QWEN_SPLIT, special=CONTROL_TOKENS)


FAMILY_TOKENIZERS = {"qwen2.5": qwen25, "qwen3": qwen3, "llama3": llama3, "webfarer": webfarer}


def spaces_added() -> Tokenizer:
    """Runs of spaces and line breaks, a word and an HTML tag are added tokens (as in Gemma)."""
    tokenizer = qwen25()
    tokenizer.add_tokens(["\n\n", "\n\n\n", "  ", "    ", "<h1>", "museum", "[INST]", "e"])
    return tokenizer


def merges_added() -> Tokenizer:
    """Added tokens that the model's own merges lead to as well."""
    tokenizer = webfarer()
    tokenizer.add_tokens([AddedToken("the", normalized=True), AddedToken("in"), AddedToken("a")])
    assert tokenizer.model.token_to_id("the") == tokenizer.token_to_id("the")
    return tokenizer


def nfkc_lowercase() -> Tokenizer:
    """Control tokens matched after a normaliser that folds wide and upper-case forms."""
    tokenizer = byte_level(QWEN_SPLIT)
    tokenizer.normalizer = normalizers.Sequence(
        [normalizers.NFKC(), normalizers.Lowercase(), normalizers.Replace("\u200b", "")]
    )
    names = [*CONTROL_TOKENS, "[INST]", "<s>"]
    tokenizer.add_special_tokens([AddedToken(t, normalized=True, special=True) for t in names])
    return tokenizer


def devious() -> Tokenizer:
    """A normaliser that makes "<" of what the escape leaves, and of brackets."""
    tokenizer = nfkc_lowercase()
    tokenizer.normalizer = normalizers.Sequence(
        [
            normalizers.Replace("<·", "<"),
            normalizers.Replace("((", "<"),
            normalizers.Replace(Regex("[.·]"), ""),
            normalizers.NFKC(),
        ]
    )
    return tokenizer


def word_level() -> Tokenizer:
    """Control tokens are words of the vocabulary; what is unknown is an added token as well."""
    words = ["[UNK]", "[MASK]", "<s>", "</s>", "the", "museum", "<", "think", ">", "/", "answer"]
    tokenizer = Tokenizer(models.WordLevel({w: i for i, w in enumerate(words)}, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    tokenizer.add_special_tokens(["[UNK]", "[MASK]", "<s>", "</s>", *CONTROL_TOKENS])
    return tokenizer


def word_piece() -> Tokenizer:
    letters = "abcdefghijklmnopqrstuvwxyz<>/|_"
    words = ["[UNK]", "[CLS]", "[SEP]", *letters, *("##" + c for c in letters), "think", "answer"]
    vocab = {w: i for i, w in enumerate(words)}
    tokenizer = Tokenizer(models.WordPiece(vocab, unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.BertNormalizer()
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.decoder = decoders.WordPiece()
    tokenizer.add_special_tokens(["[UNK]", "[CLS]", "[SEP]", *CONTROL_TOKENS])
    return tokenizer


def unigram() -> Tokenizer:
    """A sentence-piece model whose pieces include control strings."""
    pieces = [("<unk>", 0.0), ("<s>", 0.0), ("</s>", 0.0), ("▁", -2.0), ("</think>", -1.0)]
    pieces += [(c, -3.0) for c in "abcdefghijklmnopqrstuvwxyz<>/|_."]
    tokenizer = Tokenizer(models.Unigram(pieces, unk_id=0, byte_fallback=False))
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace()
    tokenizer.decoder = decoders.Metaspace()
    tokenizer.add_special_tokens(["<unk>", "<s>", "</s>", *CONTROL_TOKENS])
    return tokenizer


ADVERSARIAL = {
    "spaces": spaces_added,
    "merges": merges_added,
    "nfkc": nfkc_lowercase,
    "devious": devious,
    "words": word_level,
    "pieces": word_piece,
    "unigram": unigram,
}
