"""The other side of state_dict_torch_test.cpp: networks of PyTorch with our weights, and back.

state_dict.py ACTION FOLDER NET, where ACTION is
  load  reads FOLDER/NET.safetensors strictly and writes outputs for FOLDER/NET.x.npy in eval and in train mode
  save  makes weights and statistics of its own, saves them in several ways, and writes outputs
"""

import json
import struct
import sys

import numpy
import torch
from torch import nn


def read_safetensors(path):
    """What safetensors.torch.load_file does, for where it is not installed."""
    kinds = {"F32": torch.float32, "F64": torch.float64, "I64": torch.int64}
    with open(path, "rb") as file:
        data = file.read()
    (size,) = struct.unpack("<Q", data[:8])
    header = json.loads(data[8 : 8 + size])
    header.pop("__metadata__", None)
    tensors = {}
    for name, entry in header.items():
        begin, end = (8 + size + offset for offset in entry["data_offsets"])
        kind = kinds[entry["dtype"]]
        tensors[name] = torch.frombuffer(bytearray(data[begin:end]), dtype=kind).reshape(entry["shape"])
    return tensors


def mlp():
    return nn.Sequential(
        nn.Linear(12, 16, bias=False), nn.BatchNorm1d(16), nn.ReLU(),
        nn.Linear(16, 8, bias=False), nn.BatchNorm1d(8), nn.ReLU(),
        nn.Linear(8, 4))


def convnet():
    return nn.Sequential(
        nn.Conv2d(2, 6, 3, padding=1, bias=False), nn.BatchNorm2d(6), nn.ReLU(), nn.MaxPool2d(2),
        nn.Conv2d(6, 5, 3, padding=1, bias=False), nn.BatchNorm2d(5), nn.ReLU(),
        nn.Flatten(), nn.Linear(5 * 4 * 4, 4))


class Block(nn.Module):
    """As torchvision names the parts of one."""

    def __init__(self, channels, width, stride):
        super().__init__()
        self.conv1 = nn.Conv2d(channels, width, 3, stride, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        self.relu = nn.ReLU()
        self.conv2 = nn.Conv2d(width, width, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(width)
        self.downsample = None
        if stride != 1:
            self.downsample = nn.Sequential(
                nn.Conv2d(channels, width, 1, stride, bias=False), nn.BatchNorm2d(width))

    def forward(self, x):
        y = self.bn2(self.conv2(self.relu(self.bn1(self.conv1(x)))))
        return self.relu(y + (x if self.downsample is None else self.downsample(x)))


class ResNet20(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv1 = nn.Conv2d(3, 16, 3, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(16)
        self.layer1 = nn.Sequential(*(Block(16, 16, 1) for _ in range(3)))
        self.layer2 = nn.Sequential(Block(16, 32, 2), Block(32, 32, 1), Block(32, 32, 1))
        self.layer3 = nn.Sequential(Block(32, 64, 2), Block(64, 64, 1), Block(64, 64, 1))
        self.fc = nn.Linear(64, 10)

    def forward(self, x):
        x = torch.relu(self.bn1(self.conv1(x)))
        return self.fc(self.layer3(self.layer2(self.layer1(x))).mean((2, 3)))


def outputs(net, folder, name):
    x = torch.from_numpy(numpy.load(f"{folder}/{name}.x.npy"))
    with torch.no_grad():
        net.eval()
        numpy.save(f"{folder}/{name}.eval.npy", net(x).numpy())
        net.train()
        numpy.save(f"{folder}/{name}.train.npy", net(x).numpy())


def main():
    action, folder, name = sys.argv[1:]
    torch.manual_seed(5)
    net = {"mlp": mlp, "convnet": convnet, "resnet20": ResNet20}[name]()
    if action == "load":
        net.load_state_dict(read_safetensors(f"{folder}/{name}.safetensors"), strict=True)
        outputs(net, folder, name)
        return
    for module in net.modules():
        if isinstance(module, (nn.BatchNorm1d, nn.BatchNorm2d)):
            nn.init.uniform_(module.weight, 0.5, 1.5)
            nn.init.normal_(module.bias)
            module.running_mean.normal_()
            module.running_var.uniform_(0.5, 2)
    torch.save(net.state_dict(), f"{folder}/{name}.pt")
    torch.save(nn.DataParallel(net).state_dict(), f"{folder}/{name}.parallel.pt")
    optimizer = torch.optim.Adam(net.parameters())
    net(torch.from_numpy(numpy.load(f"{folder}/{name}.x.npy"))).sum().backward()
    with torch.no_grad():  # a step without effect on the weights, so that the optimizer has a state
        for parameter in net.parameters():
            parameter.grad.zero_()
    optimizer.step()
    net.load_state_dict(torch.load(f"{folder}/{name}.pt"))
    torch.save({"epoch": 3, "state_dict": net.state_dict(), "optimizer": optimizer.state_dict()},
               f"{folder}/{name}.whole.pt")
    channels_last = net.to(memory_format=torch.channels_last) if name == "convnet" else net
    torch.save(channels_last.state_dict(), f"{folder}/{name}.last.pt", pickle_protocol=5)
    torch.save(net, f"{folder}/{name}.model.pt")
    torch.save(net.state_dict(), f"{folder}/{name}.old.pt", _use_new_zipfile_serialization=False)
    outputs(net, folder, name)


main()
