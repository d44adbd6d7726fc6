"""A run: what the script's steps hand over, and what is ordered of it meanwhile."""

import atexit
import ctypes
import json
import os
import sys
import traceback
from collections import deque

from . import _library as lib
from . import _ranks, _rows
from ._gather import gather, tensor_of
from ._rows import Pinned, is_tensor, rows_of
from ._sampler import WHY, Sampler, Shuffled
from ._watch import Hook, Rate

LATE = 8  # steps that may be on their way from the GPU
PAUSED_MS, LATE_MS = 1000, 20
_GO_ON, _ORDER, _PAUSED = range(3)  # what rank 0 tells the others

_current = None  # the run of this process


class _Step:
    """What is known of a step, until the recorder can have it."""

    __slots__ = ("step", "rows", "loss", "lr", "scalars", "mode")

    def numbers(self):
        return [self.loss, self.lr, *self.scalars.values()]

    def here(self):
        """Whether nothing of it comes from a GPU."""
        for _, _, r in self.rows:
            if r.event is not None:
                return False
        for x in self.scalars.values():
            if x.__class__ is not float:
                return False
        return self.loss.__class__ is float and self.lr.__class__ is float

    def ready(self):
        return all(r.ready() for _, _, r in self.rows) and all(
            n.event.query() for n in self.numbers() if isinstance(n, _Number))


class _Number:
    """One number on its way from a GPU."""

    __slots__ = ("at", "event")

    def __init__(self, x, pinned):
        self.at, self.event = _rows.travel(x.detach().reshape(()), pinned)


def _number(x, pinned):
    """A Python number, or one on its way."""
    if x is None:
        return float("nan")
    if is_tensor(x) and _rows.on_card(x):
        return _Number(x, pinned)
    return float(x.item() if hasattr(x, "item") else x)


def _texts(config):
    """A configuration as a JSON object of texts, of a size that the recorder takes."""
    if config is not None and not hasattr(config, "items"):
        config = vars(config)
    out, room = {}, 20000
    for key, value in (config or {}).items():
        key, text = (_utf8(x).decode() for x in (str(key), str(value)[:400]))
        room -= len(json.dumps({key: text}))
        if value is not None and room > 0:
            out[key] = text
    return json.dumps(out)


def _utf8(text, size=None):
    """Of whatever Python calls a text (a file's name that is none, say); so many bytes at most."""
    return text.encode("utf-8", "replace")[:size]


def _short(why):
    """What an exception says, in a line."""
    return " ".join(f"{why}".split())[:200] or type(why).__name__


