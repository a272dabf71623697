"""JSON lines as the lab writes them (make_report_page passes them through its structures), made up: every kind of line, verdict, chart and axis, missing
numbers, long texts and names that would do harm if they were read as HTML.

fixture.py lab FILE     writes the lines of a lab
fixture.py runs FOLDER  writes run folders with metrics.jsonl
"""

import json
import math
import pathlib
import random
import sys

HOSTILE = '</script><script>document.title="broken"</script><img src="https://example.org/x" onerror=alert(1)>'
PAPER = "https://arxiv.org/abs/1502.03167"
draw = random.Random(1)


def rounded(values):
    return [None if v is None else float(f"{v:.5g}") for v in values]


def curve(end, rate, steps, start=10.0, wobble=0.6):
    """A mean that approaches `end`, with an interval."""
    mean = [end - (end - start) * math.exp(-rate * s) + draw.gauss(0, wobble / 3) for s in steps]
    half = [wobble * (0.6 + 2 * math.exp(-rate * s)) for s in steps]
    return mean, [m - h for m, h in zip(mean, half)], [m + h for m, h in zip(mean, half)]


def series(name, color, x, y, lo=None, hi=None, dash=False):
    entry = {"name": name, "color": color, "dash": dash, "x": list(x), "y": rounded(y)}
    if lo is not None:
        entry.update(lo=rounded(lo), hi=rounded(hi))
    return entry


def chart(name, ident, title, kind, x, y, lines, headline=False, note=""):
    return {"kind": "chart", "experiment": name, "id": ident, "title": title, "note": note, "type": kind,
            "headline": headline, "x": x, "y": y, "series": lines}


def axis(label, scale="linear", unit="", categories=None):
    entry = {"label": label, "scale": scale}
    if unit:
        entry["unit"] = unit
    if categories:
        entry["categories"] = categories
    return entry


BANDS = "Lines: means over 5 seeds; bands: 95 % intervals of the mean."


def lines_chart(name, headline=True, title="Test accuracy against steps", arms=None, steps=None):
    steps = steps or list(range(10, 430, 10))
    arms = arms or [("batch norm", 97.2, 0.02), ("without", 94.0, 0.009)]
    made = [series(arm, i, steps, *curve(end, rate, steps), dash=i > 3)
            for i, (arm, end, rate) in enumerate(arms)]
    return chart(name, "accuracy", title, "line", axis("training steps"),
                 axis("test accuracy", unit="%"), made, headline, BANDS)


def log_chart(name, headline=True, title="Gradient norm at the start against depth"):
    depth = [4, 8, 16, 32, 64]
    plain = [3e-1 * 0.6 ** d for d in depth]
    normed = [2.0 * 0.99 ** d for d in depth]
    spread = [1.6] * 5
    return chart(name, "gradient", title, "line", axis("layers", "log"), axis("norm of the gradient", "log"),
                 [series("batch norm", 0, depth, normed, [v / s for v, s in zip(normed, spread)],
                         [v * s for v, s in zip(normed, spread)]),
                  series("without", 1, depth, plain, [v / s / 2 for v, s in zip(plain, spread)],
                         [v * s * 2 for v, s in zip(plain, spread)])], headline,
                 "Both axes are logarithmic.")


def bar_chart(name, headline=True, title="Test error by placement", categories=None, arms=("ReLU", "sigmoid"),
              y=None):
    categories = categories or ["before the activation", "after the activation", "at the input", "none"]
    made = []
    for i, arm in enumerate(arms):
        values = [2.5 + 1.3 * j + draw.random() + i for j in range(len(categories))]
        made.append(series(arm, i, range(len(categories)), values, [v - 0.4 for v in values],
                           [v + 0.4 for v in values]))
    return chart(name, "bars", title, "bar", axis("placement", "category", categories=categories),
                 y or axis("test error", unit="%"), made, headline, "Whiskers: 95 % intervals of the mean.")


def scatter_chart(name, headline=True, title="Accuracy against the width of the initial weights"):
    scale = [10 ** (e / 2) for e in range(-6, 7)]
    normed = [96 - 0.3 * abs(math.log10(s)) + draw.gauss(0, 0.2) for s in scale]
    plain = [94 - 9 * abs(math.log10(s)) ** 1.6 + draw.gauss(0, 0.8) for s in scale]
    plain[0] = None
    return chart(name, "scatter", title, "scatter", axis("factor of the initial weights", "log"),
                 axis("test accuracy", unit="%"),
                 [series("batch norm", 0, scale, normed, [v - 0.4 for v in normed], [v + 0.4 for v in normed]),
                  series("without", 1, scale, plain, [None if v is None else v - 2 for v in plain],
                         [None if v is None else v + 2 for v in plain])], headline)


