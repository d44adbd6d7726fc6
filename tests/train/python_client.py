#!/usr/bin/python3
"""A training in Python for tests/train/test_python.c: python_client.py WHAT NAME. Needs the standard
library alone; features are pattern(step, view), which the C test makes too."""
import argparse
import array
import copy
import fcntl
import os
import pickle
import signal
import struct
import subprocess
import sys
import time
import zlib

import ssltop

ROWS, D, STEPS = 24, 12, 20


def pattern(step, view):
    """ROWS x D floats, each a multiple of 2^-16."""
    x = array.array("f", (((i * 2654435761 + step * 40503 * 65537 + view * 977 * 31) >> 7) %
                          65536 / 65536 * (1 if i % 3 else 3) for i in range(ROWS * D)))
    return memoryview(x).cast("B").cast("f", [ROWS, D])


def settle(w):
    """So that no step is dropped."""
    while w._client and w._library.pending(w._client):
        time.sleep(0.0005)


def steps(w, n):
    for t in range(n):
        w.step(loss=-0.25, lr=0.1, h=(pattern(t, 0), pattern(t, 1)), mine=t)
        settle(w)


def numbers(name):
    w = ssltop.init(name, steps=STEPS, whole=True)
    steps(w, STEPS)
    assert w.dropped == 0 and w.run.endswith(name), (w.dropped, w.run)
    w.finish()
    assert w.run.endswith(name)


def replays(name):
    """Steps of a run of `ssltop train`, from the file that test_same.c wrote."""
    with open(sys.argv[3], "rb") as f:
        count, n, *widths = struct.unpack("4q", f.read(32))
        w = ssltop.init(name, steps=count, whole=True)
        for _ in range(count):
            loss, lr, lr_pred = struct.unpack("3d", f.read(24))
            h, z = (tuple(memoryview(f.read(4 * n * d)).cast("f", [n, d]) for _ in range(2))
                    for d in widths)
            w.step(loss=loss, lr=lr, lr_pred=lr_pred, h=h, z=z)
    w.finish()


def summed(s, begin, end):
    """Of all indices of these steps, in their order."""
    crc = 0
    for t in range(begin, end):
        crc = zlib.crc32(array.array("q", s.at(t)).tobytes(), crc)
    return crc


def sampler(name):
    """Sums over the batches of the plan on stdout, then over those after a switch."""
    w = ssltop.init(name)
    s = w.sampler(60000, 128, seed=1, steps=9374, schedule="hybrid", chunks=20)
    for begin in range(0, 9374, 500):
        print(summed(s, begin, min(begin + 500, 9374)))
    s.switch(5000, 2, 7)
    print(summed(s, 4000, 9374), flush=True)  # before what the second init says of the run's name

    # Iterating goes on after the steps that were made, also in another process.
    s = w.sampler(100, 10, steps=30, schedule="continual", chunks=3)
    seen = []
    for i, batch in enumerate(s):
        seen.append(batch)
        w.step(loss=0)
        if i == 11:
            break
    state = s.state_dict()
    assert state["step"] == 12
    v = ssltop.init(name)
    other = v.sampler(100, 10, steps=30)
    other.load_state_dict(state)
    for batch in other:
        seen.append(batch)
        v.step(loss=0)
    assert v.made == 30 and seen == [s.at(t) for t in range(30)]
    try:
        v.sampler(100, 10, steps=31).load_state_dict(state)
        sys.exit("a state of another length was taken")
    except ValueError:
        pass
    epochs = v.sampler(100, 10, epochs=2)
    v.made = 0
    assert [len(list(epochs)) for _ in range(2)] == [10, 10] and len(epochs) == 10


