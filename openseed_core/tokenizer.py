"""The CLIP byte-level tokenizer over the merges that this package ships.

Ids: 256 bytes, the same 256 at the end of a word, one per merge, start (49406), end (49407).
"""

from __future__ import annotations

import gzip
import re
from collections.abc import Sequence
from functools import lru_cache
from importlib.resources import files
from typing import Any

import ftfy
import torch
from torch import Tensor
from transformers import CLIPTokenizer

VOCABULARY_SIZE = 49408
START_ID = 49406
END_ID = 49407  # also the padding: the causal mask and the pooling at the first end make it harmless


def tokenize(texts: Sequence[str], context: int) -> Tensor:
    """Token ids of ``texts``, int64 [N, context].

    Text is repaired (ftfy), lower-cased and its white space collapsed. Rows read start, tokens, end, and are padded
    with 49407; a text too long keeps its first ``context`` - 2 tokens.
    """
    ids = torch.full((len(texts), context), END_ID, dtype=torch.long)
    if not texts:
        return ids
    rows = _tokenizer()([_clean(text) for text in texts], add_special_tokens=False)["input_ids"]
    for row, tokens in enumerate(rows):
        kept = [START_ID, *tokens[: context - 2]]
        ids[row, : len(kept)] = torch.tensor(kept)
    return ids


def _clean(text: str) -> str:
    return re.sub(r"\s+", " ", ftfy.fix_text(text)).strip()


@lru_cache(maxsize=1)
def _tokenizer() -> Any:
    packed = files("openseed_core").joinpath("vocab/clip_bpe_merges.txt.gz").read_bytes()
    merges = [tuple(line.split()) for line in gzip.decompress(packed).decode().splitlines()]
    symbols = _byte_symbols()
    tokens = [*symbols, *(symbol + "</w>" for symbol in symbols), *("".join(pair) for pair in merges)]
    tokens += ["<|startoftext|>", "<|endoftext|>"]
    # A class name that spells a special token is text like any other: it must not end the sequence early.
    return CLIPTokenizer({token: i for i, token in enumerate(tokens)}, merges, split_special_tokens=True)


def _byte_symbols() -> list[str]:
    """One printable character for each byte, printable bytes first: the order that numbers CLIP's first 256 ids."""
    printable = [*range(ord("!"), ord("~") + 1), *range(ord("¡"), ord("¬") + 1), *range(ord("®"), ord("ÿ") + 1)]
    rest = [byte for byte in range(256) if byte not in printable]
    return [chr(byte) for byte in printable] + [chr(256 + i) for i in range(len(rest))]
