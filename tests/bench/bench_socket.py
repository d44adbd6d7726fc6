#!/usr/bin/env python3
"""What clients of every bad kind cost the training whose socket they use: pairs of runs, alone and with connections that
come and go, half lines, long lines without an end, a watcher that never reads, and 10,000 orders. Exit 1 when the median
of the pairs' ratios is below 0.97.

  tests/bench/bench_socket.py ./ssltop

Environment: BENCH_SOCKET_PAIRS 5, BENCH_SOCKET_STEPS 80 (the first quarter warms up), BENCH_SOCKET_WIDTH 16."""
import json
import os
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import time

PAIRS, STEPS, WIDTH = (int(os.environ.get("BENCH_SOCKET_" + k, v)) for k, v in
                       (("PAIRS", 5), ("STEPS", 80), ("WIDTH", 16)))
ORDERS, CLIENTS, RATE = 10000, 200, 1000  # orders a second, so that the client's own work stays small


def dial(path):
    s = socket.socket(socket.AF_UNIX)
    s.connect(path)
    return s


def storm(path, going):
    """Until the training ends."""
    held, given, answered, came = [], 0, 0, 0
    try:
        deaf, orders = dial(path), dial(path)
        deaf.sendall(b'{"cmd":"watch"}\n')
        while going():
            if given < ORDERS:
                orders.sendall(b'{"cmd":"status"}\n{"cmd":"resume"}\n' * 5)
                given += 10
                answered += orders.recv(1 << 20).count(b"\n")
            if came < CLIENTS and given % 50 == 0:
                c = dial(path)
                c.setblocking(False)
                try:
                    c.send((b'{"cmd":"stat', b"x" * 100000, b"\xff\n{}\n")[came % 3])
                except BlockingIOError:
                    pass
                held.append(c)
                came += 1
            time.sleep(10 / RATE)
    except (BrokenPipeError, ConnectionError):
        pass  # the training has ended
    return answered, came


def train(ssltop, runs, name, stormy):
    p = subprocess.Popen([ssltop, "train", "--headless", "--data", "synthetic", "--width", str(WIDTH), "--batch", "128",
                          "--steps", str(STEPS), "--seed", "1", "--eval-every", "1000000", "--checkpoint-every", "1000000",
                          "--runs", runs, "--name", name], stdout=subprocess.DEVNULL)
    if stormy:
        control = os.path.join(runs, name, "control")
        while not os.path.exists(control):
            time.sleep(0.05)
        with open(control) as f:
            answered, came = storm(f.read().strip(), lambda: p.poll() is None)
        if answered < 100 or came < 10:
            sys.exit("%d answers, %d clients: this measures nothing" % (answered, came))
    if p.wait() != 0:
        sys.exit("the training failed")
    text = subprocess.run(["zstdcat", os.path.join(runs, name, "run.jsonl.zst")], stdout=subprocess.PIPE, check=True).stdout
    t = [r["t"] for r in map(json.loads, text.splitlines()) if r["type"] == "step" and r["step"] >= STEPS // 4]
    return (len(t) - 1) / (t[-1] - t[0])


def main(ssltop):
    runs = tempfile.mkdtemp()
    ratios = []
    try:
        for i in range(PAIRS):
            alone, stormy = (train(ssltop, runs, "%s-%d" % (n, i), s) for n, s in (("alone", False), ("storm", True)))
            ratios.append(stormy / alone)
            print("pair=%d alone=%.2f storm=%.2f steps/s ratio=%.4f" % (i + 1, alone, stormy, ratios[-1]), file=sys.stderr)
    finally:
        shutil.rmtree(runs)
    m = statistics.median(ratios)
    print("%-34s %5s %-5s %6.3f   >= 0.97   %s" % ("speed with a storm on the socket", "", "", m, "ok" if m >= 0.97 else "MISSED"))
    return m < 0.97


sys.exit(main(sys.argv[1]))
