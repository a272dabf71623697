"""PyTorch as a peer of evenkeel_bench: kept alive and asked by lines of JSON (bench/worker.h).

With --compile, training steps are also run through torch.compile, which takes minutes.
"""

import gc
import json
import os
import sys
import time

# The C library gives freed memory back to the system and takes it again page by page; a training step
# or an operator on 100 MB spends most of its time on that. PyTorch is measured without it.
KEPT_MEMORY = {
    "MALLOC_MMAP_MAX_": "0",
    "MALLOC_TRIM_THRESHOLD_": str(1 << 40),
    "MALLOC_TOP_PAD_": str(64 << 20),
}
if any(os.environ.get(name) != value for name, value in KEPT_MEMORY.items()):
    os.environ.update(KEPT_MEMORY)
    os.execv(sys.executable, [sys.executable] + sys.argv)

import numpy
import torch

import inference
import networks
import operators

LAYOUTS = ("channels_first", "channels_last")


class Worker:
    def __init__(self, compiles):
        self.compiles = compiles
        self.problem = None
        self.candidates = []

    def hello(self, request):
        return {"peers": ["PyTorch " + torch.__version__]}

    def data(self, request):
        self.candidates = []
        self.problem = None
        gc.collect()
        self.problem = operators.Problem(request)
        return {}

    def work(self, request):
        self.candidates = []
        gc.collect()
        torch.set_num_threads(request["threads"])
        layouts = LAYOUTS[:1] if request["family"] == "layer norm" else LAYOUTS
        for layout in layouts:
            call = operators.make(self.problem, request, layout)
            how = "rows" if request["family"] == "layer norm" else layout.replace("_", " ")
            self.add(call, how, layout, request["threads"])
        return {"candidates": [c["row"] for c in self.candidates]}

    def step(self, request):
        self.candidates = []
        gc.collect()
        torch.set_num_threads(request["threads"])
        layouts = LAYOUTS[:1] if request["net"] == "mlp" else LAYOUTS
        for layout in layouts:
            how = "rows" if request["net"] == "mlp" else layout.replace("_", " ")
            for compiled in (False, True) if self.compiles else (False,):
                call = networks.TrainingStep(request, layout, compiled)
                self.add(call, how + (", compiled" if compiled else ""), layout, request["threads"])
        return {"candidates": [c["row"] for c in self.candidates]}

    def inference(self, request):
        self.candidates = []
        gc.collect()
        torch.set_num_threads(request["threads"])
        for layout in LAYOUTS[:1] if request["net"] == "mlp" else LAYOUTS:
            call = inference.TorchInference(request, layout)
            how = "folded" if request["net"] == "mlp" else "folded, " + layout.replace("_", " ")
            self.add(call, how, layout, request["threads"])
        call = inference.OnnxInference(request)
        version = inference.onnxruntime.__version__
        self.add(call, "all optimizations", LAYOUTS[0], request["threads"], "ONNX Runtime", version)
        return {"candidates": [c["row"] for c in self.candidates]}

    def outputs(self, request):
        return {"outputs": self.chosen(request).outputs()}

    def add(self, call, how, layout, threads, who="PyTorch", version=torch.__version__):
        row = {
            "key": len(self.candidates),
            "who": who,
            "version": version.split("+")[0],
            "how": how,
            "layout": layout,
            "note": "",
        }
        self.candidates.append({"call": call, "row": row, "threads": threads})

    def chosen(self, request):
        candidate = self.candidates[request["key"]]
        torch.set_num_threads(candidate["threads"])
        return candidate["call"]

    def read(self, request):
        call = self.chosen(request)
        call()
        return call.read(
            numpy.array(request["places"], dtype=numpy.int64),
            numpy.array(request["parameters"], dtype=numpy.int64),
        )

    def losses(self, request):
        call = self.chosen(request)
        return {"losses": [float(call().detach()) for _ in range(request["steps"])]}

    def memory(self, request):
        return self.chosen(request).memory()

    def time(self, request):
        call, calls = self.chosen(request), request["calls"]
        seconds = []
        gc.disable()
        for _ in range(request["repeats"]):
            begin = time.perf_counter()
            for _ in range(calls):
                call()
            seconds.append((time.perf_counter() - begin) / calls)
        gc.enable()
        return {"seconds": seconds}


def main():
    # Libraries that print must not disturb the answers.
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    worker = Worker("--compile" in sys.argv[1:])
    for line in sys.stdin:
        request = json.loads(line)
        try:
            answer = getattr(worker, request["do"])(request)
        except Exception as error:  # the benchmark decides what to do without this peer
            answer = {"error": f"{type(error).__name__}: {error}".replace("\n", " ")}
        answers.write(json.dumps(answer) + "\n")
        answers.flush()


if __name__ == "__main__":
    main()
