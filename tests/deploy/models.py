"""Other tools' word on ONNX models: networks of torchvision to be read, and checks of what was written.

models.py export FOLDER MODEL   writes MODEL.onnx, a network of torchvision in eval mode with its
                                batch norms, an input MODEL.x.npy and PyTorch's output MODEL.y.npy
models.py check FOLDER MODEL... runs onnx.checker over MODEL.again.onnx
models.py run FOLDER MODEL...   compares what ONNX Runtime makes of it with MODEL.y.npy

Weights are drawn at random; running statistics are those of some noise, so that every layer's output
has a usual size.
"""

import pathlib
import sys

import numpy

TOLERANCE = 1e-4  # of the largest output


def build(name):
    import torch
    import torchvision

    torch.manual_seed(0)
    options = {"weights": None}
    if name in ("googlenet", "inception_v3"):
        options["init_weights"] = False
    model = getattr(torchvision.models, name)(**options)
    norms = [m for m in model.modules() if isinstance(m, torch.nn.modules.batchnorm._BatchNorm)]
    assert norms, name
    momenta = [m.momentum for m in norms]
    for norm in norms:
        norm.momentum = 1.0
        torch.nn.init.uniform_(norm.weight, 0.5, 1.5)
        torch.nn.init.uniform_(norm.bias, -0.2, 0.2)
    size = 299 if name == "inception_v3" else 224
    with torch.no_grad():
        model.train()
        model(torch.randn(4, 3, size, size))
    for norm, momentum in zip(norms, momenta):
        norm.momentum = momentum
    model.eval()
    return model, torch.randn(2, 3, size, size)


def export(folder, name):
    import torch

    model, x = build(name)
    with torch.no_grad():
        y = model(x)
    numpy.save(folder / f"{name}.x.npy", x.numpy())
    numpy.save(folder / f"{name}.y.npy", y.numpy())
    torch.onnx.export(
        model, x, folder / f"{name}.onnx", opset_version=13,
        training=torch.onnx.TrainingMode.PRESERVE, do_constant_folding=False,
        input_names=["image"], output_names=["scores"],
        dynamic_axes={"image": {0: "batch"}, "scores": {0: "batch"}})


def check(folder, name):
    import onnx

    model = onnx.load(str(folder / f"{name}.again.onnx"))
    onnx.checker.check_model(model, full_check=True)
    assert model.opset_import[0].version == 17, model.opset_import


def run(folder, name):
    import onnxruntime

    session = onnxruntime.InferenceSession(str(folder / f"{name}.again.onnx"),
                                           providers=["CPUExecutionProvider"])
    x = numpy.load(folder / f"{name}.x.npy")
    wanted = numpy.load(folder / f"{name}.y.npy")
    got = session.run(None, {session.get_inputs()[0].name: x})[0]
    difference = numpy.abs(got - wanted).max() / numpy.abs(wanted).max()
    print(f"{name}: ONNX Runtime differs by {difference:.2g} of the largest output")
    assert difference <= TOLERANCE, difference


def main():
    actions = {"export": export, "check": check, "run": run}
    if len(sys.argv) < 4 or sys.argv[1] not in actions:
        sys.exit(__doc__)
    for name in sys.argv[3:]:
        try:
            actions[sys.argv[1]](pathlib.Path(sys.argv[2]), name)
        except Exception:
            print(f"{sys.argv[1]} of {name}:", file=sys.stderr)
            raise


if __name__ == "__main__":
    main()
