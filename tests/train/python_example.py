#!/usr/bin/python3
"""Short runs of the example with evaluations, one after the other in one process, for
tests/train/test_example.c: python_example.py NAME... Exit 77: no torch here.

They are of several widths: what these do to the accuracy is what a calibration can tell."""
import sys

sys.path.insert(0, "train/client/examples")
try:
    import simsiam_fashion_mnist as example
except ImportError as why:
    print(f"python_example.py: skipped: {why}")
    sys.exit(77)

for i, name in enumerate(sys.argv[1:]):
    example.main(["--name", name, "--whole", "--steps", "12", "--width", str((1, 2, 4, 8)[i % 4]),
                  "--batch", "32", "--threads", "1", "--seed", str(i), "--eval-every", "4",
                  "--eval-images", "1000"])
