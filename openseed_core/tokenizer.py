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
SPECIAL_TOKENS = ("<|startoftext|>", "<|endoftext|>")
PRINTABLE = 188  # of the 256 bytes, those that Latin-1 prints as a visible character
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


def token_texts() -> list[str]:
    """What each id stands for as text, in id order: no end-of-word marker, broken UTF-8 left out, specials empty."""
    byte_of = {symbol: byte for byte, symbol in zip(_byte_order(), _byte_symbols(), strict=True)}
    texts = []
    for token in _tokens()[: -len(SPECIAL_TOKENS)]:
        texts.append(bytes(byte_of[c] for c in token.removesuffix("</w>")).decode("utf-8", errors="ignore"))
    return [*texts, *("" for _ in SPECIAL_TOKENS)]


def _clean(text: str) -> str:
    return re.sub(r"\s+", " ", ftfy.fix_text(text)).strip()


@lru_cache(maxsize=1)
def _tokenizer() -> Any:
    # A class name that spells a special token is text like any other: it must not end the sequence early.
    return CLIPTokenizer({token: i for i, token in enumerate(_tokens())}, _merges(), split_special_tokens=True)


def _merges() -> list[tuple[str, ...]]:
    packed = files("openseed_core").joinpath("vocab/clip_bpe_merges.txt.gz").read_bytes()
    return [tuple(line.split()) for line in gzip.decompress(packed).decode().splitlines()]


def _tokens() -> list[str]:
    symbols = _byte_symbols()
    merged = ["".join(pair) for pair in _merges()]
    return [*symbols, *(symbol + "</w>" for symbol in symbols), *merged, *SPECIAL_TOKENS]


def _byte_symbols() -> list[str]:
    """One printable character for each byte of ``_byte_order``; bytes that don't print take those from U+0100 on."""
    order = _byte_order()
    return [chr(byte) if i < PRINTABLE else chr(256 + i - PRINTABLE) for i, byte in enumerate(order)]


def _byte_order() -> list[int]:
    """Printable bytes first: the order that numbers CLIP's first 256 ids."""
    printable = [*range(ord("!"), ord("~") + 1), *range(ord("¡"), ord("¬") + 1), *range(ord("®"), ord("ÿ") + 1)]
    return printable + [byte for byte in range(256) if byte not in printable]