def sizes_chart(name, headline=True):
    sizes = [1, 2, 4, 8, 16, 32, 64, 128, 256]
    kinds = [("batch norm", [None, 31, 14, 6.1, 4.2, 3.6, 3.5, 3.5, 3.7]), ("group norm", [4.6] * 9),
             ("layer norm", [4.9, 4.8, 4.9, 5.0, 4.8, 4.9, 4.8, 4.9, 5.0]), ("instance norm", [8.1] * 9),
             ("renormalized", [9.4, 6.2, 5.1, 4.2, 3.9, 3.6, 3.5, 3.6, 3.7]),
             ("ghost batches of 32", [None] * 5 + [3.6, 3.3, 3.2, 3.3]), ("RMS norm", [5.4] * 9),
             ("no normalization", [7.2] * 9)]
    made = []
    for i, (arm, values) in enumerate(kinds):
        values = [None if v is None else v + draw.gauss(0, 0.1) for v in values]
        made.append(series(arm, i, sizes, values, [None if v is None else v * 0.93 for v in values],
                           [None if v is None else v * 1.07 for v in values], dash=i >= 4))
    return chart(name, "sizes", "Test error against batch size", "line", axis("batch size", "log"),
                 axis("test error", "log", unit="%"), made, headline,
                 "Batch norm has no statistics of one sample, so its line begins at 2.")


def empty_chart(name):
    return chart(name, "empty", "Step time of a machine that was not there", "line", axis("batch size"),
                 axis("time", unit="ms"), [series("GPU", 0, [1, 2, 3], [None, None, None])])


def zeros_chart(name):
    x = list(range(0, 24))
    return chart(name, "zeros", "Dead units over training", "line", axis("epoch"), axis("dead units", "log", unit="%"),
                 [series("without", 1, x, [0 if i < 4 else 0.02 * 1.4 ** i for i in x]),
                  series("batch norm", 0, x, [None if i in (7, 9) else 0.01 * 1.1 ** i for i in x])])


def long_names_chart(name):
    arms = [("layer norm behind every second attention block of the encoder " + HOSTILE, 91, 0.012),
            ("batch norm with statistics per time step, masked, with a floor of 16 valid frames", 88, 0.01),
            ("none", 80, 0.008)]
    return lines_chart(name, False, "A title that is much longer than others and has to be wrapped on a phone without "
                       "pushing anything aside", arms)


def check(name, text, quantity, judge, values, margin):
    """Of five seeds; make_report_page judges it as the lab does."""
    return {"kind": "check", "experiment": name, "text": text, "quantity": quantity, "judge": judge, "values": values,
            "margin": margin}


def cells(name, count=40):
    for i in range(count):
        arm = ["batch norm", "without"][i % 2]
        values = {"accuracy": round(0.94 + draw.random() / 30, 4), "steps to 90 %": [None, 130 + i][i % 5 > 0]}
        yield {"kind": "cell", "experiment": name, "stage": "tune" if i < count // 2 else "final", "arm": arm,
               "seed": i // 8 + 1, "at": {"rate": [0.01, 0.03, 0.1, 0.3][i // 2 % 4]}, "values": values,
               "series": {"accuracy": {"x": [10, 20], "y": [0.5, 0.8]}}, "seconds": round(0.3 + draw.random(), 3)}


def table(name):
    return {"kind": "table", "experiment": name, "title": "Steps to an accuracy, means with 95 % intervals",
            "columns": ["", "best rate", "test accuracy", "to 80 %", "to 90 %", "to 95 %"],
            "rows": [["batch norm", "0.3", "96.40 ± 0.21 %", "100 ± 9", "190 ± 14", "310 ± 30"],
                     ["without", "0.03", "94.05 ± 0.33 %", "110 ± 12", "230 ± 25", "–"]]}


