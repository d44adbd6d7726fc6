"""What is taken from the script's own objects: features of its modules, the optimizer's rate."""

import sys
import types


def _nothing(*_):
    return None


def _no_hook():
    return _nothing


class Hook:
    """Sees what a module gives. A copy of the module, or one read from a file, sees nothing."""

    def __init__(self, take, module, place, joined):
        self.module, self.place, self.joined = module, place, joined
        # A compiled model leaves its graph here, and comes back.
        compiler = getattr(sys.modules.get("torch"), "compiler", None)
        self.take = compiler.disable(take) if hasattr(compiler, "disable") else take

    def __call__(self, module, _, output):
        if module is self.module and module.training:
            self.take(self.place, output, self.joined)

    def __reduce__(self):
        return _no_hook, ()


class Rate:
    """The learning rate of an optimizer, and a factor that acts while it steps: whatever sets the
    rate (a scheduler, the script) goes on as it does."""

    def __init__(self, optimizer):
        self.factor, self._groups, self._plain, self._used = 1.0, optimizer, None, None
        self.handles = []
        # One around another optimizer may have inherited the function without what it needs.
        if hasattr(optimizer, "_optimizer_step_pre_hooks"):
            self.handles = [optimizer.register_step_pre_hook(lambda *_: self._scale()),
                            optimizer.register_step_post_hook(lambda *_: self._back())]
            return
        plain = optimizer.step

        def step(_, *args, **kwargs):
            self._scale()
            if not hasattr(plain, "_with_counter"):  # a scheduler that comes later does not count
                optimizer._step_count = getattr(optimizer, "_step_count", 0) + 1
            try:
                return plain(*args, **kwargs)
            finally:
                self._back()

        step._with_counter = True  # what old schedulers look for
        optimizer.step = types.MethodType(step, optimizer)  # a scheduler binds it once more

    def value(self):
        """That of the first group, as it was used last: a scheduler may have set the next one."""
        return self._now() if self._used is None else self._used

    def _now(self):
        return self._groups.param_groups[0]["lr"] * self.factor

    def _scale(self):
        self._back()  # where a step ended with an exception
        self._used = self._now()
        if self.factor == 1.0:
            return
        self._plain = [g["lr"] for g in self._groups.param_groups]
        for g in self._groups.param_groups:
            g["lr"] = g["lr"] * self.factor

    def _back(self):
        if self._plain is None:
            return
        for g, lr in zip(self._groups.param_groups, self._plain):
            g["lr"] = lr
        self._plain = None
