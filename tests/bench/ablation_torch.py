#!/usr/bin/python3
"""SimSiam's ablations in PyTorch, beside which tests/train/slow.c stands: the same net (fixtures/pytorch.py),
views, rates and measures written again, independently of ssltop. Debian's python3-torch and dataset-fashion-mnist.

    ablation_torch.py standard|no-predictor|no-stop-gradient SEED STEPS [OPTION=VALUE ..]

Options: length=9370 (steps of the cosine, the default ten epochs), lr=1 (for 256 images), wd=5e-4, width=8, batch=64,
blocks=2 (a stage), every=100 (steps between evaluations), threads=1. Prints a line an evaluation: step, means of loss and
z-std over the last 20 steps, live AUC, exact AUC (1,024 training images as they are, evaluation mode)."""
import gzip
import math
import os
import sys

import numpy as np
import torch
import torch.nn as nn

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "fixtures"))
import pytorch  # noqa: E402

FILE = "/usr/share/datasets/fashion-mnist/train-images-idx3-ubyte.gz"
MEAN, STD, SIDE, LAST = 0.2860, 0.3530, 28, 20


def images():
    with gzip.open(FILE) as f:
        return torch.from_numpy(np.frombuffer(f.read(), np.uint8, offset=16).reshape(-1, SIDE, SIDE).astype(np.float32) / 255)


def crop_box(r):
    """RandomResizedCrop.get_params(scale 0.2 to 1, ratio 3/4 to 4/3)."""
    for _ in range(10):
        area, ratio = SIDE * SIDE * r.uniform(0.2, 1), math.exp(r.uniform(math.log(3 / 4), math.log(4 / 3)))
        w, h = round(math.sqrt(area * ratio)), round(math.sqrt(area / ratio))
        if 0 < w <= SIDE and 0 < h <= SIDE:
            return r.integers(0, SIDE - h + 1), h, r.integers(0, SIDE - w + 1), w
    return 0, SIDE, 0, SIDE


def enlarge(start, size):
    """Matrix that resizes pixels start .. start + size to SIDE, bilinear (nothing to antialias where one enlarges)."""
    m = np.zeros((SIDE, SIDE), np.float32)
    at = np.clip((np.arange(SIDE) + 0.5) * size / SIDE - 0.5, 0, size - 1)
    lo = np.floor(at).astype(int)
    hi = np.minimum(lo + 1, size - 1)
    np.add.at(m, (np.arange(SIDE), start + lo), 1 - (at - lo))
    np.add.at(m, (np.arange(SIDE), start + hi), at - lo)
    return m


def view(x, r):
    """One view of each image, as torchvision's transforms would make it of gray images below 64 pixels."""
    rows, columns = np.empty((len(x), SIDE, SIDE), np.float32), np.empty((len(x), SIDE, SIDE), np.float32)
    for i in range(len(x)):
        top, h, left, w = crop_box(r)
        rows[i], columns[i] = enlarge(top, h), enlarge(left, w)
        if r.random() < 0.5:  # flip
            columns[i] = columns[i, ::-1].copy()
    x = torch.from_numpy(rows) @ x @ torch.from_numpy(columns).transpose(1, 2)
    jitter = r.random(len(x)) < 0.8
    order = r.random(len(x)) < 0.5
    f = {k: torch.from_numpy(np.where(jitter, r.uniform(0.6, 1.4, len(x)), 1.0).astype(np.float32)).view(-1, 1, 1) for k in "bc"}
    for first in (True, False):
        for k in ("b", "c"):
            now = torch.from_numpy((order == first) if k == "b" else (order != first)).view(-1, 1, 1)
            base = x.mean((1, 2), keepdim=True) if k == "c" else torch.zeros(())
            x = torch.where(now, (f[k] * x + (1 - f[k]) * base).clamp(0, 1), x)
    return ((x - MEAN) / STD).unsqueeze(1)


def auc(covariance):
    s = torch.linalg.eigvalsh(covariance).clamp(min=0).sqrt().flip(0)
    return float((s.cumsum(0) / s.sum()).mean())


def new_net(o):
    pytorch.ARCHS["resnet18"] = ([int(o["blocks"])] * 4, 0)
    net = pytorch.SimSiam(int(o["width"]), 1, "cifar")
    for m in net.encoder.modules():
        if isinstance(m, nn.Conv2d):
            nn.init.kaiming_normal_(m.weight, mode="fan_out", nonlinearity="relu")
    return net


def loss_of(net, kind, x1, x2):
    h1, h2 = net.encoder.pooled(x1), net.encoder.pooled(x2)
    z1, z2 = net.encoder.fc(h1), net.encoder.fc(h2)
    p1, p2 = (z1, z2) if kind == "no-predictor" else (net.predictor(z1), net.predictor(z2))
    t1, t2 = (z1, z2) if kind == "no-stop-gradient" else (z1.detach(), z2.detach())
    return net.loss(p1, p2, t1, t2), torch.cat((h1, h2)).detach().double(), torch.cat((z1, z2)).detach()


def exact(net, x):
    net.eval()
    with torch.no_grad():
        h = torch.cat([net.encoder.pooled(b) for b in ((x - MEAN) / STD).unsqueeze(1).split(128)]).double()
    net.train()
    h -= h.mean(0)
    return auc(h.T @ h)


def main():
    kind, seed, steps = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
    o = dict(length=9370, lr=1, wd=5e-4, width=8, batch=64, blocks=2, every=100, threads=1)
    o.update((k, float(v)) for k, v in (a.split("=") for a in sys.argv[4:]))
    torch.set_num_threads(int(o["threads"]))
    torch.manual_seed(seed)
    r, data, batch = np.random.default_rng(seed), images(), int(o["batch"])
    net = new_net(o)
    trained = [(n, p) for n, p in net.named_parameters() if p.requires_grad]
    trained = [(n, p) for n, p in trained if kind != "no-predictor" or not n.startswith("predictor")]
    groups = [dict(params=[p for n, p in trained if n.startswith("predictor") == head]) for head in (False, True)]
    groups = [g for g in groups if g["params"]]
    sgd = torch.optim.SGD(groups, lr=0.1, momentum=0.9, weight_decay=o["wd"])
    peak, order = o["lr"] * batch / 256, r.permutation(len(data))
    decay = 2 ** (-2 * batch / (8 * net.encoder.d))
    weight, mean, second, losses, zstds = 0.0, 0.0, 0.0, [], []
    for t in range(steps):
        sgd.param_groups[0]["lr"] = peak * 0.5 * (1 + math.cos(math.pi * t / o["length"]))
        if len(groups) > 1:
            sgd.param_groups[1]["lr"] = peak
        x = data[order[np.arange(t * batch, (t + 1) * batch) % len(data)]]
        loss, h, z = loss_of(net, kind, view(x, r), view(x, r))
        sgd.zero_grad(set_to_none=True)
        loss.backward()
        sgd.step()
        weight = decay * weight + 1
        mean = mean + (h.mean(0) - mean) / weight
        second = second + (h.T @ h / len(h) - second) / weight
        z = z / z.norm(dim=1, keepdim=True)
        losses.append(float(loss))
        zstds.append(float(z.std(0).mean()) * math.sqrt(z.shape[1]))
        if (t + 1) % int(o["every"]) == 0 or t + 1 == steps:
            print("%s seed %d step %4d loss %.4f zstd %.3f live %.4f exact %.4f" % (
                kind, seed, t + 1, np.mean(losses[-LAST:]), np.mean(zstds[-LAST:]),
                auc(second - torch.outer(mean, mean)), exact(net, data[order[:1024]])), flush=True)


if __name__ == "__main__":
    main()