# name, title, claim, verdict, summary, charts
EXPERIMENTS = [
    ("convergence", "Faster convergence", "Batch normalization lets a network reach the same accuracy in fewer training steps.",
     "supported", "90 % accuracy after 190 steps with batch norm and 230 without: 1.21 times fewer (1.12 to 1.31), each at its best "
     "learning rate.", [lines_chart, lambda n: log_chart(n, False, "Loss against steps"), lambda n: bar_chart(n, False)]),
    ("covariate-shift", "Less internal covariate shift", "Normalizing layer inputs reduces the change of their distribution.",
     "mixed", "After its normalization the input drifts 6.1 times less; before it, no less than without.",
     [lambda n: lines_chart(n, True, "Percentiles of one input", [("85th", 80, 0.01), ("50th", 50, 0.01), ("15th", 20, 0.01)]),
      bar_chart]),
    ("learning-rate", "Higher learning rates", "Batch normalization allows learning rates that are much higher without divergence.",
     "supported", "At 30 times the best rate of the network without, it still reaches 95.1 % (94.6 to 95.5); without, 11 % is left.",
     [lambda n: bar_chart(n, True, "Accuracy by learning rate", ["1×", "5×", "30×"], ("with", "without"),
                          axis("test accuracy", unit="%")), lambda n: lines_chart(n, False)]),
    ("initialization", "Less sensitive to initialization", "Training depends less on how weights are initialized.",
     "supported", "Over six decades of initial scale, accuracy varies by 1.1 % with batch norm and by 62 % without.", [scatter_chart]),
    ("depth", "Deeper networks train", "Gradients neither vanish nor explode in deep networks with batch normalization.",
     "supported", "64 layers train to 93 % with batch norm; without it, nothing above 16 layers is better than chance.",
     [log_chart, lambda n: lines_chart(n, False), zeros_chart, lambda n: bar_chart(n, False)]),
    ("regularization", "A mild regularizer", "Batch normalization regularizes, so that less dropout is needed.",
     "undecided", "The gap between training and test shrinks by 0.1 % (−0.2 to 0.4): the seeds do not tell.",
     [lambda n: bar_chart(n, True, "Gap between training and test", ["none", "batch norm", "dropout", "both"], ("gap",),
                          axis("gap", unit="%"))]),
    ("batch-size", "Needs a representative batch", "Below 8 samples, group or layer norm is the better choice; " + "long " * 30,
     "supported", "At 2 samples a batch the error is 31 % with batch norm and 4.6 % with group norm.", [sizes_chart, bar_chart]),
    ("train-or-eval", "Evaluating in training mode is wrong", "A network in training mode gives other answers than in eval mode.",
     "supported", "Sorted batches cost 61 % (58 to 64) of the accuracy in training mode and nothing in eval mode.", [bar_chart]),
    ("landscape", "A smoother landscape", "Batch normalization makes the optimization landscape smoother.",
     "not supported", "The range of the loss along the gradient is 1.02 times as large (0.95 to 1.1) with noisy batch norm.",
     [lambda n: lines_chart(n, True, "Range of the loss"), scatter_chart]),
    ("identity", "γ and β can undo it", "With γ = √(σ² + ε) and β = μ, a batch norm is the identity.", "supported",
     "The input comes back to 2 units of the last digit.", [lambda n: scatter_chart(n, True, "Largest difference")]),
    ("placement", "Before the activation", "Batch norm belongs before the activation, most of all for ReLU.", "not supported",
     "Behind ReLU the error is 0.3 % (0.1 to 0.5) lower than before it.", [bar_chart]),
    ("dropout-order", "Dropout shifts the variance", "Dropout before a batch norm shifts its variance between training and eval.",
     "supported", "The variance in eval mode is 0.83 times (0.81 to 0.85) that of training.", [bar_chart, empty_chart]),
    ("sequences", "Less suited to sequences " + HOSTILE, "In recurrent networks layer norm is the better choice. " + HOSTILE,
     "mixed", "Layer norm is better by 2.1 % (0.4 to 3.8) at unequal lengths; " + HOSTILE, [long_names_chart, lines_chart]),
    ("cost", "Overhead in time and memory", "A training step takes longer and needs more memory; folded, nothing is left.",
     "failed", "bad_alloc: the machine has 2 GiB of memory and the experiment needs 3.", [lambda n: log_chart(n, True, "Step time")]),
    ("hyper-parameters", "ε, momentum and the first γ", "They need tuning.", "skipped", "It needs CIFAR-10; give --data cifar10:DIR.", []),
    ("relatives", "Layer norm for transformers", "Other normalizations are better where batches say little.", None, "", [lines_chart]),
]


