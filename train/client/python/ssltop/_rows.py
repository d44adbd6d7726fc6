"""Rows of features in whatever holds them, as the C library takes them: a pointer and sizes.

Nothing is copied that lies in the host's memory; what lies on a GPU travels into pinned memory
behind what is queued there, and is read a step later. Nothing waits for the device."""

import ctypes
import sys
from ctypes import c_char_p, c_int, c_int32, c_int64, c_size_t, c_ssize_t, c_uint8, c_uint16
from ctypes import c_uint64, c_void_p, py_object

from ._library import BF16, F16, F32, F64

_TYPE = {"float16": F16, "bfloat16": BF16, "float32": F32, "float64": F64}
_LETTER = {"e": F16, "f": F32, "d": F64}
_SIZE = {F16: 2, BF16: 2, F32: 4, F64: 8}


class Rows:
    """n rows of d numbers of a type, `stride` numbers apart, at `pointer`; `keep` owns them."""

    __slots__ = ("pointer", "n", "d", "stride", "type", "keep", "event", "pinned", "version")

    def __init__(self, pointer, n, d, stride, kind, keep):
        self.pointer, self.n, self.d, self.stride = pointer, n, d, stride
        self.type, self.keep = kind, keep
        self.event = self.pinned = self.version = None

    def halves(self):
        """The two views of a batch that was made of both, one behind the other."""
        half = self.n // 2
        out = []
        for first in (0, half):
            at = self.pointer + first * self.stride * _SIZE[self.type]
            part = Rows(at, half, self.d, self.stride, self.type, self.keep)
            part.event, part.version = self.event, self.version
            out.append(part)
        out[1].pinned = self.pinned  # given back once both are read
        return out

    def ready(self):
        return self.event is None or self.event.query()

    def changed(self):
        """Whether somebody wrote over them since they were seen."""
        return self.version is not None and self.keep._version != self.version


class Pinned:
    """Buffers in pinned memory that are used again and again."""

    def __init__(self):
        self.free = {}

    def take(self, torch, shape, dtype):
        stack = self.free.setdefault((tuple(shape), dtype), [])
        return stack.pop() if stack else self.new(torch, shape, dtype)

    @staticmethod
    def new(torch, shape, dtype):
        return torch.empty(shape, dtype=dtype, pin_memory=True)

    def give(self, t):
        self.free[(tuple(t.shape), t.dtype)].append(t)


def is_tensor(x):
    torch = sys.modules.get("torch")
    return torch is not None and isinstance(x, torch.Tensor)


def on_card(x):
    """Whether it lies on a GPU, for whose work nobody waits."""
    return x.device.type == "cuda"


def travel(x, pinned):
    """A tensor of a GPU on its way to the host: (pinned tensor, event)."""
    torch = sys.modules["torch"]
    if torch.cuda.is_current_stream_capturing():
        raise TypeError("it is part of a CUDA graph, which runs without Python: hand over what the "
                        "graph leaves (w.step(h=...))")
    with torch.cuda.device(x.device):
        to = pinned.take(torch, x.shape, x.dtype)
        to.copy_(x, non_blocking=True)
        event = torch.cuda.Event()
        event.record()
    return to, event


_KIND = {}  # of PyTorch's types, by theirs


def _of_tensor(x, pinned):
    """pinned None: it stays where it is, and so does the pointer."""
    torch = sys.modules["torch"]
    if not _KIND:
        _KIND.update((getattr(torch, name), kind) for name, kind in _TYPE.items())
    x = x.detach()
    if x.dim() < 2:
        raise TypeError(f"features are n x d, and it has {x.dim()} dimension{'s' * (x.dim() != 1)}")
    if x.dtype not in _KIND:
        x = x.to(torch.float32)
    if x.dim() != 2:
        x = x.flatten(1)
    event = None
    if on_card(x):
        if pinned is not None:
            x, event = travel(x, pinned)
    elif x.device.type != "cpu":
        x = x.cpu()  # no events to ask there
    if x.shape[1] > 1 and x.stride(1) != 1:
        x = x.contiguous()
    stride = x.stride(0) if x.shape[0] > 1 else x.shape[1]
    if stride < x.shape[1]:
        x = x.contiguous()
        stride = x.shape[1]
    rows = Rows(x.data_ptr(), x.shape[0], x.shape[1], stride, _KIND[x.dtype], x)
    rows.event = event
    if event is not None:
        rows.pinned = x
    else:
        try:
            rows.version = x._version
        except RuntimeError:  # tensors of inference mode have none
            pass
    return rows


