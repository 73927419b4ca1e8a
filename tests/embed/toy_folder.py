"""Writes a fake of a sentence-transformers model: two layers of BERT with random weights and a small vocabulary.

What it finds near to what means nothing; that it is loaded, asked with its prompts, and asked once does.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

DIMENSION = 128
MOST_TOKENS = 48
QUERY, PASSAGE = "query: ", "passage: "
_WORDS = (
    "the", "a", "of", "is", "on", "in", "and", "buoy", "harbour", "gauge", "radar", "tide", "sales", "north", "crate",
    "quay", "query", "passage", "fee", "card",
)  # fmt: skip
_CHINESE = "北京市港口浮标雷达验潮仪价格是多少在的营业收入增长"
_LETTERS = "abcdefghijklmnopqrstuvwxyz0123456789"


def save_toy_folder(folder: Path, prompts: Mapping[str, str] | None = None, seed: int = 0) -> Path:
    """A model of its own for each seed; with prompts, those of e5."""
    import torch
    import transformers
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.sentence_transformer.modules import Normalize, Pooling, Transformer
    from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors

    marks = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", ":", ".", ","]
    pieces = [*marks, *_WORDS, *_CHINESE, *_LETTERS, *(f"##{letter}" for letter in _LETTERS)]
    vocabulary = {piece: place for place, piece in enumerate(dict.fromkeys(pieces))}
    tokenizer = Tokenizer(models.WordPiece(vocabulary, unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.BertNormalizer()
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.post_processor = processors.BertProcessing(("[SEP]", 3), ("[CLS]", 2))
    torch.manual_seed(seed)
    config = transformers.BertConfig(
        vocab_size=len(vocabulary), hidden_size=DIMENSION, num_hidden_layers=2, num_attention_heads=2,
        intermediate_size=128, max_position_embeddings=MOST_TOKENS,
    )  # fmt: skip
    plain = folder.with_name(f"{folder.name}-plain")
    transformers.BertModel(config).save_pretrained(plain)
    transformers.PreTrainedTokenizerFast(  # type: ignore[no-untyped-call]
        tokenizer_object=tokenizer, unk_token="[UNK]", cls_token="[CLS]", sep_token="[SEP]", pad_token="[PAD]",
        mask_token="[MASK]", model_max_length=MOST_TOKENS,
    ).save_pretrained(plain)  # fmt: skip
    modules = [Transformer(str(plain)), Pooling(DIMENSION), Normalize()]
    SentenceTransformer(modules=modules, device="cpu").save(str(folder), create_model_card=False)
    if prompts is not None:
        file = folder / "config_sentence_transformers.json"
        file.write_text(json.dumps({**json.loads(file.read_text()), "prompts": prompts}), encoding="utf-8")
    return folder


def e5_prompts() -> dict[str, str]:
    return {"query": QUERY, "passage": PASSAGE}