def experiment_lines(name, title, claim, verdict, summary, charts):
    yield {"kind": "experiment", "name": name, "title": title, "claim": claim,
           "source": f"Ioffe and Szegedy 2015, section 4.1, {PAPER}", "question": f"Is it so? {claim}",
           "setup": ["The paper's network: three layers of 100 sigmoid units and a linear one, on the built-in digits, in batches "
                     "of 60. Every arm gets its best learning rate from the same grid of six, chosen on the validation part.",
                     "Five seeds each; accuracy on the test part every 10 steps."],
           "supports": "The 95 % interval of the ratio of steps lies above 1 at 90 % accuracy.",
           "contradicts": "It lies below 1, or accuracies differ by more than 1 %.",
           "practice": ["Put batch norm behind every linear layer and leave the bias out.",
                        "Try the learning rate again: the best one is often ten times higher."],
           "command": f"evenkeel lab {name} --quick", "data": "glyphs"}
    if verdict != "skipped":
        yield from cells(name)
        yield from [make(name) for make in charts]
        yield table(name)
        yield check(name, "fewer steps to 90 % accuracy", "steps, without / with", "ratio", [1.15, 1.28, 1.2, 1.17, 1.25], 1.1)
        yield check(name, "more accurate in the end", "accuracy, with − without", "difference", [0.3, -0.2, 0.25, 0.1, 0.12], 0)
        yield check(name, "as fast by the clock", "time, without / with", "ratio", [0.80, 0.84, 0.79, 0.82, 0.81], 1.1)
        yield check(name, "folded, inference takes as long as without", "time, with / without", "alike", [1.01, 1.03, 0.99, 1.0, 1.02],
                    1.05)
        if name == "sequences":
            yield check(name, HOSTILE, HOSTILE, "difference", [None] * 5, 1)
    if verdict is not None:
        yield {"kind": "verdict", "experiment": name, "verdict": verdict, "summary": summary, "seconds": 28.4}


def lab_lines():
    yield {"kind": "lab", "version": "0.1.0", "budget": "quick", "data": ["glyphs"], "seeds": 5,
           "command": "evenkeel lab --quick", "machine": "2 processors, AVX-512"}
    for row in EXPERIMENTS:
        yield from experiment_lines(*row)


def percentiles(centre, width):
    return rounded([centre - width, centre, centre + width])


def run_metrics(norm, seed, probes):
    yield {"kind": "run", "net": "mlp", "data": "glyphs", "norm": norm, "optimizer": "sgd", "lr": 0.1, "batch_size": 64,
           "epochs": 5, "steps": 700, "seed": seed, "parameters": 235146, "train_samples": 9000,
           "validation_samples": 1000, "test_samples": 2000}
    end = 2.0 if norm == "batch" else 5.0
    for step in range(1, 701):
        loss = end / 50 + 2.2 * math.exp(-step / 90) + abs(draw.gauss(0, 0.04))
        if step % 10 == 0:
            yield {"kind": "step", "step": step, "epoch": 1 + step // 141, "loss": loss, "accuracy": 1 - loss / 2.5,
                   "lr": 0.1 * (0.5 + 0.5 * math.cos(math.pi * step / 700))}
        if probes and step % 20 == 0:
            yield {"kind": "probe", "step": step,
                   "gradients": {f"{i}.weight": 2 ** -i * math.exp(-step / 300) for i in (1, 2, 4, 5)},
                   "weights": {f"{i}.weight": 5 + i + step / 300 for i in (1, 2, 4, 5)},
                   "norms": {str(i): {"mean_gap": percentiles(0.3 / i, 0.1), "std_ratio": percentiles(1 + 0.1 / i, 0.05),
                                      "gamma": percentiles(1 - step / 4000, 0.1), "beta": percentiles(-step / 3000, 0.1),
                                      "input": percentiles(0.2, 1 + step / 500), "output": percentiles(0, 1)}
                             for i in (2, 5)}}
        if step % 140 == 0:
            yield {"kind": "epoch", "epoch": step // 140, "step": step, "loss": loss, "accuracy": 1 - loss / 3, "lr": 0.1,
                   "seconds": 0.4, "skipped": 0, "validation_loss": loss * 1.1, "validation_accuracy": 1 - loss / 2.8}
    yield {"kind": "warning", "text": "a step was skipped: " + HOSTILE}
    yield {"kind": "end", "steps": 700, "seconds": 2.1, "samples_per_second": 21000, "skipped": 1, "signal": 0,
           "test_loss": end / 40, "test_accuracy": 1 - end / 100}


def write_runs(folder):
    for name, norm, probes in (("with", "batch", True), ("without", "none", False)):
        place = pathlib.Path(folder) / name
        place.mkdir(parents=True, exist_ok=True)
        (place / "config.toml").write_text('net = "mlp"\n')
        text = "".join(json.dumps(line) + "\n" for line in run_metrics(norm, 1, probes))
        (place / "metrics.jsonl").write_text(text)


def main():
    what, place = sys.argv[1:]
    if what == "runs":
        write_runs(place)
    else:
        text = "".join(json.dumps(line, ensure_ascii=False) + "\n" for line in lab_lines())
        pathlib.Path(place).write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
