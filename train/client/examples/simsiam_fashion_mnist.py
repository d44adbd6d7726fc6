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

FOLDER = "/usr/share/datasets/fashion-mnist"  # dataset-fashion-mnist


def options(words=None):
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
    p.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    p.add_argument("--compile", action="store_true", help="with torch.compile")
    p.add_argument("--amp", action="store_true", help="with autocast to bf16")
    p.add_argument("--gather", action="store_true", help="features of all ranks are recorded")
    p.add_argument("--eval-every", type=int, default=500, help="steps; 0: when it is asked for")
    p.add_argument("--eval-images", type=int, default=5000)
    p.add_argument("--calibration")
    p.add_argument("--whole", action="store_true", help="wait until each step is measured")
    p.add_argument("--save", help="where checkpoints go; else into the folder of the run")
    p.add_argument("--resume", help="a checkpoint to go on from")
    return p.parse_args(words)


class Images(torch.utils.data.Dataset):
    """Fashion-MNIST: images of 28 x 28, 0..1. Labels are for evaluations alone."""

    def __init__(self, split):
        self.x = self.read(f"{split}-images-idx3-ubyte.gz", 16).view(-1, 1, 28, 28)
        self.labels = self.read(f"{split}-labels-idx1-ubyte.gz", 8)

    @staticmethod
    def read(name, head):
        with gzip.open(os.path.join(FOLDER, name)) as f:
            return torch.frombuffer(bytearray(f.read()[head:]), dtype=torch.uint8)

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


@torch.no_grad()
def labelled(encoder, split, n, device):
    """Features of the first n images and their labels."""
    encoder.eval()
    h = torch.cat([encoder(x.to(device).float() / 255 - 0.3) for x in split.x[:n].split(500)])
    encoder.train()
    return h, split.labels[:n]


def main(words=None):
    args = options(words)
    torch.set_num_threads(args.threads)
    torch.manual_seed(args.seed)
    if "RANK" in os.environ:
        dist.init_process_group("gloo")
    model = SimSiam(args.width).to(args.device)
    trained = nn.parallel.DistributedDataParallel(model) if dist.is_initialized() else model
    if args.compile:
        trained = torch.compile(trained)
    optimizer = torch.optim.SGD(model.parameters(), args.lr, momentum=0.9, weight_decay=5e-4)
    data, test = Images("train"), Images("t10k")

    def save(step):
        path = args.save or os.path.join(w.run, f"model-{step}.pt")
        if w.rank == 0:
            torch.save({"model": model.state_dict(), "optimizer": optimizer.state_dict(),
                        "sampler": sampler.state_dict()}, path)
        return f"{os.path.basename(path)} is written"

    def evaluate(_):
        n = args.eval_images
        return (*labelled(model.encoder, data, n, args.device),
                *labelled(model.encoder, test, n * 2 // 5, args.device))

    config = dict(vars(args), data="fashion-mnist", method="simsiam", arch="small")
    w = ssltop.init(args.name, config=config, calibration=args.calibration,
                    whole=args.whole, gather=args.gather)  # <- ssltop
    w.watch(h=model.encoder, z=model.projector, opt=optimizer)  # <- ssltop
    w.on("checkpoint", save).on("evaluate", evaluate)  # <- ssltop
    sampler = w.sampler(len(data), args.batch, steps=args.steps, schedule=args.schedule,
                        seed=args.seed)  # <- ssltop
    if args.resume:
        state = torch.load(args.resume)
        model.load_state_dict(state["model"])
        optimizer.load_state_dict(state["optimizer"])
        sampler.load_state_dict(state["sampler"])  # <- ssltop

    model.train()
    for images in DataLoader(data, batch_sampler=sampler, num_workers=args.workers):
        with torch.autocast(args.device, torch.bfloat16, enabled=args.amp):
            loss = trained(view(images).to(args.device), view(images).to(args.device))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        w.step(loss=loss)  # <- ssltop
        if w.stop:  # <- ssltop
            break
        if args.eval_every and w.made % args.eval_every == 0:
            w.probe(*evaluate(w.made))  # <- ssltop
    w.finish()  # <- ssltop
    print(f"{w.made} steps, loss {loss.item():.4f}; {w.run}")


if __name__ == "__main__":
    main()
