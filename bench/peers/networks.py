"""The networks whose training steps are compared, built as evenkeel builds them: the same layers under
the same names, so that one file of weights fits both."""

import resource

import numpy
import torch
from torch import nn
from torch.profiler import ProfilerActivity, profile


class Residual(nn.Module):
    def __init__(self, body, shortcut=None):
        super().__init__()
        self.body = body
        self.shortcut = shortcut
        self.slope = 0

    def forward(self, x):
        passed = x if self.shortcut is None else self.shortcut(x)
        if self.slope:
            return nn.functional.leaky_relu_(self.body(x) + passed, self.slope)
        return torch.relu_(self.body(x) + passed)


class GlobalAvgPool(nn.Module):
    def forward(self, x):
        return x.mean((2, 3))


def conv(channels, out, kernel, stride=1):
    return nn.Conv2d(channels, out, kernel, stride, kernel // 2, bias=False)


def conv_block(channels, out, kernel, stride=1):
    return [conv(channels, out, kernel, stride), nn.BatchNorm2d(out), nn.ReLU(inplace=True)]


def last_conv(channels, out, kernel, stride=1):
    return [conv(channels, out, kernel, stride), nn.BatchNorm2d(out)]


def mlp():
    layers, features = [], 784
    for width in (256, 128):
        layers += [nn.Linear(features, width, bias=False), nn.BatchNorm1d(width)]
        layers.append(nn.ReLU(inplace=True))
        features = width
    return nn.Sequential(*layers, nn.Linear(features, 10))


def convnet():
    return nn.Sequential(
        *conv_block(1, 64, 3), nn.MaxPool2d(2),
        *conv_block(64, 64, 3), nn.MaxPool2d(2),
        *conv_block(64, 128, 3), *conv_block(128, 128, 3),
        GlobalAvgPool(), nn.Linear(128, 10),
    )


def with_shortcut(body, channels, out, stride):
    if stride == 1 and channels == out:
        return Residual(nn.Sequential(*body))
    return Residual(nn.Sequential(*body), nn.Sequential(*last_conv(channels, out, 1, stride)))


def resnet20():
    layers, channels = conv_block(3, 16, 3), 16
    for width in (16, 32, 64):
        for block in range(3):
            stride = 2 if block == 0 and width > 16 else 1
            body = conv_block(channels, width, 3, stride) + last_conv(width, width, 3)
            layers.append(with_shortcut(body, channels, width, stride))
            channels = width
    return nn.Sequential(*layers, GlobalAvgPool(), nn.Linear(channels, 10))


def resnet50():
    layers, channels = conv_block(3, 64, 7, 2) + [nn.MaxPool2d(3, 2, 1)], 64
    for width, count in ((64, 3), (128, 4), (256, 6), (512, 3)):
        for block in range(count):
            stride = 2 if block == 0 and width > 64 else 1
            body = conv_block(channels, width, 1) + conv_block(width, width, 3, stride)
            body += last_conv(width, 4 * width, 1)
            layers.append(with_shortcut(body, channels, 4 * width, stride))
            channels = 4 * width
    return nn.Sequential(*layers, GlobalAvgPool(), nn.Linear(channels, 10))


NETWORKS = {"mlp": mlp, "convnet": convnet, "resnet20": resnet20, "resnet50": resnet50}


def with_activation(net, activation):
    """In place of ReLU: "auto" for itself, "leaky_relu" or "leaky_relu:0.1"."""
    if activation == "auto":
        return net
    slope = float(activation.partition(":")[2] or 0.01)
    for module in list(net.modules()):
        if isinstance(module, Residual):
            module.slope = slope
        for name, child in module.named_children():
            if isinstance(child, nn.ReLU):
                setattr(module, name, nn.LeakyReLU(slope, inplace=True))
    return net


# As in bench/memory.cpp.
WARM_STEPS, WINDOWS, WINDOW_STEPS = 5, 5, 10


class TrainingStep:
    """Calling it takes one step and returns the loss."""

    def __init__(self, request, layout, compiled):
        folder = request["folder"]
        net = with_activation(NETWORKS[request["net"]](), request["activation"])
        with numpy.load(f"{folder}/weights.npz") as weights:
            net.load_state_dict({name: torch.from_numpy(weights[name]) for name in weights.files})
        net.train()
        self.x = torch.from_numpy(numpy.load(f"{folder}/batch.npy"))
        self.labels = torch.from_numpy(numpy.load(f"{folder}/labels.npy")).long()
        if layout == "channels_last":
            net = net.to(memory_format=torch.channels_last)
            self.x = self.x.contiguous(memory_format=torch.channels_last)
        self.optimizer = torch.optim.SGD(
            net.parameters(), lr=request["rate"], momentum=request["momentum"], fused=True
        )
        self.loss = nn.CrossEntropyLoss()
        self.net = torch.compile(net) if compiled else net
        self.dtype = torch.bfloat16 if request.get("dtype") == "bf16" else None

    def __call__(self):
        self.optimizer.zero_grad(set_to_none=True)
        with torch.autocast("cpu", self.dtype, enabled=self.dtype is not None):
            loss = self.loss(self.net(self.x), self.labels)
        loss.backward()
        self.optimizer.step()
        return loss

    def memory(self):
        """Bytes and page faults (MemoryEntry in bench/memory.h).

        PyTorch's allocator for CPUs has no counter of its peak. Its profiler reports every allocation
        and release; their running sum over one step, from which nothing is left over but what stood
        before, has the step's peak. oneDNN's own scratch memory is not among them.
        """
        for _ in range(WARM_STEPS):
            self()
        self.optimizer.zero_grad(set_to_none=True)
        parameters = list(self.net.parameters())
        standing = [self.x, self.labels, *parameters, *self.net.buffers()]
        for state in self.optimizer.state.values():
            standing += [value for value in state.values() if torch.is_tensor(value)]
        standing_bytes = sum(tensor.nbytes for tensor in standing)
        with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as profiled:
            self()
        in_use = peak = 0
        events = profiled.profiler.kineto_results.events()
        for event in sorted(events, key=lambda event: event.start_ns()):
            if event.name() == "[memory]":
                in_use += event.nbytes()
                peak = max(peak, in_use)
        gradients = sum(parameter.nbytes for parameter in parameters)
        faults = []
        for _ in range(WINDOWS):
            before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
            for _ in range(WINDOW_STEPS):
                self()
            faults.append(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
        return {
            "standing": standing_bytes + gradients,
            "peak": standing_bytes + peak,
            "faults": min(faults),
        }