def _of_shape(pointer, shape, strides, kind, keep):
    """strides in numbers; None: rows one behind the other."""
    n, d = shape[0], 1
    for size in shape[1:]:
        d *= size
    packed = 1
    if strides:
        for size, step in zip(reversed(shape[1:]), reversed(strides[1:])):
            if size > 1 and step != packed:
                return None
            packed *= size
    stride = strides[0] if strides and n > 1 else d
    return Rows(pointer, n, d, stride, kind, keep) if stride >= d else None


class _Device(ctypes.Structure):
    _fields_ = [("kind", c_int32), ("id", c_int32)]


class _DLTensor(ctypes.Structure):
    _fields_ = [("data", c_void_p), ("device", _Device), ("ndim", c_int32), ("code", c_uint8),
                ("bits", c_uint8), ("lanes", c_uint16), ("shape", ctypes.POINTER(c_int64)),
                ("strides", ctypes.POINTER(c_int64)), ("offset", c_uint64)]


_CPU, _CUDA_HOST = 1, 3
_FLOAT, _BFLOAT = 2, 4
_capsule_pointer = ctypes.pythonapi.PyCapsule_GetPointer
_capsule_pointer.restype, _capsule_pointer.argtypes = c_void_p, [py_object, c_char_p]


def _of_dlpack(x):
    kind, _ = x.__dlpack_device__()
    if kind not in (_CPU, _CUDA_HOST):
        return None
    capsule = x.__dlpack__()
    t = _DLTensor.from_address(_capsule_pointer(capsule, b"dltensor"))
    types = {(_FLOAT, 16): F16, (_FLOAT, 32): F32, (_FLOAT, 64): F64, (_BFLOAT, 16): BF16}
    kind = types.get((t.code, t.bits))
    if kind is None or t.ndim < 2 or t.lanes != 1:
        raise TypeError("features are n x d of f16, bf16, f32 or f64")
    shape = t.shape[:t.ndim]
    strides = t.strides[:t.ndim] if t.strides else None
    return _of_shape(t.data + t.offset, shape, strides, kind, (capsule, x))


def _of_interface(x):
    about = x.__array_interface__
    kind = _LETTER.get({"2": "e", "4": "f", "8": "d"}.get(about["typestr"][2:]))
    if about["typestr"][:2] not in ("<f", "=f") or kind is None or len(about["shape"]) < 2:
        raise TypeError("features are n x d of f16, bf16, f32 or f64")
    strides = about.get("strides")
    if strides and any(s % _SIZE[kind] for s in strides):
        return None
    strides = strides and [s // _SIZE[kind] for s in strides]
    return _of_shape(about["data"][0], about["shape"], strides, kind, x)


class _Buffer(ctypes.Structure):
    _fields_ = [("buf", c_void_p), ("obj", c_void_p), ("len", c_ssize_t), ("itemsize", c_ssize_t),
                ("readonly", c_int), ("ndim", c_int), ("format", c_char_p),
                ("shape", ctypes.POINTER(c_ssize_t)), ("strides", ctypes.POINTER(c_ssize_t)),
                ("suboffsets", ctypes.POINTER(c_ssize_t)), ("internal", c_void_p)]


_get_buffer = ctypes.pythonapi.PyObject_GetBuffer
_get_buffer.restype, _get_buffer.argtypes = c_int, [py_object, ctypes.POINTER(_Buffer), c_int]
_release_buffer = ctypes.pythonapi.PyBuffer_Release
_release_buffer.restype, _release_buffer.argtypes = None, [ctypes.POINTER(_Buffer)]


class _Held:
    """A buffer, let go when nobody needs it any more."""

    def __init__(self, x):
        self.view = _Buffer()
        _get_buffer(x, ctypes.byref(self.view), 0x1c)  # PyBUF_STRIDES | FORMAT

    def __del__(self):
        _release_buffer(ctypes.byref(self.view))


def _of_buffer(x):
    try:
        view = memoryview(x)
    except TypeError:
        raise TypeError(f"features are n x d, and this is of type {type(x).__name__}") from None
    kind = _LETTER.get(view.format.lstrip("<=@"))
    if kind is None or view.ndim < 2:
        raise TypeError("features are n x d of f16, bf16, f32 or f64")
    held = _Held(x)
    strides = [s // view.itemsize for s in view.strides]
    return _of_shape(held.view.buf, view.shape, strides, kind, held)


def rows_of(x, pinned):
    """Rows of a tensor, an array, or anything with __dlpack__ or a buffer; TypeError."""
    if is_tensor(x):
        return _of_tensor(x, pinned)
    if hasattr(x, "__array_interface__"):
        found = _of_interface(x)
        if found is None:
            found = _of_interface(x.copy())
    elif hasattr(x, "__dlpack__"):
        found = _of_dlpack(x)
        if found is None:  # on another device, or not in rows: by way of the host
            found = _of_interface(x.__array__().copy())
    else:
        found = _of_buffer(x)
    if found is None:
        raise TypeError("features whose rows do not lie in one piece")
    return found
