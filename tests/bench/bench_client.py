#!/usr/bin/python3
"""What the client costs a training: the example of train/client/examples at d = 512, batch 256, with
and without it, and the step() calls themselves at two sizes. SSLTOP and SSLTOP_CLIENT name what is
measured. Exit 1: over its bounds, which are meant for an otherwise idle machine."""
import ctypes
import os
import resource
import statistics
import sys
import tempfile
import time

TOP = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "train", "client")
sys.path[:0] = [os.path.join(TOP, "python"), os.path.join(TOP, "examples")]
sys.dont_write_bytecode = True
import torch  # noqa: E402
import ssltop  # noqa: E402
import simsiam_fashion_mnist as example  # noqa: E402

PAIRS, STEPS = int(os.environ.get("PAIRS", 7)), int(os.environ.get("STEPS", 12))
BATCH, WIDTH = 256, 64
WORSE, STEP_US, COPIES = 1.01, 300, 2


class Timed:
    """A function, and the seconds in it."""

    def __init__(self, f):
        self.f, self.spent = f, 0

    def __call__(self, *given):
        at = time.perf_counter()
        self.f(*given)
        self.spent += time.perf_counter() - at


def train(images, recorded):
    """Seconds of STEPS steps; of the client's, those of each step() and of the hooks of a step, which
    copy the features as the modules give them."""
    torch.manual_seed(1)
    model = example.SimSiam(WIDTH).train()
    optimizer = torch.optim.SGD(model.parameters(), 0.05, momentum=0.9)
    w, calls, hooks = None, [], []
    if recorded:
        w = ssltop.init(required=True)
        w.watch(h=model.encoder, z=model.projector, opt=optimizer)
        modules = model.encoder, model.projector
        timed = [Timed(f) for m in modules for f in m._forward_hooks.values()]
        for m, t in zip(modules, timed):
            for key in m._forward_hooks:
                m._forward_hooks[key] = t
    for step in range(STEPS + 2):
        if step == 2:  # the first one starts the recorder
            begun = time.perf_counter()
        loss = model(example.view(images), example.view(images))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        if w:
            at = time.perf_counter()
            w.step(loss=loss)
            calls.append(time.perf_counter() - at)
            hooks.append(sum(t.spent for t in timed) - sum(hooks))
    spent = time.perf_counter() - begun
    if w:
        w.finish()
    return spent, calls[2:], hooks[2:]


def handed(n, d):
    """step() with two views of n x d as often as a recorder can follow, and a copy of as much."""
    w = ssltop.init(required=True)
    h, room, calls, copies = torch.randn(2, n, d), torch.empty(2, n, d), [], []
    for _ in range(60):
        h.normal_()
        at = time.perf_counter()
        w.step(loss=0, h=(h[0], h[1]))
        calls.append(time.perf_counter() - at)
        at = time.perf_counter()
        ctypes.memmove(room.data_ptr(), h.data_ptr(), h.numel() * h.element_size())
        copies.append(time.perf_counter() - at)
    dropped = w.dropped
    w.finish()
    return statistics.median(calls[10:]), statistics.median(copies[10:]), dropped


def main():
    torch.set_num_threads(os.cpu_count())
    images = torch.rand(BATCH, 1, 28, 28)
    with tempfile.TemporaryDirectory() as runs:
        os.environ["SSLTOP_RUNS"] = runs
        train(images, False)
        ratio, calls, hooks, seconds = [], [], [], 0
        for _ in range(PAIRS):
            plain, with_it = 0, 0
            for recorded in (False, True, True, False):  # so that no drift of the machine is in it
                spent, steps, copies = train(images, recorded)
                plain += 0 if recorded else spent
                with_it += spent if recorded else 0
                calls += steps
                hooks += copies
            ratio.append(with_it / plain)
            seconds += with_it
        worse, call = statistics.median(ratio), 1e6 * statistics.median(calls)
        print(f"client    the example takes {worse:.3f} times as long with it (at most {WORSE}; "
              f"{min(ratio):.3f} to {max(ratio):.3f}), step() {call:.0f} us (at most {STEP_US}), its "
              f"hooks {1e6 * statistics.median(hooks):.0f} us")
        recorders = resource.getrusage(resource.RUSAGE_CHILDREN)
        print(f"client    processor time of the recorder, its start and end included: "
              f"{100 * (recorders.ru_utime + recorders.ru_stime) / seconds:.2f} % of a core")
        took, copy, dropped = handed(512, 2048)
        print(f"client    512 x 2048, two views: step() {took / copy:.2f} times a copy of them (at most "
              f"{COPIES}), {1e6 * took:.0f} us; {dropped} of 60 dropped")
    return worse > WORSE or call > STEP_US or took > COPIES * copy


if __name__ == "__main__":
    sys.exit(main())
