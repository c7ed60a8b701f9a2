"""Records the most likely next token at every position of test/fixtures/english.txt, as transformers and as llama.cpp see it.

Both load the same GGUF of SmolLM2-135M-Instruct (npm run fetch:smollm2). transformers dequantizes its weights and computes in float32;
llama.cpp computes with the quantized weights. Writes test/fixtures/smollm2-top1.json.
"""

import json
import pathlib
import re

import torch
import transformers
import xllamacpp
from transformers import AutoModelForCausalLM, AutoTokenizer

ROOT = pathlib.Path(__file__).parent.parent.parent
FOLDER = ROOT / ".cache" / "smollm2"
FILE = "SmolLM2-135M-Instruct.Q4_1.gguf"
FIXTURES = ROOT / "test" / "fixtures"


def transformers_top1(text):
    """Token ids of the text, most likely next ids, and the margins between the best and the second-best logit."""
    tokenizer = AutoTokenizer.from_pretrained(FOLDER, gguf_file=FILE)
    model = AutoModelForCausalLM.from_pretrained(FOLDER, gguf_file=FILE, dtype=torch.float32).eval()
    ids = tokenizer(text, add_special_tokens=False)["input_ids"]
    with torch.no_grad():
        best = model(input_ids=torch.tensor([ids])).logits[0].topk(2)
    margins = (best.values[:, 0] - best.values[:, 1]).tolist()
    return ids, best.indices[:, 0].tolist(), margins


def llama_cpp_top1(ids):
    """Most likely next id after every prefix; the server's prompt cache makes each request one token long."""
    params = xllamacpp.CommonParams()
    params.model.path = str(FOLDER / FILE)
    params.n_ctx = 2048
    params.n_parallel = 1
    params.n_gpu_layers = 0
    server = xllamacpp.Server(params)
    top1 = []
    for end in range(1, len(ids) + 1):
        answer = server.handle_completions({"prompt": ids[:end], "max_tokens": 1, "temperature": 0, "logprobs": 1})
        top1.append(answer["choices"][0]["logprobs"]["content"][0]["id"])
    return top1


text = (FIXTURES / "english.txt").read_text()
ids, top1, margins = transformers_top1(text)
llama_cpp = llama_cpp_top1(ids)
agreement = sum(a == b for a, b in zip(top1, llama_cpp)) / len(ids)
next_right = sum(a == b for a, b in zip(top1, ids[1:])) / (len(ids) - 1)
print(f"{len(ids)} tokens; llama.cpp agrees at {agreement:.2%}; the text's own next token is the most likely one at {next_right:.2%}")
recorded = {
    "model": FILE,
    "transformers": transformers.__version__,
    "llamaCpp": f"xllamacpp {xllamacpp.__version__}",
    "ids": ids,
    "top1": top1,
    "margins": [round(margin, 3) for margin in margins],
    "llamaCppTop1": llama_cpp,
}
content = json.dumps(recorded, separators=(",", ":"))
(FIXTURES / "smollm2-top1.json").write_text(re.sub(r',"(?=[a-zA-Z])', ',\n"', content) + "\n")
