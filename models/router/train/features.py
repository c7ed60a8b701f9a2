"""What the difficulty model sees of a prompt. worker/difficulty/features.ts is the same code in TypeScript, and test/fixtures/difficulty.json holds both
to it. Everything works on UTF-8 bytes and folds only ASCII case, so that no Unicode table can make the two differ."""

import math

import numpy as np

MAX_BYTES = 4096
"""Of a longer prompt only the last bytes count: the question stands at the end."""

DENSE_NAMES = [
    "log_bytes", "log_words", "letters_per_word", "digit_share", "log_numbers", "symbol_share", "upper_share", "log_questions", "log_commas",
    "log_periods", "log_quotes", "distinct_word_share", "log_newlines", "non_ascii_share", "log_words_per_sentence", "log_negations",
    "log_calculation_words", "log_logic_words",
]  # fmt: skip

NEGATIONS = {"not", "except", "never", "none", "false", "incorrect", "least", "without"}
CALCULATION_WORDS = {"many", "much", "calculate", "find", "probability", "percent", "total", "compute", "solve", "value", "each", "per"}
LOGIC_WORDS = {"if", "then", "because", "therefore", "suppose", "given", "must", "unless", "all", "some"}
SYMBOLS = set(b"+-*/=^<>()[]{}$%\\|")

FNV_OFFSET = 0x811C9DC5
FNV_PRIME = 0x01000193
MASK = 0xFFFFFFFF
WORD_SEED, CHAR_SEED = ord("w"), ord("c")


def fnv1a(data: bytes, state: int = FNV_OFFSET) -> int:
    for byte in data:
        state = ((state ^ byte) * FNV_PRIME) & MASK
    return state


def normalize(text: str) -> tuple[bytes, bytes]:
    """The last MAX_BYTES bytes of the text, and the same with ASCII lowercased and every digit as 0."""
    raw = text.encode("utf-8", "replace")[-MAX_BYTES:]
    return raw, raw.lower().translate(bytes(48 if 48 <= b <= 57 else b for b in range(256)))


def tokenize(data: bytes) -> list[bytes]:
    """Words (runs of a-z, 0 and bytes from 0x80) and single punctuation bytes; space and control characters separate."""
    tokens, start = [], -1
    for i, byte in enumerate(data):
        if 97 <= byte <= 122 or byte == 48 or byte >= 128:
            if start < 0:
                start = i
            continue
        if start >= 0:
            tokens.append(data[start:i])
            start = -1
        if 32 < byte < 127:
            tokens.append(data[i : i + 1])
    if start >= 0:
        tokens.append(data[start:])
    return tokens


def is_word(token: bytes) -> bool:
    return 97 <= token[0] <= 122 or token[0] >= 128


def hashed_ids(tokens: list[bytes]) -> np.ndarray:
    """Distinct 31-bit FNV-1a hashes, ascending: tokens and pairs of neighbours ("w"), and bytes 3 to 5 of each word between two spaces ("c")."""
    word_start = fnv1a(bytes([WORD_SEED]))
    ids = set()
    for token, following in zip(tokens, [*tokens[1:], None]):
        state = fnv1a(token, word_start)
        ids.add(state)
        if following is not None:
            ids.add(fnv1a(b" " + following, state))
    char_start = fnv1a(bytes([CHAR_SEED]))
    for token in {t for t in tokens if is_word(t) or t[0] == 48}:
        padded = b" " + token + b" "
        for at in range(len(padded) - 2):
            state = fnv1a(padded[at : at + 2], char_start)
            for end in range(at + 2, min(at + 5, len(padded))):
                state = ((state ^ padded[end]) * FNV_PRIME) & MASK
                ids.add(state)
    return np.array(sorted({i & 0x7FFFFFFF for i in ids}), dtype=np.int32)


def dense_features(raw: bytes, tokens: list[bytes]) -> np.ndarray:
    """Float64, in the order of DENSE_NAMES; log_x is ln(1 + x), shares are of bytes or words."""
    words = [t for t in tokens if is_word(t)]
    size, count = max(1, len(raw)), max(1, len(words))
    listed = [t.decode("utf-8", "replace") for t in words]
    of = lambda names: sum(w in names for w in listed)
    bytes_in = lambda test: sum(map(test, raw))
    periods = raw.count(b".")
    log = math.log1p
    return np.array([
        log(len(raw)), log(len(words)), sum(map(len, words)) / count,
        bytes_in(lambda b: 48 <= b <= 57) / size, log(sum(t[0] == 48 for t in tokens)),
        bytes_in(lambda b: b in SYMBOLS) / size, bytes_in(lambda b: 65 <= b <= 90) / size,
        log(raw.count(b"?")), log(raw.count(b",")), log(periods), log(raw.count(b'"')), len(set(words)) / count, log(raw.count(b"\n")),
        bytes_in(lambda b: b >= 128) / size, log(len(words) / (1 + periods + raw.count(b"?") + raw.count(b"!"))),
        log(of(NEGATIONS)), log(of(CALCULATION_WORDS)), log(of(LOGIC_WORDS)),
    ])  # fmt: skip


def features(text: str) -> tuple[np.ndarray, np.ndarray]:
    """(ids int32 [n], dense float32 [len(DENSE_NAMES)]) of a prompt."""
    raw, folded = normalize(text)
    tokens = tokenize(folded)
    return hashed_ids(tokens), dense_features(raw, tokens).astype(np.float32)
