"""Record, show and steer a self-supervised training with ssltop.

    import ssltop
    w = ssltop.init("r18-c10", config=vars(args))
    w.watch(h=model.encoder.avgpool, z=model.encoder.fc, opt=optimizer)
    w.on("checkpoint", lambda step: save(model, step))
    for images, _ in loader:
        ...                       # the script's own step, unchanged
        w.step(loss=loss)         # records; carries out orders; waits while paused
        if w.stop:
            break
    w.finish()

ssltop-client(3) tells the rest. The standard library is all that is needed.
"""

from ._run import Run, init
from ._sampler import Sampler

__all__ = ["Run", "Sampler", "init"]