def probed(name):
    """Two classes that can be told, before the first step and after the last."""
    w = ssltop.init(name)
    x = array.array("f", (i % 7 + (9 * (i // D % 2) if i % D == 3 else 0) for i in range(80 * D)))
    both = memoryview(x).cast("B").cast("f", [80, D])
    labels = [i % 2 for i in range(80)]
    w.probe(both, labels, both, array.array("l", labels))
    steps(w, 3)
    try:
        w.probe(both, labels[1:], both, labels)
        raise AssertionError("one label less")
    except ValueError:
        pass
    w.finish()


def fails(name):
    steps(ssltop.init(name), 3)
    raise ValueError("too bold\nby far")


def context(name):
    with ssltop.init(name) as w:
        steps(w, 3)
        raise ValueError("too bold by far")


def said_early(name):
    """What is said before there is a log is in it all the same."""
    w = ssltop.init(name, config={"note\udce9": "of \udce9"})
    w._say("said before the first step")
    w.run
    w._say("said by then")
    steps(w, 2)
    raise ValueError("of a file \udce9")


def exits(name):
    steps(ssltop.init(name), 3)
    sys.exit("no room any more")


def exits_for(name):
    """As torch.multiprocessing's processes end."""
    steps(ssltop.init(name), 3)
    try:
        raise ValueError("too bold by far")
    except ValueError:
        try:
            sys.exit(1)
        except SystemExit as left:
            code = left.code
    sys.exit(code)


def stays(name):
    w = ssltop.init(name)
    try:
        sys.exit("somebody stops it")
    except SystemExit:
        steps(w, 3)


def moves(name):
    """Into another folder after its first step, with the folder of runs told by a path from the
    first one; then its recorder is killed."""
    w = ssltop.init(name, runs=".", required=True)
    os.chdir(os.environ["SSLTOP_RUNS"])
    steps(w, 1)
    os.chdir("/")
    while not os.path.exists(os.path.join(w.run, "control")):
        time.sleep(0.0005)
    found = subprocess.run(["pgrep", "-P", str(os.getpid()), "-x", "ssltop"], check=True,
                           capture_output=True)
    os.kill(int(found.stdout), signal.SIGKILL)
    while w._library.alive(w._client):
        w.step(loss=0)
    assert not os.path.exists(os.path.join(w.run, "control"))


def leaves(name):
    """Without finish()."""
    steps(ssltop.init(name), 3)


def endless(name):
    """Until somebody ends it."""
    steps(ssltop.init(name), 1 << 40)


def unrecorded(name):
    """Goes on when the recorder is killed, which the test does."""
    w, left = ssltop.init(name), 50
    while left:
        w.step(loss=0, h=pattern(w.made, 0))
        left -= not w._library.alive(w._client)
    w.finish()


def vanishes(name):
    steps(ssltop.init(name), 3)
    os._exit(0)


def second(name):
    """Two runs in one process, the first one never finished: a notebook's cell run twice."""
    for k in (1, 2):
        steps(ssltop.init(f"{name}{k}"), k)


def forked(name):
    w = ssltop.init(name, whole=True)
    steps(w, 2)
    pid = os.fork()
    if not pid:
        w.step(loss=0, h=pattern(0, 0))
        w.finish()
        sys.exit(0)
    assert os.waitpid(pid, 0)[1] == 0
    steps(w, 0)
    w.step(loss=1, h=pattern(2, 0))


def cell(name):
    """A notebook's cell, which is run twice: the first run has not been finished."""
    for _ in range(2):
        w = ssltop.init(name)
        steps(w, 2)
    assert w.run.endswith(name + "-2"), w.run


def together(name):
    """Another script is just starting a run of this name."""
    hidden = f"{os.environ['SSLTOP_RUNS']}/.{name}.new"
    os.makedirs(hidden)
    with open(hidden + "/lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        w = ssltop.init(name)
        steps(w, 2)
        assert w.run.endswith(name + "-2"), w.run
        w.finish()
    os.remove(hidden + "/lock")
    os.rmdir(hidden)


def missing(name):
    """No ssltop, then no library either, then one of another release."""
    from ssltop import _library as lib

    def goes_on(schedule):
        w = ssltop.init(name)
        w.watch().on("checkpoint", print)
        s = w.sampler(100, 7, epochs=2, schedule=schedule)
        seen = [i for epoch in range(2) for batch in s for i in (batch, w.step(loss=0)) if i]
        assert len(seen) == 28 and len(set(sum(seen[:14], []))) == 98
        assert w.run == "" and w.dropped == 0 and not w.stop and w.made == 28
        w.finish()
        return s

    def is_missed(what):
        try:
            ssltop.init(name, required=True)
            sys.exit("what is required was not missed")
        except RuntimeError as why:
            assert what in str(why), why

    os.environ["SSLTOP"] = "/nowhere/ssltop"
    goes_on("multi-epoch")
    is_missed("/nowhere/ssltop is not found")
    loaded, lib._loaded = lib._loaded, None
    os.environ["SSLTOP_CLIENT"] = "/nowhere/library.so"
    s = goes_on("multi-epoch")
    is_missed("there is no /nowhere/library.so")
    assert s.at(3) == s.at(3) and s.at(0) != s.at(14)
    s.load_state_dict(dict(s.state_dict(), step=5))
    assert len(s) == 14 and next(iter(s)) == s.at(5)
    try:
        ssltop.init(name).sampler(100, 7, steps=9, schedule="hybrid")
        sys.exit("a schedule without the library")
    except ValueError as why:
        assert "no schedule hybrid" in str(why), why
    os.environ["SSLTOP_CLIENT"] = os.environ["LIBRARY"]
    lib._STRUCTS["order"] = lib.Settings
    is_missed("its ssltop_order has")
    lib._loaded = loaded


def refused(name):
    """Whatever a script hands over, it goes on."""
    w = ssltop.init(name)
    w.step(h=pattern(0, 0), loss=0)
    w.step(h="text", loss=0)
    w.step(h=b"bytes", loss=0)
    w.step(h=array.array("i", [1, 2]), loss=0)
    w.step(h=[], loss=0)
    w.step(h=pattern(1, 0)[::2], loss=0)
    w.step(h=({}, None), loss=0)
    for x in ("text", [1], {}, 10 ** 400, 1j):
        w.step(loss=x, lr=x, mine=x)
    w.step(loss=0, **{f"s{i}": i for i in range(70)})
    w.step(loss=0, **{"x" * 40: 1})
    w.step(loss=0, **{"": 1, "nul\0": 2, "a\udce9": 3, "line\nline": 4})
    copied = copy.deepcopy(argparse.Namespace(w=w))
    assert copied.w.step(loss=0) is None and copied.w.run == "" and not copied.w.finish()
    pickle.loads(pickle.dumps(w)).step(loss=0)
    w.finish()
    w.step(loss=0)
    w.finish()
    second = ssltop.init("../" + name)
    second.step(loss=0)
    assert second.run == ""


def steered(name):
    """Until it is told to stop; its batches are drawn three ahead, as workers would."""
    w = ssltop.init(name)
    told = []
    w.on("checkpoint", lambda step: told.append(step) or f"saved at {step}")
    w.on("evaluate", lambda step: 1 // 0)
    s = w.sampler(1000, 10, steps=100000, schedule="multi-epoch", chunks=5)
    batches, ahead = iter(s), []
    while not w.stop:
        while len(ahead) < 4:
            ahead.append(next(batches))
        ahead.pop(0)
        w.step(loss=0, h=pattern(w.made, 0))
        settle(w)
    assert told
    w.finish()


if __name__ == "__main__":
    globals()[sys.argv[1]](sys.argv[2])
