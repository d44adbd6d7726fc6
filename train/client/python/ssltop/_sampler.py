"""The batches of `ssltop train` for a DataLoader: a batch_sampler that follows the mode."""

import ctypes
import random

WHY = 300


class Batches:
    """Indices of the batches still to come, this process's rows of each (batch is that of all
    ranks together). Iterating goes on after the last step that was made, so an epoch's loop and a
    resumed run need nothing of their own; it ends with the run, when `epoch` steps are drawn, or
    when somebody stops the training."""

    def __init__(self, run, n, batch, steps, schedule, chunks, seed, epoch):
        self._run = run
        self.n, self.batch, self.steps, self.seed = n, batch, steps, seed
        self.schedule, self.chunks, self._epoch = schedule, chunks, epoch
        self.drawn = run.made  # the next batch to be drawn

    def __len__(self):
        left = max(0, self.steps - self._run.made)
        return min(left, self._epoch) if self._epoch else left

    def __iter__(self):
        self.drawn = self._run.made
        end = self.drawn + len(self)
        while self.drawn < end and not self._run.stop:
            self.drawn += 1
            yield self.at(self.drawn - 1)

    def at(self, step):
        """The images of this step."""
        if not 0 <= step < self.steps:
            raise IndexError(f"the run has no step {step}")
        rank, ranks = self._run.rank, self._run.ranks
        return self._whole(step)[self.batch * rank // ranks:self.batch * (rank + 1) // ranks]

    def state_dict(self):
        return {"step": self._run.made, "plan": self._plan(), "n": self.n, "batch": self.batch,
                "steps": self.steps, "seed": self.seed}

    def load_state_dict(self, state):
        """Go on after the last step that was made then, with the switches of then."""
        for key in ("n", "batch", "steps", "seed"):
            if state[key] != getattr(self, key):
                raise ValueError(f"the state is of a run with {key} {state[key]}, this one has "
                                 f"{getattr(self, key)}")
        self._take(state["plan"])
        self._run.made = self.drawn = state["step"]


class Shuffled(Batches):
    """Where there is no library: permutations of all images one after the other."""

    def __init__(self, *of):
        super().__init__(*of)
        if not 0 < self.batch <= self.n:
            raise ValueError(f"batches of {self.batch} images, and {self.n} images")
        self._pass, self._order = None, None

    def _whole(self, step):
        begun, at = divmod(step, self.n // self.batch)
        if self._pass != begun:
            self._pass, self._order = begun, list(range(self.n))
            random.Random(f"{self.seed} {begun}").shuffle(self._order)
        return self._order[at * self.batch:(at + 1) * self.batch]

    def _plan(self):
        return ""

    def _take(self, plan):
        if plan:
            raise ValueError("the state is of ssltop's sampler, whose library is not here")


class Sampler(Batches):
    """What the library draws."""

    def __init__(self, run, library, *of):
        super().__init__(run, *of)
        self._library = library
        self._index = (ctypes.c_int64 * self.batch)()
        why = ctypes.create_string_buffer(WHY)
        self._s = library.sampler_new(self.n, self.batch, self.steps, self.seed,
                                      self.schedule.encode(), self.chunks, why, WHY)
        if not self._s:
            raise ValueError(why.value.decode())

    def __del__(self):
        if getattr(self, "_s", None):
            self._library.sampler_free(self._s)
            self._s = None

    def _whole(self, step):
        if self._library.sampler_batch(self._s, step, self._index) < 0:
            raise MemoryError(f"the batch of step {step}")
        return self._index

    def mode(self, step):
        """(0 multi-epoch, 1 continual, 2 cumulative; its chunk or -1)"""
        chunk = ctypes.c_int()
        return self._library.sampler_at(self._s, step, ctypes.byref(chunk)), chunk.value

    def switch(self, start, mode, chunks=0):
        """This mode over so many chunks (0: the run's) from step `start` on; ValueError."""
        why = ctypes.create_string_buffer(WHY)
        if self._library.sampler_switch(self._s, start, mode, chunks, why, WHY) < 0:
            raise ValueError(why.value.decode())

    def until(self, start, step, mode, chunks=0):
        """What is planned from step `start` on is this mode from `step` on; ValueError."""
        why = ctypes.create_string_buffer(WHY)
        if self._library.sampler_until(self._s, start, step, mode, chunks, why, WHY) < 0:
            raise ValueError(why.value.decode())

    def _plan(self):
        size = 1 << 16
        text = ctypes.create_string_buffer(size)
        length = self._library.sampler_plan(self._s, text, size)
        if not 0 <= length < size:
            raise MemoryError("the plan has too many switches")
        return text.value.decode()

    def _take(self, plan):
        why = ctypes.create_string_buffer(WHY)
        if self._library.sampler_take(self._s, plan.encode(), why, WHY) < 0:
            raise ValueError(why.value.decode())
