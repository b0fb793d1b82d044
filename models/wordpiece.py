"""WordPiece: words as pieces of a small vocabulary. Needs the standard library only.

Vocabulary: pairs of pieces that stand beside each other most often are merged
until the vocabulary is full (Sennrich, Haddow, Birch 2016, "Neural Machine
Translation of Rare Words with Subword Units"), with the words' later pieces
marked by `##` as BERT does.
Splitting: the longest piece that fits, from the left (Wu et al. 2016).
"""

import re
from collections import Counter, defaultdict

PAD, UNKNOWN, START = "[PAD]", "[UNK]", "[CLS]"
_WORD = re.compile(r"[a-z]+|0+|[!-/:-@\[-`{-~]")
_DIGIT = re.compile(r"[0-9]")


def words(text: str):
    """The words of a text, one by one: letters, numbers and punctuation of ASCII, without case.

    Every digit is a 0: how long a number is says more about a text than which one it is.
    """
    return (match[0] for match in _WORD.finditer(_DIGIT.sub("0", text.lower())))


def learn(counts: Counter, n_pieces: int) -> list:
    """The vocabulary for words that occur `counts` times; its index is a piece's id."""
    spelled = {word: (word[0], *(f"##{letter}" for letter in word[1:])) for word in counts}
    pieces = [PAD, UNKNOWN, START, *sorted({piece for spelling in spelled.values() for piece in spelling})]
    pairs, where = Counter(), defaultdict(set)
    for word, spelling in spelled.items():
        for pair in zip(spelling, spelling[1:]):
            pairs[pair] += counts[word]
            where[pair].add(word)
    known = set(pieces)
    while len(pieces) < n_pieces and pairs:
        # The name decides between equal counts, so that a run can be repeated.
        best = max(pairs, key=lambda pair: (pairs[pair], pair))
        merged = best[0] + best[1].removeprefix("##")
        if merged not in known:
            known.add(merged)
            pieces.append(merged)
        for word in where.pop(best):
            before = spelled[word]
            after = spelled[word] = _merge(before, best, merged)
            for pair in zip(before, before[1:]):
                pairs[pair] -= counts[word]
                if pairs[pair] == 0:
                    del pairs[pair]
            for pair in zip(after, after[1:]):
                pairs[pair] += counts[word]
                where[pair].add(word)
    return pieces


def _merge(spelling: tuple, pair: tuple, merged: str) -> tuple:
    out, idx = [], 0
    while idx < len(spelling):
        if spelling[idx : idx + 2] == pair:
            out.append(merged)
            idx += 2
        else:
            out.append(spelling[idx])
            idx += 1
    return tuple(out)


def encode(text: str, ids: dict, length: int) -> list:
    """`length` ids: the start, the pieces of the text as far as they fit, padding."""
    out = [ids[START]]
    for word in words(text):
        if len(out) >= length:
            break
        out.extend(_split(word, ids))
    out = out[:length]
    return out + [ids[PAD]] * (length - len(out))


def _split(word: str, ids: dict) -> list:
    out, begin = [], 0
    while begin < len(word):
        for end in range(len(word), begin, -1):
            piece = word[begin:end] if begin == 0 else f"##{word[begin:end]}"
            if piece in ids:
                out.append(ids[piece])
                begin = end
                break
        else:
            return [ids[UNKNOWN]]
    return out
