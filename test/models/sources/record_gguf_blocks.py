"""Records what the `gguf` package (PyPI, 0.17 or later) makes of random blocks, and of random rows when it quantizes: test/fixtures/gguf-blocks.json.

    pip install gguf && python test/models/sources/record_gguf_blocks.py
"""
import json
from pathlib import Path

import numpy as np
from gguf import GGMLQuantizationType as T
from gguf import quants

rng = np.random.default_rng(5)
# type: (bytes of a block, where its half-precision scales are)
TYPES = {"Q8_0": (34, [0]), "Q4_0": (18, [0]), "Q4_1": (20, [0, 2]), "Q4_K": (144, [0, 2]), "Q5_K": (176, [0, 2]), "Q6_K": (210, [208])}
dequantized = {}
for name, (size, scales) in TYPES.items():
    blocks = rng.integers(0, 256, (3, size), dtype=np.uint8)
    for at in scales:
        blocks[:, at : at + 2] = rng.normal(0, 0.05, (3, 1)).astype(np.float16).view(np.uint8)
    values = quants.dequantize(blocks, T[name])
    dequantized[name] = {"hex": blocks.tobytes().hex(), "values": values.flatten().astype(float).tolist()}

rows = rng.normal(0, 0.3, (4, 64)).astype(np.float32)
rows[1, :32] = 0
rows[2, 5] = -3
quantized = {name: quants.quantize(rows, T[name]).tobytes().hex() for name in ("Q8_0", "Q4_0")}
out = Path(__file__).parents[2] / "fixtures" / "gguf-blocks.json"
out.write_text(json.dumps({"dequantized": dequantized, "rows": rows.flatten().astype(float).tolist(), "quantized": quantized}) + "\n")
