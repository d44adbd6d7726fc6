#!/usr/bin/python3
"""One timing of the same SimSiam step in PyTorch, for tests/bench/bench.sh: same net, batch, precision and threads.

    bench_torch.py WIDTH f32|bf16 STEPS THREADS BATCH plain|tuned

`plain` is PyTorch as it comes (eager, NCHW). `tuned` takes the fastest of NCHW and channels_last, eager and, where this
PyTorch has it, torch.compile, and updates all parameters at once (foreach); bench.sh also sets the environment that
keeps its allocator from giving memory back. A compiler that fails is said on stderr and passed over."""
import os
import resource
import statistics
import sys
import time

import numpy as np
import torch

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "fixtures"))
import pytorch  # noqa: E402

SIDE, WARM_UP = 28, 3


def noise(view, n):
    i = np.arange(n * SIDE * SIDE, dtype=np.uint64) + np.uint64(view * 7919)
    with np.errstate(over="ignore"):
        x = (i * np.uint64(2654435761) >> np.uint64(8)) & np.uint64(0xFFFF)
    return torch.from_numpy((x.astype(np.float32) / 32768 - 1).reshape(n, 1, SIDE, SIDE))


def measure(width, bf16, steps, batch, layout, foreach, compiled=False):
    torch.manual_seed(0)
    net = pytorch.SimSiam(width, 1, "cifar").to(memory_format=layout)
    net.train()
    forward = torch.compile(net) if compiled else net
    x = [noise(v, batch).contiguous(memory_format=layout) for v in range(2)]
    trained = [(n, p) for n, p in net.named_parameters() if p.requires_grad]
    groups = [dict(params=[p for n, p in trained if n.startswith("predictor") == head]) for head in (False, True)]
    sgd = torch.optim.SGD(groups, lr=0.05, momentum=0.9, weight_decay=5e-4, **({"foreach": True} if foreach else {}))
    times = []
    for _ in range(WARM_UP + steps):
        start = time.perf_counter()
        sgd.zero_grad(set_to_none=True)
        with torch.autocast("cpu", dtype=torch.bfloat16, enabled=bf16):
            p1, p2, z1, z2, _, _ = forward(*x)
        loss = net.loss(p1, p2, z1, z2)
        loss.backward()
        sgd.step()
        value = float(loss)
        times.append(time.perf_counter() - start)
    return statistics.median(times[WARM_UP:]), value


def main():
    if len(sys.argv) != 7 or sys.argv[2] not in ("f32", "bf16") or sys.argv[6] not in ("plain", "tuned"):
        sys.exit("usage: bench_torch.py WIDTH f32|bf16 STEPS THREADS BATCH plain|tuned")
    width, steps, threads, batch = (int(sys.argv[i]) for i in (1, 3, 4, 5))
    tuned = sys.argv[6] == "tuned"
    torch.set_num_threads(threads)
    bf16 = sys.argv[2] == "bf16"
    layouts = [("nchw", torch.contiguous_format)] + ([("nhwc", torch.channels_last)] if tuned else [])
    runs = []
    for name, layout in layouts:
        runs.append(measure(width, bf16, steps, batch, layout, tuned) + (name,))
        if tuned and hasattr(torch, "compile"):
            try:
                runs.append(measure(width, bf16, steps, batch, layout, tuned, True) + (name + "-compiled",))
            except Exception as why:  # no compiler, no room: whatever it says
                print("torch.compile, %s: %.200s" % (name, why), file=sys.stderr)
    step, loss, name = min(runs)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    print("who=torch-%s version=%s width=%d precision=%s step=%.6f layout=%s peak_kb=%d loss=%.5f" % (
        sys.argv[6], torch.__version__, width, sys.argv[2], step, name, peak, loss))


if __name__ == "__main__":
    main()
