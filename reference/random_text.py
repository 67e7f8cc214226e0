"""Makes tests/goldens/tokenizer.json: random text, and its ids by Hugging Face's tokenizers.

    pip install tokenizers==0.23.3
    python reference/random_text.py --tokenizer models/rrsis-small/tokenizer.json --out tests/goldens/tokenizer.json

Text that `src/expression.rs` changes before the tokenizer sees it (invisible characters) is left out.
"""

import argparse
import json
import random
from pathlib import Path

from tokenizers import Tokenizer

ROWS = 500
# Characters that tokenizers treat each in their own way.
ALPHABETS = [
    "abcdefghijklmnopqrstuvwxyz",
    "ABCXYZ0123456789",
    ".,;:!?'\"-_#&()[]{}@*/\\|~`^<>=+$%",
    "\u2019\u201c\u2026\u2013\u00a7\u00bf\u3001\uff01",
    "\u00e9\u00fc\u00df\u00c5\u0130\u00f1\u03a3\u03c2\ufb01\u1e9e",
    "e\u0301\u0308\u0327\u20d7a\u030a",
    "\u0434\u043e\u0440\u043e\u0433\u0430\u0419\u0401",
    "\u9053\u8def\u3400\uf900\U00020000\U0002f800",
    "\u3042\u30ac\ud55c\uae00\u0e17\u0e35\u0627\u064b\u0928\u093f",
    "\U0001f6e3\U0001f3e0\u20ac\u00b2\u00bd\u2122\ue000",
]
# Special tokens, and what only looks like one.
MARKS = ["[CLS]", "[SEP]", "[MASK]", "[UNK]", "[PAD", "[sep]"]


def sentence(draw: random.Random, words: list[str]) -> str:
    text = ""
    for _ in range(draw.randint(1, 10)):
        kind = draw.randrange(6)
        if kind == 0:
            text += draw.choice(words)
        elif kind == 1:
            text += draw.choice(MARKS)
        elif kind == 2 and draw.random() < 0.2:
            # About as long as a word may be.
            text += "ab" * draw.randint(48, 52)
        else:
            text += "".join(draw.choices(draw.choice(ALPHABETS), k=draw.randint(1, 7)))
        if draw.random() < 0.7:
            text += " "
    return text.strip()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--tokenizer", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    arguments = parser.parse_args()
    tokenizer = Tokenizer.from_file(str(arguments.tokenizer))
    words = sorted(tokenizer.get_vocab(with_added_tokens=True))
    draw = random.Random(7)
    rows = []
    while len(rows) < ROWS:
        text = sentence(draw, words)
        ids = tokenizer.encode(text).ids
        # Without a word the command line refuses it.
        if len(ids) > 2:
            rows.append({"text": text, "ids": ids})
    lines = ",\n".join(json.dumps(row, separators=(",", ":")) for row in rows)
    arguments.out.write_text(f"[\n{lines}\n]\n")


if __name__ == "__main__":
    main()
