#!/usr/bin/env python3
"""Oja's rule in NumPy, a run of ssltop: features of any training, without a framework.

As the weights turn towards the largest directions of the data the spectrum falls off."""

import numpy as np
import ssltop

N, D, BATCH, STEPS = 64, 16, 256, 500
draw = np.random.default_rng(1)
mix = draw.normal(size=(N, N)) / np.arange(1, N + 1)
weights = draw.normal(size=(N, D)) / np.sqrt(N)

# whole: it waits for each spectrum, for steps as short as these outrun any recorder.
with ssltop.init(config={"data": "noise", "method": "oja"}, steps=STEPS, batch=BATCH,
                 whole=True) as w:
    for step in range(STEPS):
        x = draw.normal(size=(BATCH, N)) @ mix
        h = x @ weights
        weights += 1e-2 * (x.T @ h / BATCH - weights @ np.triu(h.T @ h / BATCH))
        lost = np.mean((x - h @ weights.T) ** 2)
        w.step(loss=lost, h=h, lr=1e-2, norm=np.linalg.norm(weights))
        if w.stop:
            break
    print(w.run)
