"""The C library behind this package: where it lies, and how its functions are called."""

import ctypes
import os
import shutil
from ctypes import (POINTER, Structure, c_char, c_char_p, c_double, c_int, c_int64, c_size_t,
                    c_uint, c_uint64, c_void_p)

NAME = "libssltop-client.so.1"
PAUSE, RESUME, STEP, STOP, CHECKPOINT, EVALUATE, MODE, RATE = range(8)
FINISHED, STOPPED, FAILED = range(3)
F16, BF16, F32, F64 = range(4)


class Settings(Structure):
    """ssltop_settings"""

    _fields_ = [("program", c_char_p), ("name", c_char_p), ("runs", c_char_p),
                ("config", c_char_p), ("calibration", c_char_p), ("guard", c_char_p),
                ("schedule", c_char_p), ("steps", c_int64), ("images", c_int64),
                ("batch", c_int64), ("seed", c_uint64), ("chunks", c_int), ("can", c_uint),
                ("whole", c_int)]


class Order(Structure):
    """ssltop_order"""

    _fields_ = [("id", c_uint64), ("what", c_int), ("mode", c_int), ("chunks", c_int),
                ("factor", c_double), ("by", c_char * 12), ("step", c_int64)]


class Split(Structure):
    """ssltop_split"""

    _fields_ = [("rows", c_void_p), ("n", c_int64), ("stride", c_int64), ("labels", c_void_p)]


_STRUCTS = {"settings": Settings, "order": Order, "split": Split}
_INDEX = POINTER(c_int64)
_FUNCTIONS = {
    "version": (c_char_p,),
    "size": (c_size_t, c_char_p),
    "open": (c_void_p, POINTER(Settings), c_char_p, c_size_t),
    "run": (c_char_p, c_void_p),
    "features": (c_int, c_void_p, c_char_p, c_int, c_void_p, c_int64, c_int64, c_int64, c_int),
    "copied": (c_int, c_void_p),
    "scalar": (c_int, c_void_p, c_char_p, c_double),
    "mode_is": (None, c_void_p, c_int, c_int),
    "made": (None, c_void_p, c_int64),
    "end_step": (None, c_void_p, c_int64, c_double, c_double),
    "next_within": (c_int, c_void_p, POINTER(Order), c_int),
    "answer": (None, c_void_p, POINTER(Order), c_int, c_int64, c_char_p),
    "stopped": (c_int, c_void_p),
    "dropped": (c_int64, c_void_p),
    "pending": (c_int64, c_void_p),
    "alive": (c_int, c_void_p),
    "warn": (None, c_void_p, c_char_p),
    "close": (None, c_void_p, c_int, c_char_p),
    "sampler_new": (c_void_p, c_int64, c_int, c_int64, c_uint64, c_char_p, c_int, c_char_p,
                    c_size_t),
    "sampler_free": (None, c_void_p),
    "sampler_batch": (c_int, c_void_p, c_int64, _INDEX),
    "sampler_at": (c_int, c_void_p, c_int64, POINTER(c_int)),
    "sampler_switch": (c_int, c_void_p, c_int64, c_int, c_int, c_char_p, c_size_t),
    "probe": (c_int, c_void_p, POINTER(Split), POINTER(Split), c_int64, c_int),
    "sampler_until": (c_int, c_void_p, c_int64, c_int64, c_int, c_int, c_char_p, c_size_t),
    "sampler_plan": (c_int, c_void_p, c_char_p, c_size_t),
    "sampler_take": (c_int, c_void_p, c_char_p, c_char_p, c_size_t),
}


class Library:
    """Its functions, without their ssltop_."""

    def __init__(self, path):
        so = ctypes.CDLL(path)
        for name, (result, *arguments) in _FUNCTIONS.items():
            try:
                function = getattr(so, "ssltop_" + name)
            except AttributeError:
                raise OSError(f"{path} is of another version: it has no ssltop_{name}") from None
            function.restype, function.argtypes = result, arguments
            setattr(self, name, function)
        for name, struct in _STRUCTS.items():
            theirs, mine = self.size(b"ssltop_" + name.encode()), ctypes.sizeof(struct)
            if theirs != mine:
                raise OSError(f"{path} is of another version ({self.version().decode()}): its "
                              f"ssltop_{name} has {theirs} bytes, this package's {mine}")


def program():
    """The ssltop that records: $SSLTOP, that of the archive that this package lies in, or the one in
    $PATH; None when there is none."""
    named = os.environ.get("SSLTOP")
    ours = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "bin", "ssltop")
    return shutil.which(named or ours) or (None if named else shutil.which("ssltop"))


def _places():
    named = os.environ.get("SSLTOP_CLIENT")
    if named:
        yield named
        return
    yield os.path.join(os.path.dirname(os.path.abspath(__file__)), NAME)
    found = program()
    if found:
        beside = os.path.dirname(os.path.realpath(found))
        yield os.path.join(beside, NAME)  # where it was built
        yield os.path.join(os.path.dirname(beside), "lib", NAME)


_loaded = None


def load():
    """The library; OSError with a sentence."""
    global _loaded
    if _loaded is None:
        path = next((p for p in _places() if os.path.exists(p)), None)
        if path is None and os.environ.get("SSLTOP_CLIENT"):
            raise OSError(f"$SSLTOP_CLIENT: there is no {os.environ['SSLTOP_CLIENT']}")
        _loaded = Library(path or NAME)  # the loader's own path comes last
    return _loaded
