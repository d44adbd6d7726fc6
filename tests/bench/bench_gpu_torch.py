#!/usr/bin/env python3
"""The same SimSiam step in PyTorch on the same card, for tests/bench/bench_gpu.sh: channels_last, bf16 autocast (f32 without
TF32), fused SGD; eager, and compiled where torch.compile works. The views lie on the card before the clock starts:
PyTorch is spared the data, which ssltop's figure includes.

    bench_gpu_torch.py ARCH WIDTH BATCH SIDE f32|bf16 STEPS

Prints a line of key=value a variant. Exit 3: this PyTorch has no GPU to use."""
import os
import statistics
import sys
import time

sys.dont_write_bytecode = True
WARM_UP, ROUNDS = 20, 5


def measure(torch, pytorch, arch, width, batch, side, bf16, steps, compiled):
    torch.manual_seed(0)
    torch.cuda.reset_peak_memory_stats()
    stem = "cifar" if side < 64 else "imagenet"
    net = pytorch.SimSiam(width, 3, stem, arch=arch).cuda().to(memory_format=torch.channels_last)
    net.train()
    x = [torch.randn(batch, 3, side, side, device="cuda").contiguous(memory_format=torch.channels_last)
         for _ in range(2)]
    trained = [p for p in net.parameters() if p.requires_grad]
    sgd = torch.optim.SGD(trained, lr=0.05, momentum=0.9, weight_decay=5e-4, foreach=True)

    def forward():
        with torch.autocast("cuda", dtype=torch.bfloat16, enabled=bf16):
            p1, p2, z1, z2, _, _ = net(*x)
        return net.loss(p1.float(), p2.float(), z1.float(), z2.float())

    work = torch.compile(forward) if compiled else forward

    def step():
        sgd.zero_grad(set_to_none=True)
        loss = work()
        loss.backward()
        sgd.step()
        return loss

    for _ in range(WARM_UP):
        loss = step()
    times = []
    for _ in range(ROUNDS):
        torch.cuda.synchronize()
        start = time.perf_counter()
        for _ in range(steps):
            loss = step()
        value = float(loss)  # as ssltop, the loss is looked at; once a round costs PyTorch nothing
        torch.cuda.synchronize()
        times.append((time.perf_counter() - start) / steps)
    if value != value:
        sys.exit("bench_gpu_torch: the loss is not finite")
    seconds = statistics.median(times)
    print("who=torch-%s step=%.6f images_s=%.0f memory=%d version=%s" % (
        "compiled" if compiled else "eager", seconds, batch / seconds, torch.cuda.max_memory_allocated(),
        torch.__version__), flush=True)


def main():
    if len(sys.argv) != 7 or sys.argv[5] not in ("f32", "bf16"):
        sys.exit("usage: bench_gpu_torch.py ARCH WIDTH BATCH SIDE f32|bf16 STEPS")
    try:
        import torch
    except ImportError:
        sys.stderr.write("bench_gpu_torch: no PyTorch is installed\n")
        sys.exit(3)
    if not torch.cuda.is_available():
        sys.stderr.write("bench_gpu_torch: this PyTorch (%s) has no GPU to use\n" % torch.__version__)
        sys.exit(3)
    sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "fixtures"))
    import pytorch
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = False
    torch.backends.cudnn.benchmark = True
    arch, bf16 = sys.argv[1], sys.argv[5] == "bf16"
    width, batch, side, steps = (int(sys.argv[i]) for i in (2, 3, 4, 6))
    measure(torch, pytorch, arch, width, batch, side, bf16, steps, False)
    try:
        measure(torch, pytorch, arch, width, batch, side, bf16, steps, True)
    except Exception as why:  # no compiler, no Triton: what it misses is its own affair
        reason = (str(why).strip() or type(why).__name__).splitlines()[0]
        sys.stderr.write("bench_gpu_torch: torch.compile does not work here: %s\n" % reason)


if __name__ == "__main__":
    main()
