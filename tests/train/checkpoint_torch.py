#!/usr/bin/python3
"""Does PyTorch read what ssltop wrote? Run by tests/train/test_interchange.c where python3-torch is installed.

    checkpoint_torch.py CHECKPOINT FEATURES N SIZE

Loads the checkpoint into SimSiam's net with strict=True (without ssltop's own tensors, `optim.` and `ssltop.`) and
compares its features of N images of SIZE x SIZE (pytorch.pixels) with FEATURES, N x d little-endian floats that ssltop
gave for the same images. Exit 0: equal to 1e-4; 1: not; 77: no torch here."""
import os
import sys

try:
    import numpy as np
    import torch
except ImportError as why:
    print("checkpoint_torch.py: skipped: %s" % why)
    sys.exit(77)

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "fixtures"))
import pytorch  # noqa: E402

TOLERANCE = 1e-4


def net_of(state):
    """The net that these tensors are the parameters of."""
    conv1 = state["encoder.conv1.weight"]
    layers = sum(n.startswith("encoder.fc.") and n.endswith(".weight") and t.ndim == 2 for n, t in state.items())
    pred, dim = state["predictor.0.weight"].shape
    stem = "imagenet" if conv1.shape[2] == 7 else "cifar"
    return pytorch.SimSiam(conv1.shape[0], conv1.shape[1], stem, dim, pred, layers)


def main():
    checkpoint, features, n, size = sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4])
    torch.set_num_threads(2)
    state, _ = pytorch.read_safetensors(checkpoint)
    state = {k: t for k, t in state.items() if not k.startswith(("optim.", "ssltop."))}
    net = net_of(state)
    net.load_state_dict(state, strict=True)
    net.eval().double()
    channels = state["encoder.conv1.weight"].shape[1]
    with torch.no_grad():
        want = net.encoder.pooled(pytorch.normalised(pytorch.pixels(n, channels, size), torch.float64)).numpy()
    got = np.fromfile(features, dtype="<f4").reshape(want.shape)
    off = pytorch.distance(got, want)
    print("checkpoint_torch.py: features of %d images are off by %.1e (allowed %.0e)" % (n, off, TOLERANCE))
    return 0 if off <= TOLERANCE else 1


if __name__ == "__main__":
    sys.exit(main())
