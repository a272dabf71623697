"""Inference of the compared networks: PyTorch with batch norms folded, and ONNX Runtime."""

import numpy
import onnx
import onnxruntime
import torch
from onnx import TensorProto, helper, numpy_helper
from torch import nn
from torch.fx.experimental import optimization

import networks


def network_of(request):
    net = networks.NETWORKS[request["net"]]()
    with numpy.load(f"{request['folder']}/weights.npz") as weights:
        state = {name: torch.from_numpy(weights[name]) for name in weights.files}
    net.load_state_dict({name: tensor.reshape(net.state_dict()[name].shape)
                         for name, tensor in state.items()})
    return net.eval()


def batch_of(request):
    return numpy.load(f"{request['folder']}/batch.npy")


class TorchInference:
    """Calling it gives the logits. PyTorch's own pass folds the batch norms first."""

    def __init__(self, request, layout):
        net = optimization.fuse(network_of(request))
        self.x = torch.from_numpy(batch_of(request))
        if layout == "channels_last":
            net = net.to(memory_format=torch.channels_last)
            self.x = self.x.contiguous(memory_format=torch.channels_last)
        self.net = net

    def __call__(self):
        with torch.inference_mode():
            return self.net(self.x)

    def outputs(self):
        return self().double().reshape(-1).tolist()


class OnnxInference:
    """The network as an ONNX model with its batch norms; ONNX Runtime optimizes it when it loads it,
    with all it has, folding included."""

    def __init__(self, request):
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = request["threads"]
        options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_ALL
        self.session = onnxruntime.InferenceSession(
            onnx_model(network_of(request)).SerializeToString(), options,
            providers=["CPUExecutionProvider"],
        )
        self.x = {"x": batch_of(request)}

    def __call__(self):
        return self.session.run(None, self.x)[0]

    def outputs(self):
        return self().astype(numpy.float64).reshape(-1).tolist()


def onnx_model(net):
    nodes, constants = [], []

    def constant(tensor):
        name = f"c{len(constants)}"
        constants.append(numpy_helper.from_array(tensor.detach().numpy(), name))
        return name

    def add(kind, *inputs, **attributes):
        name = f"t{len(nodes)}"
        nodes.append(helper.make_node(kind, list(inputs), [name], **attributes))
        return name

    def pair(value):
        return list(value) if isinstance(value, tuple) else [value, value]

    def emit(module, x):
        if isinstance(module, nn.Sequential):
            for child in module:
                x = emit(child, x)
            return x
        if isinstance(module, networks.Residual):
            passed = x if module.shortcut is None else emit(module.shortcut, x)
            return add("Relu", add("Add", emit(module.body, x), passed))
        if isinstance(module, nn.Conv2d):
            return add("Conv", x, constant(module.weight), strides=pair(module.stride),
                       pads=2 * pair(module.padding), kernel_shape=pair(module.kernel_size))
        if isinstance(module, (nn.BatchNorm1d, nn.BatchNorm2d)):
            numbers = (module.weight, module.bias, module.running_mean, module.running_var)
            return add("BatchNormalization", x, *map(constant, numbers), epsilon=module.eps)
        if isinstance(module, nn.ReLU):
            return add("Relu", x)
        if isinstance(module, nn.MaxPool2d):
            stride = module.kernel_size if module.stride is None else module.stride
            return add("MaxPool", x, kernel_shape=pair(module.kernel_size), strides=pair(stride),
                       pads=2 * pair(module.padding))
        if isinstance(module, networks.GlobalAvgPool):
            return add("Flatten", add("GlobalAveragePool", x))
        if isinstance(module, nn.Linear):
            inputs = [constant(module.weight)]
            if module.bias is not None:
                inputs.append(constant(module.bias))
            return add("Gemm", x, *inputs, transB=1)
        raise TypeError(f"no ONNX operator for {type(module).__name__}")

    y = emit(net, "x")
    graph = helper.make_graph(
        nodes, "network",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, None)],
        [helper.make_tensor_value_info(y, TensorProto.FLOAT, None)], constants,
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
