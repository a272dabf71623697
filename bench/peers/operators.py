"""PyTorch's normalizations, as eager execution runs them, without the bookkeeping of autograd.

Where an operator can write into memory that is there already, it does. A fused sum or activation is
what PyTorch users write: further operators, in place.
"""

import numpy
import torch

EPS = 1e-5
MOMENTUM = 0.1
aten = torch.ops.aten


class Problem:
    """The tensors of a shape, in both layouts."""

    def __init__(self, request):
        def load(name):
            return torch.from_numpy(numpy.load(f"{request['folder']}/{name}.npy"))

        self.n, self.c = request["n"], request["c"]
        self.s = request["h"] * request["w"]
        self.groups = request["groups"]
        self.first = {name: load(name) for name in ("x", "dy", "add")}
        self.last = {
            name: tensor.contiguous(memory_format=torch.channels_last)
            for name, tensor in self.first.items()
        }
        self.gamma, self.beta = load("gamma"), load("beta")
        self.mean, self.var = load("mean"), load("var")

    def tensors(self, layout):
        return self.last if layout == "channels_last" else self.first


class Call:
    """An operator on a problem; calling it does the work, read() picks values of the latest result."""

    def __init__(self, problem, request, layout):
        self.problem = problem
        tensors = problem.tensors(layout)
        self.x, self.dy = tensors["x"], tensors["dy"]
        self.addend = tensors["add"] if request["add"] else None
        self.relu = request["relu"]
        self.operation = request["operation"]
        self.gamma, self.beta = problem.gamma, problem.beta
        self.output = self.dgamma = self.dbeta = self.sum_gradient = None
        if self.operation == "backward":
            self.prepare_backward()

    def __call__(self):
        with torch.no_grad():
            if self.operation == "backward":
                self.backward()
            else:
                self.forward()

    def prepare_backward(self):
        with torch.no_grad():
            self.forward()
        self.y = self.output

    def finish(self, y):
        if self.addend is not None:
            y.add_(self.addend)
        if self.relu:
            torch.relu_(y)
        self.output = y

    def read(self, places, parameters):
        def values(tensor, numbers):
            flat = tensor.detach().contiguous().reshape(-1)
            return flat[torch.from_numpy(numbers)].double().tolist()

        answer = {"output": values(self.output, places)}
        if self.operation == "backward":
            answer["dgamma"] = values(self.dgamma, parameters)
            answer["dbeta"] = values(self.dbeta, parameters)
            if self.sum_gradient is not None:
                answer["sum_gradient"] = values(self.sum_gradient, places)
        return answer


class BatchNorm(Call):
    def __init__(self, problem, request, layout):
        x = problem.tensors(layout)["x"]
        self.y = torch.empty_like(x)
        self.saved_mean = torch.empty(problem.c)
        self.saved_inv_std = torch.empty(problem.c)
        self.running_mean, self.running_var = problem.mean.clone(), problem.var.clone()
        self.g = torch.empty_like(x) if request["relu"] else None
        super().__init__(problem, request, layout)

    def forward(self):
        training = self.operation != "inference"
        saved = (self.saved_mean, self.saved_inv_std)
        if not training:
            saved = (torch.empty(0), torch.empty(0))
        torch.native_batch_norm(
            self.x, self.gamma, self.beta, self.running_mean, self.running_var, training, MOMENTUM,
            EPS, out=(self.y, *saved),
        )
        self.finish(self.y)

    def backward(self):
        g = self.dy
        if self.relu:
            g = aten.threshold_backward.grad_input(self.dy, self.y, 0, grad_input=self.g)
        self.output, self.dgamma, self.dbeta = aten.native_batch_norm_backward(
            g, self.x, self.gamma, self.running_mean, self.running_var, self.saved_mean,
            self.saved_inv_std, True, EPS, [True, True, True],
        )
        if self.addend is not None:
            self.sum_gradient = g

    def read(self, places, parameters):
        answer = super().read(places, parameters)
        if self.operation == "forward":
            picked = torch.from_numpy(parameters)
            answer["mean"] = self.saved_mean[picked].double().tolist()
            answer["var"] = (self.saved_inv_std[picked].double() ** -2 - EPS).tolist()
        return answer


class LayerNorm(Call):
    def forward(self):
        p = self.problem
        rows = self.x.reshape(p.n, p.c)
        y, self.mean, self.inv_std = torch.native_layer_norm(
            rows, [p.c], self.gamma, self.beta, EPS
        )
        self.finish(y)

    def backward(self):
        p = self.problem
        self.output, self.dgamma, self.dbeta = aten.native_layer_norm_backward(
            self.dy.reshape(p.n, p.c), self.x.reshape(p.n, p.c), [p.c], self.mean, self.inv_std,
            self.gamma, self.beta, [True, True, True],
        )


class GroupNorm(Call):
    def forward(self):
        p = self.problem
        y, self.mean, self.inv_std = torch.native_group_norm(
            self.x, self.gamma, self.beta, p.n, p.c, p.s, p.groups, EPS
        )
        self.finish(y)

    def backward(self):
        p = self.problem
        self.output, self.dgamma, self.dbeta = aten.native_group_norm_backward(
            self.dy, self.x, self.mean, self.inv_std, self.gamma, p.n, p.c, p.s, p.groups,
            [True, True, True],
        )


class InstanceNorm(Call):
    """Backward goes through autograd, for there is no single operator of it."""

    def forward(self):
        self.finish(
            torch.nn.functional.instance_norm(self.x, weight=self.gamma, bias=self.beta, eps=EPS)
        )

    def prepare_backward(self):
        self.inputs = [t.detach().requires_grad_() for t in (self.x, self.gamma, self.beta)]
        x, gamma, beta = self.inputs
        self.graph = torch.nn.functional.instance_norm(x, weight=gamma, bias=beta, eps=EPS)

    def backward(self):
        self.output, self.dgamma, self.dbeta = torch.autograd.grad(
            self.graph, self.inputs, self.dy, retain_graph=True
        )


FAMILIES = {
    "batch norm": BatchNorm,
    "layer norm": LayerNorm,
    "group norm": GroupNorm,
    "instance norm": InstanceNorm,
}


def make(problem, request, layout):
    return FAMILIES[request["family"]](problem, request, layout)
