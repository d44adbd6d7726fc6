#!/usr/bin/python3
"""What PyTorch's objects hand over, for tests/train/test_python.c: python_torch.py NAME. Exit 77: no
torch here."""
import copy
import ctypes
import pickle
import sys
import types
import warnings

try:
    import torch
    from torch import nn
except ImportError as why:
    print(f"python_torch.py: skipped: {why}")
    sys.exit(77)

import ssltop
from ssltop import _rows


class Taken:
    """Stands in for the library: keeps what a step hands over."""

    def __init__(self, w):
        self.rows, self.bytes, real = [], [], w._library.features

        def features(c, place, view, pointer, n, d, stride, kind):
            self.rows.append((place.decode(), view, n, d, stride, kind, pointer))
            self.bytes.append(ctypes.string_at(pointer, n * stride * (2, 2, 4, 8)[kind]))
            return real(c, place, view, pointer, n, d, stride, kind)

        w._library.features = features

    def last(self):
        out, self.rows = self.rows, []
        return out


class Card:
    """Stands in for a GPU and its queue of copies into pinned memory: what is copied is not there
    before somebody lets the queue run, and whoever waits for it says so."""

    def __init__(self, w):
        self.queue, self.buffers, self.waited = [], 0, 0
        w._pinned.new = self.new
        _rows.on_card, _rows.travel = (lambda x: True), self.travel

    def new(self, _, shape, dtype):
        self.buffers += 1
        return torch.empty(shape, dtype=dtype)

    def travel(self, x, pinned):
        to = pinned.take(torch, x.shape, x.dtype)
        to.fill_(float("nan"))
        done = []
        self.queue.append((to, x.clone(), done))
        return to, types.SimpleNamespace(query=lambda: bool(done), synchronize=self.wait)

    def run(self):
        for to, x, done in self.queue:
            to.copy_(x)
            done.append(1)
        self.queue = []

    def wait(self):
        self.waited += 1
        self.run()


def on_a_card(name):
    """Features and numbers of a GPU are recorded a step later, as they were, and no step waits."""
    w = ssltop.init(name, whole=True)
    taken, handed, on_card, travel = Taken(w), [], _rows.on_card, _rows.travel
    end = w._library.end_step
    w._library.end_step = lambda c, *of: (handed.append(of), end(c, *of))[1]
    card = Card(w)
    encoder = nn.Identity().train()
    w.watch(h=encoder, joined=True)
    x = [torch.randn(8, 6).to(torch.bfloat16) for _ in range(5)]
    for step in range(5):
        device = x[step].clone()
        encoder(device)
        w.step(loss=torch.tensor(float(step)), lr=torch.tensor(step / 4.), top=torch.tensor(2.5))
        card.run()
        device.zero_()  # used again for something else
        assert len(handed) == step  # all but this one
    for step, (of, *views) in enumerate(zip(handed, taken.bytes[::2], taken.bytes[1::2])):
        assert of == (step, step, step / 4.), of
        assert b"".join(views) == x[step].view(torch.uint8).numpy().tobytes(), step
    assert len(handed) == 4 and card.waited == 0
    assert card.buffers <= 2 * 4  # of two steps: features and three numbers
    for step in range(5, 17):  # it is far behind: the oldest are not recorded
        encoder(x[0])
        w.step(loss=torch.tensor(0.))
    assert len(handed) == 5 and card.waited == 0 and len(w._late) == 8 and w.dropped == 4
    w.finish()  # waits
    assert [of[0] for of in handed] == [*range(5), *range(9, 17)] and card.waited
    w._library.end_step, _rows.on_card, _rows.travel = end, on_card, travel


class Around(torch.optim.Optimizer):
    """As accelerators wrap one: an Optimizer by name, with nothing of its own."""

    def __init__(self, inside):
        self.inside, self.param_groups, self.defaults = inside, inside.param_groups, {}

    def step(self, closure=None):
        return self.inside.step(closure)