class Run:
    """What ssltop.init gives. Where nothing records, its functions do nothing."""

    def __init__(self, library, required, rank, agree, all_ranks, settings):
        self._library, self._required, self._settings = library, required, settings
        self._rank_given, self._agree, self._gather = rank, agree, all_ranks
        self._pid = os.getpid()
        self._client = self._ranks = self._sampler = self._rate = None
        self._folder = ""
        self._started = self._joined = self._over = self._agreeing = False
        self._lives = True  # the recorder, as rank 0 knows
        self._direct = not all_ranks  # no step is late: what is handed over is of the next one
        self._lost = 0
        self._left = None  # the script, with this failure
        self._seen, self._late, self._handles = {}, deque(), []
        self._do, self._pinned, self._said, self._watched = {}, Pinned(), {}, set()
        self.made = 0  # steps
        self.stop = False

    def __reduce__(self):
        """A copy, or what is read from a file (of a checkpoint with all arguments, say), records
        nothing."""
        return _no_run, ()

    # ------------------------------------------------------------ what the script offers

    def watch(self, opt=None, joined=False, **places):
        """Take features from modules: h=, the encoder's output, and z=, the projector's (any two
        names more). The first and the second call of a module in a step, in training mode, are
        its two views; joined=True: one call has both, one behind the other. opt: the optimizer,
        whose learning rate is shown and can be changed from the terminal."""
        for place, module in places.items():
            self._watched.add(place)
            hook = Hook(self._see, module, place, joined)
            self._handles.append(module.register_forward_hook(hook))
        if opt is not None:
            self._rate = Rate(opt)
            self._handles += self._rate.handles
        return self

    def on(self, what, function):
        """function(steps made) is called when a "checkpoint" or an "evaluate" is asked for, on
        every rank; a text that it returns is shown. "evaluate" may return what probe takes."""
        if what not in ("checkpoint", "evaluate"):
            raise ValueError(f'"{what}": there are "checkpoint" and "evaluate"')
        self._do[what] = function
        return self

    def sampler(self, n, batch, steps=None, schedule="multi-epoch", chunks=0, seed=1, epochs=None):
        """A batch_sampler with the batches of `ssltop train` with these options. epochs instead
        of steps: each iteration is one epoch of n // batch steps."""
        if (steps is None) == (epochs is None):
            raise ValueError("how long: steps= or epochs=")
        epoch = n // batch if epochs else None
        try:
            library = self._library or lib.load()
        except OSError as why:
            if schedule != "multi-epoch":
                raise ValueError(f"there is no schedule {schedule} without ssltop's library: "
                                 f"{why}") from None
            self._say("without its library batches are shuffled images, not those of ssltop train")
            return Shuffled(self, n, batch, steps or epochs * epoch, schedule, chunks, seed, epoch)
        self._sampler = Sampler(self, library, n, batch, steps or epochs * epoch, schedule, chunks,
                                seed, epoch)
        return self._sampler

    # ------------------------------------------------------------ what it says

    @property
    def run(self):
        """The run folder; "" where nothing records. Starts the recorder when no step has yet:
        what the training can do is offered before."""
        self._start()
        return self._folder

    @property
    def dropped(self):
        """Steps that the recorder could not take."""
        return self._lost + (self._library.dropped(self._client) if self._client else 0)

    @property
    def rank(self):
        return self._who().rank

    @property
    def ranks(self):
        return self._who().ranks

    # ------------------------------------------------------------ a step

    def step(self, loss=None, h=None, z=None, lr=None, **scalars):
        """A step is made. h, z: features n x d, or a tuple of two views, where no module is
        watched; scalars of the script's own by name. Carries out what was ordered; waits while the
        training is paused."""
        step, self.made = self.made, self.made + 1
        seen, self._seen = self._seen, {}
        self._left = None
        if self._over or self._pid != os.getpid():
            return
        self._start()
        self._join()
        together = self._together()
        for place in self._watched - seen.keys() if self._client else ():
            self._say(f"{place}: the module that is watched gave nothing in a step: it is not in "
                      "training mode, was compiled before, or something leaves its hooks out")
        if self._client or together:
            for place, x in (("h", h), ("z", z)):
                if x is not None:
                    seen[place] = self._views(place, x)
        if together:
            seen = gather(self._who().among, seen, self._pinned, self._say) if (
                self._agreeing and self._lives) else {}
        if self._client:
            self._record(step, seen, loss, lr, scalars)
        if self._client or self._agreeing:
            self._obey()

    def probe(self, features, labels, test_features, test_labels):
        """Evaluate features of labelled images (0, 1, ...), network in evaluation mode: the exact
        spectrum of the training split, and what a fast probe and the nearest neighbours fitted on
        it tell of the test split. They are copied; the recorder does it beside the training."""
        self._start()
        if not self._client or self._over or self._pid != os.getpid():
            return
        self._flush(wait=True)  # it is of the network after these steps
        split, kept = [], []
        for x, y in ((features, labels), (test_features, test_labels)):
            r = rows_of(x, self._pinned)
            y = y.tolist() if hasattr(y, "tolist") else list(y)
            if len(y) != r.n:
                raise ValueError(f"{r.n} features and {len(y)} labels")
            if kept and (r.d, r.type) != (kept[0][0].d, kept[0][0].type):
                raise ValueError("features of two kinds")
            if r.event is not None:
                r.event.synchronize()
            kept.append((r, (ctypes.c_int32 * r.n)(*y)))
            split.append(lib.Split(r.pointer, r.n, r.stride, ctypes.addressof(kept[-1][1])))
        if self._library.probe(self._client, *split, r.d, r.type) < 0:
            self._say("an evaluation is left out: its features cannot be taken")
        for r, _ in kept:
            if r.pinned is not None:
                self._pinned.give(r.pinned)

    def _together(self):
        """Whether the features of all ranks become one step's."""
        return self._gather and self._who().ranks > 1

    def _views(self, place, x):
        views = x if isinstance(x, (tuple, list)) else (x,)
        try:
            if self._together():
                return [rows_of(v if is_tensor(v) else tensor_of(v), None) for v in views[:2]]
            return [rows_of(v, self._pinned) for v in views[:2]]
        except Exception as why:  # whatever it is, the training goes on
            self._leave_out(place, why)
            return []

    def _leave_out(self, what, why):
        self._say(f"{what} is left out: {_short(why)}", (what, type(why)))

    def _number(self, what, x):
        if x.__class__ is float:
            return x
        try:
            return _number(x, self._pinned)
        except Exception as why:
            self._leave_out(what, why)
            return float("nan")

    def _see(self, place, output, joined):
        """What a watched module gave."""
        seen = self._seen.setdefault(place, [])
        if len(seen) >= 2 or self._over or self._pid != os.getpid():
            return
        if self._who().rank and not self._gather:
            return
        while isinstance(output, (tuple, list)) and output:
            output = output[0]
        if joined and self._together() and is_tensor(output):  # whose views travel by themselves
            seen += self._views(place, output[:len(output) // 2 * 2].chunk(2))
            return
        for rows in self._views(place, output):
            seen += [self._taken(place, view, r) for view, r in enumerate(
                rows.halves() if joined else [rows], len(seen))]

    def _taken(self, place, view, r):
        """Rows of a module that are copied now, while they are in the processor's caches: None; or
        they stay until the step is made."""
        if (self._client and self._direct and r.event is None and view < 2 and
                self._library.features(self._client, place.encode(), view, r.pointer, r.n, r.d,
                                       r.stride, r.type) == 0 and
                self._library.copied(self._client)):
            return None
        return r

    def _record(self, step, seen, loss, lr, scalars):
        s = _Step()
        s.step = step
        s.rows = [(place, view, rows) for place, views in seen.items()
                  for view, rows in enumerate(views[:2]) if rows is not None]
        s.loss = self._number("loss", loss)
        if lr is None and self._rate:
            lr = self._rate.value()
        s.lr = self._number("lr", lr)
        s.scalars = {name: self._number(name, x) for name, x in scalars.items()}
        s.mode = self._sampler.mode(step) if self._sampler is not None else (-1, -1)
        if self._direct and s.here():  # the usual case on a CPU, and the quick one
            self._hand_over(s)
            return
        taken = self._direct and any(rows is None for views in seen.values() for rows in views)
        self._direct = False
        if taken:  # what modules gave of this step is in the ring already: it comes first
            self._late.append(s)
            self._flush(wait=True)
            return
        self._library.made(self._client, step)
        self._late.append(s)
        self._flush()
        while len(self._late) > LATE:  # the script queues far ahead: the oldest go unrecorded
            self._free(self._late.popleft())
            self._lost += 1

    def _flush(self, wait=False):
        """Hand over the steps whose features are there."""
        while self._late and (wait or self._late[0].ready()):
            s = self._late.popleft()
            if wait:
                for x in [r for _, _, r in s.rows] + s.numbers():
                    if getattr(x, "event", None) is not None:
                        x.event.synchronize()
            self._hand_over(s)
            self._free(s)

    def _hand_over(self, s):
        library, c = self._library, self._client
        for place, view, r in s.rows:
            if r.changed():
                self._say(f"{place} was changed in place after the module gave it: watch a module "
                          "behind that")
            if library.features(c, place.encode(), view, r.pointer, r.n, r.d, r.stride,
                                r.type) < 0:
                self._say(f"{place} is left out: {r.n} x {r.d} cannot be taken (rows of at most "
                          "32768 numbers can)", (place, "size"))
        for name, x in s.scalars.items():
            taken = _utf8(name).replace(b"\0", b"?")
            if library.scalar(c, taken, self._value(x)) < 0:
                why = ("there are 64 names at most" if 0 < len(taken) < 32 else
                       "a name has 1 to 31 bytes")
                self._say(f"a scalar is left out: {why}, and this is '{name[:60]}'", why)
        library.mode_is(c, *s.mode)
        library.end_step(c, s.step, self._value(s.loss), self._value(s.lr))

    @staticmethod
    def _value(x):
        return float(x.at) if isinstance(x, _Number) else x

    def _free(self, s):
        for x in [r.pinned for _, _, r in s.rows] + [
                n.at for n in s.numbers() if isinstance(n, _Number)]:
            if x is not None:
                self._pinned.give(x)

    # ------------------------------------------------------------ orders

    def _obey(self):
        """Whatever was ordered. Among ranks: what rank 0 was told, agreed on by all."""
        order = lib.Order()
        while True:
            got = self._ask(order)
            if got == _GO_ON:
                return
            if got == _PAUSED:
                self._flush()
                continue
            ok, step, text = self._carry_out(order)
            if self._client:
                self._library.answer(self._client, order, ok, step, _utf8(text, 240))

    def _ask(self, order):
        got = 0
        if self._client:
            got = self._library.next_within(self._client, order,
                                            LATE_MS if self._late else PAUSED_MS)
            self.stop = bool(self._library.stopped(self._client))
        got = {0: _GO_ON, 1: _ORDER}.get(got, _PAUSED)
        if not self._agreeing:
            return got
        lives = bool(self._client and self._library.alive(self._client))
        said = self._who().agree([got, order.what, order.mode, order.chunks, order.factor,
                                  self.stop, order.step, lives])
        self._lives = bool(said[7])
        if not self._client:
            got, order.what, order.mode, order.chunks = (int(x) for x in said[:4])
            order.factor, self.stop, order.step = said[4], bool(said[5]), int(said[6])
        return got

    def _carry_out(self, order):
        """(whether, the step from which it holds, what to say)"""
        try:
            if order.what == lib.MODE and self._sampler is not None:
                start = max(self._sampler.drawn, self.made)
                if self._agreeing:
                    start = self._who().most(start)
                if order.step >= 0:
                    self._sampler.until(start, order.step, order.mode, order.chunks)
                    return 1, order.step, ""
                self._sampler.switch(start, order.mode, order.chunks)
                return 1, start, ""
            if order.what == lib.RATE and self._rate is not None:
                self._rate.factor *= order.factor
                return 1, self.made, ""
            name = {lib.CHECKPOINT: "checkpoint", lib.EVALUATE: "evaluate"}.get(order.what)
            if name not in self._do:
                return 0, -1, "this training did not offer that"
            said = self._do[name](self.made)
            if name == "evaluate" and isinstance(said, (tuple, list)):
                self.probe(*said)
            return 1, self.made, said if isinstance(said, str) else ""
        except Exception as why:  # an order that fails does not end a training
            if not isinstance(why, ValueError):
                traceback.print_exc()
            return 0, -1, _short(why)

    # ------------------------------------------------------------ begin and end

    def _who(self):
        if self._ranks is None or (self._ranks.ranks == 1 and not self._joined):
            self._ranks = _ranks.find(self._rank_given, self._agree)
        return self._ranks

    def _start(self):
        """The recorder, once the script has offered what it will; on rank 0."""
        if self._started or self._over or self._pid != os.getpid():
            return
        self._started = True
        if not self._library or self._rank_given or self._who().rank:
            return
        given, s = dict(self._settings), self._sampler
        if s is not None:  # one that has drawn all is false
            given.update(steps=s.steps, images=s.n, batch=s.batch, seed=s.seed, chunks=s.chunks,
                         schedule=s.schedule.encode())
        can = {lib.CHECKPOINT: "checkpoint" in self._do, lib.EVALUATE: "evaluate" in self._do,
               lib.MODE: s is not None, lib.RATE: self._rate is not None}
        given["can"] = sum(1 << what for what, offered in can.items() if offered)
        why = self._open_under_a_name(given)
        if self._client:
            self._folder = os.fsdecode(self._library.run(self._client))
            for text in self._said.values():  # before there was anybody to hear it
                self._library.warn(self._client, _utf8(text, 240))
        else:
            _missing(why, self._required)

    def _open_under_a_name(self, given):
        """The recorder; why there is none. A script or a notebook's cell that is run again has a
        run of its own, NAME-2, and so has one that is run twice at the same time."""
        name, runs = given["name"], given["runs"] or os.fsencode(os.environ.get("SSLTOP_RUNS") or
                                                                 "runs")
        why = ctypes.create_string_buffer(WHY)
        for number in range(1, 1000):
            if number > 1:
                given["name"] = name + b"-%d" % number
            if name and os.path.exists(os.path.join(runs, given["name"])):
                continue
            self._client = self._library.open(lib.Settings(**given), why, WHY)
            if self._client or not name or not any(  # another may be just starting it
                    os.path.exists(os.path.join(runs, folder % given["name"]))
                    for folder in (b"%s", b".%s.new")):
                break
        if number > 1 and self._client:
            print(f"ssltop: there is a run {os.fsdecode(name)}: this one is "
                  f"{os.fsdecode(given['name'])}", file=sys.stderr)
        return why.value.decode("utf-8", "replace")

    def _join(self):
        """The other ranks, whether or not this one records."""
        if self._joined:
            return
        self._joined = True
        if self._who().ranks > 1:
            self._agreeing = bool(self._who().agree([1.0 if self._client else 0.0])[0])

    def _say(self, text, once=None):
        """A warning for log and screen; once of a kind, where its text has more in it."""
        if (once or text) in self._said:
            return
        self._said[once or text] = text
        print(f"ssltop: {_utf8(text).decode()}", file=sys.stderr)
        if self._client:
            self._library.warn(self._client, _utf8(text, 240))

    def finish(self, failed=None):
        """End the run; failed: a text, why."""
        self._end(lib.FAILED if failed else lib.STOPPED if self.stop else lib.FINISHED,
                  failed or "")

    def _end(self, reason, text):
        global _current
        if self._over:
            return
        self._over = True
        if _current is self:
            _current = None
        for handle in self._handles:
            handle.remove()
        if self._rate is not None:
            self._rate.factor = 1.0
        client, mine = self._client, self._pid == os.getpid()
        if client and mine:
            try:
                self._flush(wait=reason != lib.FAILED)
            except Exception:  # of a device that failed
                pass
        self._late.clear()
        self._client = None
        if client:
            self._lost += self._library.dropped(client)
            self._library.close(client, reason, _utf8(" ".join(text.split()), 240))

    def __enter__(self):
        return self

    def __exit__(self, kind, value, _):
        self._end(*(_why(kind, value) if kind else
                    (lib.STOPPED if self.stop else lib.FINISHED, "")))


def _why(kind, value):
    """How a run ends whose script ends with this exception."""
    if issubclass(kind, KeyboardInterrupt):
        return lib.STOPPED, "Ctrl-C"
    if issubclass(kind, SystemExit) and not value.code:
        return lib.FINISHED, ""
    return lib.FAILED, f"{kind.__name__}: {value}"


def _missing(why, required):
    if required:
        raise RuntimeError(f"ssltop: {why}")
    print(f"ssltop: this training is not recorded: {why}", file=sys.stderr)


def _no_run():
    run = Run(None, False, None, None, False, {})
    run._over = True
    return run


def _at_exit():
    if _current is not None and _current._pid == os.getpid():
        _current.finish(failed=_current._left)


def _install():
    before, leave = sys.excepthook, sys.exit

    def hook(kind, value, trace):
        before(kind, value, trace)
        if _current is not None:
            _current._end(*_why(kind, value))

    def leaves(code=None):
        # Why, should nobody stop it: nothing tells at the end. The first of several knows best.
        if code and _current is not None and not _current._left:
            why = sys.exc_info()[1]  # a launcher's that has caught it, torch.multiprocessing's say
            _current._left = _why(*(type(why), why) if isinstance(why, Exception) else
                                  (SystemExit, SystemExit(code)))[1]
        leave(code)

    sys.excepthook, sys.exit = hook, leaves
    atexit.register(_at_exit)


def _bytes(text):
    return None if text is None else os.fsencode(text)


_installed = False


def init(name=None, runs=None, config=None, rank=None, calibration=None, guard=None,
         required=False, steps=0, images=0, batch=0, agree=None, whole=False, gather=False):
    """A run of ssltop for this training; it begins with its first step.

    name, runs: of the run and of the folder of runs. config: a dict or argparse's namespace, for
    the log; data, arch, width, method in it are shown and choose a calibration. calibration, guard:
    as of `ssltop train`. rank: of torch.distributed where that is up. required: raise where
    nothing can be recorded, instead of saying so and going on. steps, images, batch: of the run,
    where w.sampler does not say. agree: where ranks are not torch's, f(numbers) gives those of
    rank 0. whole: the training waits until each step is measured, so that none is left out.
    gather: record the features of all ranks (of torch.distributed), not of rank 0."""
    global _current, _installed
    if gather and agree is not None:
        raise ValueError("gather=True needs torch.distributed: agree= is not enough for features")
    if _current is not None and _current._pid == os.getpid():
        _current.finish()
    library = None
    try:
        library = lib.load()
        if not rank and os.environ.get("RANK", "0") == "0" and lib.program() is None:
            raise OSError(f"{os.environ.get('SSLTOP') or 'ssltop'} is not found (in $PATH; or name "
                          "it: SSLTOP=/path/ssltop)")
    except OSError as why:
        library = None
        _missing(why, required)
    program = library and lib.program()
    settings = {"program": _bytes(program), "name": _bytes(name), "runs": _bytes(runs),
                "config": _texts(config).encode(), "calibration": _bytes(calibration),
                "guard": _bytes(guard), "steps": steps, "images": images, "batch": batch,
                "whole": int(whole)}
    _current = Run(library, required, rank, agree, gather, settings)
    if not _installed:
        _install()
        _installed = True
    _current._who()  # a group that ranks make, they make together
    return _current
