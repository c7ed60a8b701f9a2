"""The trained model as ONNX, and the fixture that holds the TypeScript runtime to it."""

import json

import numpy as np
import onnx
import onnxruntime
from onnx import TensorProto, helper, numpy_helper

from features import DENSE_NAMES, features

FIXTURE_TEXTS = [
    "",
    " \n\t ",
    "Hi",
    "What is the capital of France?",
    "WHAT IS THE CAPITAL OF FRANCE?",
    "A train leaves at 9:40 and travels 312 km at 78 km/h. How many minutes is it late if it was due at 13:25?",
    "Which of the following is NOT true of \"noble\" gases?\nA. They are inert\nB. None of them is coloured\nC. All of them react\nD. $x^2 + 1 = 0$",
    "Übersetze „Größe“ ins Englische — straße, ÉCOLE, naïve",
    "日本の首都はどこですか。東京タワーの高さは?",
    "Привет, как дела? 👩‍👩‍👧‍👦 🎉 e\u0301 \u0000 \u007f \u00a0 end",
    "def f(x):\n    return {k: v for k, v in x.items() if v % 2 == 0}",
    "aaaa aaaa aaaa aaaa bbbb!",
    "If all squares are rectangles and some rectangles are red, must some squares be red? " * 60,
    "é" * 3000,
]


def save_model(path: str, model) -> None:
    """Inputs ids int32 [n] and dense float [1, d]; output probabilities float [1, 2]. The table is fp16: half the bytes, and no score moves."""
    constants = {
        "table_size": np.array(len(model.table), dtype=np.int32),
        "table": model.table.astype(np.float16),
        "mean": model.mean.astype(np.float32),
        "deviation": model.deviation.astype(np.float32),
        "low": np.array(-4, dtype=np.float32),
        "high": np.array(4, dtype=np.float32),
        "weights": model.weights.astype(np.float32),
        "bias": model.bias.astype(np.float32),
        "one": np.array(1, dtype=np.float32),
        "rows": np.array([0], dtype=np.int64),
    }
    node = helper.make_node
    nodes = [
        node("Mod", ["ids", "table_size"], ["row"]),
        node("Gather", ["table", "row"], ["half"]),
        node("Cast", ["half"], ["entries"], to=TensorProto.FLOAT),
        node("ReduceSum", ["entries", "rows"], ["sum"], keepdims=1),
        # The bag counts by 1/sqrt(n); max(n, 1) keeps an empty prompt a number.
        node("Shape", ["ids"], ["shape"]),
        node("Cast", ["shape"], ["count"], to=TensorProto.FLOAT),
        node("Max", ["count", "one"], ["size"]),
        node("Sqrt", ["size"], ["norm"]),
        node("Div", ["sum", "norm"], ["bag_logits"]),
        node("Sub", ["dense", "mean"], ["centred"]),
        node("Div", ["centred", "deviation"], ["scaled"]),
        node("Clip", ["scaled", "low", "high"], ["clipped"]),
        node("MatMul", ["clipped", "weights"], ["dense_logits"]),
        node("Add", ["bag_logits", "dense_logits"], ["logits"]),
        node("Add", ["logits", "bias"], ["shifted"]),
        node("Sigmoid", ["shifted"], ["probabilities"]),
    ]
    graph = helper.make_graph(
        nodes,
        "difficulty",
        [
            helper.make_tensor_value_info("ids", TensorProto.INT32, ["n"]),
            helper.make_tensor_value_info("dense", TensorProto.FLOAT, [1, len(DENSE_NAMES)]),
        ],
        [helper.make_tensor_value_info("probabilities", TensorProto.FLOAT, [1, 2])],
        [numpy_helper.from_array(value, name) for name, value in constants.items()],
    )
    proto = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9, producer_name="nearside")
    onnx.checker.check_model(proto, full_check=True)
    onnx.save(proto, path)


def write_fixture(path: str, model_path: str) -> None:
    """Texts with their ids, dense features and the model's probabilities by onnxruntime for Python."""
    session = onnxruntime.InferenceSession(model_path, providers=["CPUExecutionProvider"])
    cases = []
    for text in FIXTURE_TEXTS:
        ids, dense = features(text)
        (probabilities,) = session.run(None, {"ids": ids, "dense": dense[None]})
        cases.append({
            "text": text,
            "ids": ids.tolist(),
            "dense": [round(float(value), 6) for value in dense],
            "probabilities": [round(float(value), 6) for value in probabilities[0]],
        })  # fmt: skip
    with open(path, "w", encoding="utf-8") as file:
        file.write("[\n" + ",\n".join(json.dumps(case, ensure_ascii=False) for case in cases) + "\n]\n")