def main(name):
    torch.set_num_threads(1)
    torch.manual_seed(1)
    w = ssltop.init(name, config={"data": "noise"})
    taken = Taken(w)
    model = nn.Sequential(nn.Conv2d(1, 8, 3), nn.AdaptiveAvgPool2d(1), nn.Flatten(),
                          nn.Linear(8, 4))
    opt = torch.optim.SGD(model.parameters(), lr=0.5)
    w.watch(h=model[1], z=model[3], opt=opt)
    model.train()
    x = torch.randn(6, 1, 8, 8)

    # Two calls are the two views, n x d x 1 x 1 is n x d; a third call is none.
    a, b = model(x), model(2 * x)
    model(x)
    loss = (a * b).mean()
    loss.backward()
    opt.step()
    w.step(loss=loss)
    seen = taken.last()
    assert [s[:6] for s in seen] == [("h", 0, 6, 8, 8, 2), ("h", 1, 6, 8, 8, 2),
                                     ("z", 0, 6, 4, 4, 2), ("z", 1, 6, 4, 4, 2)], seen

    # Evaluation is not training; a copy of the model, through a file too, sees nothing.
    assert not w._said
    model.eval()
    model(x)
    model.train()
    copy.deepcopy(model)(x)
    pickle.loads(pickle.dumps(model))(x)
    w.step(loss=0)
    assert taken.last() == []
    assert sum("gave nothing in a step" in text for text in w._said) == 2  # h and z

    # Every type, columns of a wider matrix, a transposed one.
    wide = torch.randn(6, 20)
    for i, kind in enumerate((torch.float16, torch.bfloat16, torch.float32, torch.float64)):
        w.step(loss=0, h=wide.to(kind)[:, 3:11])
        (s,) = taken.last()
        assert s[2:6] == (6, 8, 20, i), s
    w.step(loss=0, h=torch.randn(8, 6).t())
    assert taken.last()[0][2:5] == (6, 8, 8)
    w.step(loss=0, h=torch.randint(9, (6, 8)))
    assert taken.last()[0][5] == 2

    # What is no n x d of numbers is left out, and the training goes on.
    for odd in (torch.randn(6), torch.tensor(1.), torch.eye(6).to_sparse(),
                torch.randn(6, 8, device="meta")):
        w.step(loss=torch.randn(3), h=odd, top=odd)
        assert taken.last() == []
    assert any("has 1 dimension" in text for text in w._said.values())

    # The factor of an order acts while the optimizer steps, and no scheduler sees it.
    model[3].weight.grad = torch.ones_like(model[3].weight)
    before = model[3].weight.clone()
    model[0].weight.grad = model[0].bias.grad = model[3].bias.grad = None
    w._rate.factor = 0.5
    scheduler = torch.optim.lr_scheduler.StepLR(opt, 1, gamma=0.1)
    opt.step()
    assert torch.allclose(before - model[3].weight, torch.full_like(before, 0.25))
    assert opt.param_groups[0]["lr"] == 0.5 and w._rate.value() == 0.25
    scheduler.step()  # before the script says that the step is made
    assert abs(opt.param_groups[0]["lr"] - 0.05) < 1e-9 and w._rate.value() == 0.25
    w.finish()

    # An optimizer around another one, a scheduler of the one outside.
    w = ssltop.init(name + "-around")
    outside = Around(opt)
    w.watch(opt=outside)
    w._rate.factor = 0.5
    scheduler = torch.optim.lr_scheduler.StepLR(outside, 1, gamma=0.5)
    before = model[3].weight.clone()
    rate = opt.param_groups[0]["lr"]
    for t in range(2):
        outside.step()
        assert abs(w._rate.value() - rate * 0.5 ** (t + 1)) < 1e-9
        scheduler.step()
    assert torch.allclose(before - model[3].weight, torch.full_like(before, rate * 0.75))
    w.finish()

    # One call on both views, one behind the other.
    w = ssltop.init(name + "-joined")
    taken = Taken(w)
    w.watch(h=model[2], joined=True)
    model(x)
    w.step(loss=torch.tensor(1.0))
    first, other = taken.last()
    assert first[:5] == ("h", 0, 3, 8, 8) and other[:5] == ("h", 1, 3, 8, 8)
    assert other[6] - first[6] == 3 * 8 * 4
    w.finish()
    model(x)  # nothing is watched any more
    assert not model[2]._forward_hooks


if __name__ == "__main__":
    warnings.simplefilter("error")
    main(sys.argv[1])
    on_a_card(sys.argv[1] + "-card")
