#!/usr/bin/env python3
"""SimSiam (Chen, He, CVPR 2021) in plain PyTorch on Fashion-MNIST, a run of ssltop.

The lines that ssltop needs are marked. Under torchrun it trains data parallel (gloo):
torchrun --nproc-per-node 2 simsiam_fashion_mnist.py"""

import argparse
import gzip
import os

import torch
import torch.distributed as dist
from torch import nn
from torch.nn import functional as F
from torch.utils.data import DataLoader

import ssltop  # <- ssltop

IMAGES = "/usr/share/datasets/fashion-mnist/train-images-idx3-ubyte.gz"  # dataset-fashion-mnist


def options():
    p = argparse.ArgumentParser()
    p.add_argument("--name", help="of the run")
    p.add_argument("--steps", type=int, default=2000)
    p.add_argument("--batch", type=int, default=128)
    p.add_argument("--width", type=int, default=16)
    p.add_argument("--lr", type=float, default=0.05)
    p.add_argument("--seed", type=int, default=1)
    p.add_argument("--schedule", default="multi-epoch")
    p.add_argument("--workers", type=int, default=0)
    p.add_argument("--threads", type=int, default=2)
    p.add_argument("--calibration")
    p.add_argument("--whole", action="store_true", help="wait until each step is measured")
    p.add_argument("--save", help="where checkpoints go")
    return p.parse_args()


class Images(torch.utils.data.Dataset):
    """Fashion-MNIST: 60,000 images of 28 x 28, 0..1."""

    def __init__(self):
        with gzip.open(IMAGES) as f:
            raw = f.read()
        self.x = torch.frombuffer(bytearray(raw[16:]), dtype=torch.uint8).view(-1, 1, 28, 28)

    def __len__(self):
        return len(self.x)

    def __getitem__(self, i):
        return self.x[i].float() / 255


def view(x):
    """A random crop, mirrored or not, darker or lighter: one view of each image."""
    n = len(x)
    scale = 0.5 + 0.5 * torch.rand(n)
    theta = torch.zeros(n, 2, 3)
    theta[:, 0, 0] = scale * (1 - 2 * torch.randint(2, (n,)))
    theta[:, 1, 1] = scale
    theta[:, :, 2] = (2 * torch.rand(n, 2) - 1) * (1 - scale)[:, None]
    x = F.grid_sample(x, F.affine_grid(theta, x.shape, align_corners=False), align_corners=False)
    return x * (0.6 + 0.8 * torch.rand(n, 1, 1, 1)) - 0.3


def block(a, b):
    return nn.Sequential(nn.Conv2d(a, b, 3, 2, 1, bias=False), nn.BatchNorm2d(b), nn.ReLU(True))


class SimSiam(nn.Module):
    def __init__(self, width):
        super().__init__()
        d = 8 * width
        self.encoder = nn.Sequential(block(1, width), block(width, 2 * width),
                                     block(2 * width, 4 * width), block(4 * width, d),
                                     nn.AdaptiveAvgPool2d(1), nn.Flatten())
        self.projector = nn.Sequential(nn.Linear(d, d, bias=False), nn.BatchNorm1d(d),
                                       nn.ReLU(True), nn.Linear(d, d, bias=False),
                                       nn.BatchNorm1d(d, affine=False))
        self.predictor = nn.Sequential(nn.Linear(d, d // 4, bias=False), nn.BatchNorm1d(d // 4),
                                       nn.ReLU(True), nn.Linear(d // 4, d))

    def forward(self, a, b):
        za, zb = (self.projector(self.encoder(x)) for x in (a, b))
        pa, pb = self.predictor(za), self.predictor(zb)
        return -(F.cosine_similarity(pa, zb.detach()).mean() +
                 F.cosine_similarity(pb, za.detach()).mean()) / 2


def main():
    args = options()
    torch.set_num_threads(args.threads)
    torch.manual_seed(args.seed)
    if "RANK" in os.environ:
        dist.init_process_group("gloo")
    model = SimSiam(args.width)
    trained = nn.parallel.DistributedDataParallel(model) if dist.is_initialized() else model
    optimizer = torch.optim.SGD(model.parameters(), args.lr, momentum=0.9, weight_decay=5e-4)
    data = Images()

    config = dict(vars(args), data="fashion-mnist", method="simsiam", arch="small")
    w = ssltop.init(args.name, config=config, calibration=args.calibration,
                    whole=args.whole)  # <- ssltop
    w.watch(h=model.encoder, z=model.projector, opt=optimizer)  # <- ssltop
    if args.save:
        w.on("checkpoint", lambda step: torch.save(model.state_dict(), args.save))  # <- ssltop
    sampler = w.sampler(len(data), args.batch, steps=args.steps, schedule=args.schedule,
                        seed=args.seed)  # <- ssltop

    model.train()
    for images in DataLoader(data, batch_sampler=sampler, num_workers=args.workers):
        loss = trained(view(images), view(images))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        w.step(loss=loss)  # <- ssltop
        if w.stop:  # <- ssltop
            break
    w.finish()  # <- ssltop
    print(f"{w.made} steps, loss {loss.item():.4f}; {w.run}")


if __name__ == "__main__":
    main()
