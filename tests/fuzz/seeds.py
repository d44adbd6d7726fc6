#!/usr/bin/env python3
"""Write what the fuzzer begins with into tests/fuzz/seeds: `python3 tests/fuzz/seeds.py`, in the top folder. Needs
nothing but Python and zstd; photographs come from no library, so that every machine writes the same bytes."""
import json
import os
import pathlib
import struct
import subprocess
import zlib

TOP = pathlib.Path("tests/fuzz/seeds")
RUN = pathlib.Path("tests/fixtures/run-0.1.0")


def put(target, name, data):
    path = TOP / target / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data if isinstance(data, bytes) else data.encode())


def u8(*values):
    return bytes(v & 255 for v in values)


def u16(v):
    return struct.pack("<H", v)


# --- logs: some lines of a real run, and made ones for what it lacks ---
real = subprocess.run(["zstdcat", RUN / "run.jsonl.zst"], check=True, capture_output=True).stdout.decode().splitlines()
by_type = {}
for text in real:
    by_type.setdefault(json.loads(text)["type"], []).append(text)
run, steps, spectra, evals = by_type["run"][0], by_type["step"], by_type["spectrum"], by_type["eval"]
config = json.loads(run)["config"]
more = [
    '{"type":"event","step":2,"what":"mode","by":"key","from":"continual","to":"multi-epoch","text":""}',
    '{"type":"event","step":3,"what":"lr","by":"ctl","from":"1","to":"0.5","text":"0.5x"}',
    '{"type":"event","step":3,"what":"until","by":"ctl","from":"","to":"continual@2 at 30","text":""}',
    '{"type":"event","step":4,"what":"pause","by":"guard","from":"","to":"","text":"auc > 0.85"}',
    '{"type":"event","step":4,"what":"warning","by":"trainer","from":"","to":"","text":"slow \\u00e9\\u0007"}',
    '{"type":"event","step":3,"what":"resume","by":"trainer","from":"","to":"","text":""}',
    '{"type":"checkpoint","step":4,"file":"ckpt-4.safetensors"}',
    '{"type":"device","step":4,"utilization":97,"memory":{"used":1e9,"total":8e10},"power":300,"power_limit":700,'
    '"temperature":61,"clock":{"sm":1980,"memory":2619},"others":1,"others_memory":4e8,"others_text":"python 77"}',
    '{"type":"end","step":5,"reason":"finished","text":""}',
    '{"type":"later","step":5,"new":[1,{"a":null}]}',
]
own = json.loads(steps[3])
own["own"] = {"temperature": 0.5, "margin": None}
own.update(forecast=0.81, forecast_lo=0.78, forecast_hi=0.84, dropped=2)
theirs = json.loads(run)
theirs["writer"] = {"name": "ssltop-client", "version": "0.1.0"}
theirs["can"] = "pause resume step stop"
theirs["config"] = {"batch": "8", "lr": "0.1"}
theirs["parent"], theirs["parent_step"] = "before", 10
for i, text in enumerate([run, json.dumps(theirs), steps[0], json.dumps(own), spectra[0], evals[0]] + more):
    put("step", f"{i:02d}-{json.loads(text)['type']}", text)
short = [run] + evals[:1] + steps[:3] + spectra[:3] + more
again = short + steps[2:5] + spectra[2:4] + more[-2:]
for name, how, lines in [("short", 0x11, short), ("again", 0x34, again), ("killed", 0x03, short[:8]), ("theirs", 0x12, [json.dumps(theirs), json.dumps(own)] + steps[:2])]:
    put("lines", name, u8(how) + "\n".join(lines).encode() + b"\n")
for name, how, h, w, keys, lines in [
        ("live", 2, 24, 80, "1234", short), ("large", 0, 59, 199, "5x.wl", again), ("ascii", 8, 23, 79, "a?", short),
        ("replay", 0x33, 23, 79, " <>g", again), ("two", 0x27, 35, 119, "oO2 ", short), ("small", 1, 9, 39, "\t", short[:6])]:
    put("viewer", name, u8(how, h, w, len(keys)) + keys.encode() + "\n".join(lines).encode() + b"\n")


some = [run, steps[0], spectra[0]]
put("watch", "followed", u8(3) + "\n".join(some).encode() + b"\n" + u8(4, 3) + u8(0) + steps[1].encode() + b"\n" + u8(0) +
    spectra[1].encode() + b"\n" + u8(6, 0) + u8(4, 0) + u8(3) + steps[1].encode() + b"\n" + u8(5, 0) + u8(7, 0, 7, 0))
put("watch", "cut", u8(1) + run.encode() + b"\n" + u8(2) + b'{"type":"answer","id":11,"ok":' + b"\n" + u8(1) + b'true,"lines":9}\n' +
    u8(0) + more[0].encode() + b"\n" + u8(0) + b"garbage\n")
put("watch", "empty", u8(0, 4, 200, 5))


def zstd(text):
    return subprocess.run(["zstd", "-q", "-c", "--check"], input=text, check=True, capture_output=True).stdout


plain = ("\n".join(short) + "\n").encode()
put("log", "one-frame", zstd(plain))
put("log", "two-frames", zstd(plain[:plain.index(b"\n") + 1]) + zstd("\n".join(steps[:2]).encode() + b"\n"))
put("log", "cut", zstd(plain)[:-9])
put("log", "plain", ("\n".join([run] + steps[:2])).encode())
put("log", "empty-frame", zstd(b"") + zstd(plain))
real_log = (RUN / "run.jsonl.zst").read_bytes()
put("log", "end-of-a-real-one", real_log[-600:])
put("log", "begin-of-a-real-one", real_log[:3000])


def holds(first, kind, lines):
    return (first & (1 << 56) - 1).to_bytes(7, "little") + u8(kind) + struct.pack("<I", lines)


def frame_op(what, *parts):
    return u8(what) + b"".join(u16(len(p)) + p for p in parts)


first, second = (run + "\n" + steps[0] + "\n").encode(), (spectra[0] + "\n").encode()
put("frames", "marked", frame_op(1, holds(0, 1, 2) + holds(0, 2, 1)) + frame_op(0, first) + frame_op(0, second))
rows = struct.pack("<IIII", 40, len(first), 30, len(second))
put("frames", "indexed", frame_op(0, first) + frame_op(0, second) + frame_op(2, holds(0, 1, 2) + holds(0, 2, 1), rows))
put("frames", "wrong", frame_op(0x81, holds(9, 3, 7)) + frame_op(0, first) + frame_op(3, b"garbage") + frame_op(0, second) +
    frame_op(0x84, b""))

# --- arrays, calibration ---
for path in sorted(pathlib.Path("tests/fixtures/npy").glob("*.npy")):
    if path.stat().st_size < 600:
        put("npy", path.stem, path.read_bytes())


def npy(header, data, version=1):
    header = header.encode() + b"\n"
    return b"\x93NUMPY" + u8(version, 0) + (u16(len(header)) if version == 1 else struct.pack("<I", len(header))) + header + data


put("npy", "wide", npy("{'descr': '<f4', 'fortran_order': False, 'shape': (3, 5), }", struct.pack("<15f", *range(15))))
put("npy", "third-version", npy("{'descr': '>f8', 'fortran_order': True, 'shape': (2L, 2)}", struct.pack(">4d", 1e200, 2, 3, -4), 3))
put("npy", "singular-values", npy("{'descr': '<f2', 'fortran_order': False, 'shape': (4,), }", b"\0\x3c\0\x3c\0\x38\0\0"))
one = npy("{'descr': '<f4', 'fortran_order': False, 'shape': (3, 2), }", struct.pack("<6f", *range(6)))
two = npy("{'descr': '|V2', 'fortran_order': False, 'shape': (4,), }", b"\x80\x3f\0\x40\0\x3f\x80\x3e")


def member(how, data):
    return u8(how) + u16(len(data)) + data


put("npz", "stored", u8(1) + member(0, one))
put("npz", "packed", u8(1) + member(8, one) + member(0x28, two))
put("npz", "wide", u8(1) + member(12, one) + member(0x40, b"no array"))
put("npz", "wrong", u8(1) + member(9, one) + member(0x2a, two) + member(0x70, two))
put("npz", "as-it-is", u8(0) + b"PK\5\6" + bytes(18))
calibration = json.loads(pathlib.Path("data/calibration/fashion-mnist-resnet18.json").read_text())
calibration["runs"] = calibration["runs"][:2]
put("calibration", "small", json.dumps(calibration))

# --- data sets ---


def idx(how, *files):
    return b"".join(u8(how) + u16(len(f)) + f for f in files)


images = struct.pack(">IIII", 0x803, 3, 2, 2) + bytes(range(12))
labels = struct.pack(">II", 0x801, 3) + b"\0\2\1"
for name, how in [("plain", 0), ("gz", 2), ("dots", 4), ("gz-cut", 10)]:
    put("idx", name, idx(how, images, labels, images, labels))
put("cifar", "ten", u8(1) + u8(2, 3, 9) + u8(1, 0) * 4 + u8(1, 7))
put("cifar", "hundred", u8(0) + u8(2, 3, 99, 19, 0) + u8(1, 1, 5))
put("cifar", "python", u8(3, 255, 255, 255, 255, 255, 255))
put("cifar", "too-long", u8(1, 0x19, 1))
put("stl", "small", u8(2, 2, 2, 1, 10, 1, 1, 9))
put("stl", "label-0", u8(1, 1, 1, 0, 1, 1, 1))


def folder(*paths):
    return b"".join(p.encode() + b"\n" + (u8(0) if isinstance(f, int) and not f else u8(2) if f == 2 else u8(1) + u16(len(f)) + f) for p, f in paths)


put("folder", "usual", folder(("train/a/1.png", 0), ("train/b/2.PNG", 0), ("val/a/3.png", 0), ("val/b/x.txt", 0), ("train/a/bad.jpg", b"no")))
put("folder", "others", folder(("Training/a/1.png", 0), ("validation/a/1.png", 0), ("testing/a/x.png", 0), ("train/c/deep/deeper/4.png", 0)))
put("folder", "flat", folder(("train/n1/1.png", 0), ("train/n2/2.png", 0), ("val/ILSVRC2012_val_00000001.png", 0), ("val.txt", b"n1\n")))
put("folder", "classes", folder(("a/1.png", 0), ("b/2.png", 0), ("b/again", 2), (".hidden/3.png", 0), ("c\x1b[31m/4.gif", 0)))


def pack_head(n, classes):
    return struct.pack("<8sII2I2q2qQQIi6fII", b"", 0, 64, 1, 2, *n, *n, 0, 0, 0, classes, *[0.5] * 6, 0, 0)


entry = struct.pack("<QiiiI", len(pack_head((1, 1), 0)) + 20, 2, 3, 0, 0)
body = struct.pack("<Iiii", 0x474d4950, 2, 3, 0) + struct.pack("<I", 0) + bytes(18)
put("pack", "two", u8(0x20) + pack_head((1, 1), 1) + body + entry * 2 + b"a\0")
put("pack", "unlabelled", u8(0) + pack_head((2, 0), 0) + body + entry * 2)
put("pack", "as-it-is", u8(7) + pack_head((1, 1), 1) + body + entry * 2)

# --- photographs: the smallest JPEG files that have all parts, and PNG of each kind ---


def segment(marker, data):
    return u8(0xff, marker) + struct.pack(">H", len(data) + 2) + data


def jpeg(width, height, planes, orientation=None, progressive=False, dri=False, adobe=None):
    out = u8(0xff, 0xd8) + segment(0xe0, b"JFIF\0\1\1\0\0\1\0\1\0\0")
    if orientation is not None:
        tiff = b"II*\0\x08\0\0\0" + u16(1) + struct.pack("<HHIHH", 0x112, 3, 1, orientation, 0) + b"\0\0\0\0"
        out += segment(0xe1, b"Exif\0\0" + tiff)
    if adobe is not None:
        out += segment(0xee, b"Adobe\0\x64\0\0\0\0" + u8(adobe))
    out += segment(0xdb, u8(0) + bytes([1] * 64))
    sampling = [0x22 if planes > 1 and not i else 0x11 for i in range(planes)]
    out += segment(0xc2 if progressive else 0xc0, struct.pack(">BHHB", 8, height, width, planes) +
                   b"".join(u8(i + 1, sampling[i], 0) for i in range(planes)))
    # Two codes each: 0 is "no difference" and "end of the block", 10 a difference of five bits and one step of one bit.
    out += segment(0xc4, u8(0x00, 1, 1) + bytes(14) + u8(0, 5)) + segment(0xc4, u8(0x10, 1, 1) + bytes(14) + u8(0x00, 0x11))
    if dri:
        out += segment(0xdd, u8(0, 1))
    wide = planes > 1
    across, down = -(-width // (16 if wide else 8)), -(-height // (16 if wide else 8))
    blocks = planes + 3 if wide else 1
    ac = "" if progressive else "0"
    bits, coded = "", b""
    for mcu in range(across * down):
        for block in range(blocks):
            k = mcu * blocks + block
            bits += ("10" + ("10101" if k % 2 else "01010") + ("" if progressive else "101")) if k % 3 == 0 else "0"
            bits += ac
        if dri or mcu + 1 == across * down:
            bits += "1" * (-len(bits) % 8)
            coded += bytes(int(bits[i:i + 8], 2) for i in range(0, len(bits), 8)).replace(b"\xff", b"\xff\0")
            bits = ""
            if dri and mcu + 1 < across * down:
                coded += u8(0xff, 0xd0 + mcu % 8)
    out += segment(0xda, u8(planes) + b"".join(u8(i + 1, 0) for i in range(planes)) + u8(0, 0 if progressive else 63, 0))
    out += coded
    for i in range(planes if progressive else 0): # the rest of each plane: every block ends at once
        n = -(-width // 8) * -(-height // 8) if not i else -(-width // 16) * -(-height // 16)
        out += segment(0xda, u8(1, i + 1, 0, 1, 63, 0)) + bytes(n // 8) + (u8(0xff >> n % 8) if n % 8 else b"")
    return out + u8(0xff, 0xd9)


crops = u8(8, 0, 0, 0, 40, 80, 0, 0, 0, 0)
for name, file in [("gray", jpeg(16, 16, 1)), ("colour", jpeg(33, 17, 3, 6)), ("cmyk", jpeg(9, 9, 4, adobe=2)),
                   ("progressive", jpeg(24, 24, 3, progressive=True)), ("restart", jpeg(40, 8, 1, 3, dri=True)),
                   ("large", jpeg(2000, 1500, 1, 8)[:900])]:
    put("jpeg", name, crops + file)


def chunk(name, data):
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))


def png(width, height, depth, colour, rows, more=b"", interlace=0):
    return (b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, interlace)) + more +
            chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b""))


exif = chunk(b"eXIf", b"MM\0*\0\0\0\x08\0\1\x01\x12\0\3\0\0\0\1\0\6\0\0\0\0\0\0")
palette = chunk(b"PLTE", bytes(range(12))) + chunk(b"tRNS", b"\0\x80")
for name, file in [("gray", png(4, 2, 8, 0, bytes(10))), ("rgb", png(3, 3, 8, 2, bytes(30), exif)),
                   ("palette", png(8, 2, 2, 3, b"\0\x1b\xe4\0\x1b\xe4", palette)), ("deep", png(2, 2, 16, 6, bytes(34))),
                   ("interlaced", png(8, 8, 8, 0, bytes(79), interlace=1))]:
    put("png", name, crops + u8(0) + file)
    put("png", name + "-right", crops + u8(1) + file)
put("png", "built", crops + u8(2, 0, 5, 3, 1, 0, 0) + bytes(range(90)))
put("png", "built-palette", crops + u8(2, 0, 5, 2, 2, 1, 12) + bytes(range(80)))

# --- options ---
ini = (RUN / "config.ini").read_text()
put("json", "a-run", json.dumps(config))
put("json", "byol", json.dumps({**config, "method": "byol", "tau": "0.996", "optimizer": "lars", "guard": "auc > 0.9: pause"}))
put("ini", "a-run", ini)
put("ini", "short", '[data]\ndata = images:/tmp\nimage-size = 96\n; a remark\nguard = " auc > 0.85 for 3 steps: lr 0.5x; loss < -1: stop"\n')
for path in sorted(pathlib.Path("data/recipes").glob("*.ini")):
    put("ini", path.stem, path.read_text())
put("arguments", "train", u8(0) + b"--data\nsynthetic:512:32\n--batch=64\n--no-predictor\n--schedule\ncontinual:40%,multi-epoch\n--lr\n0.5\n--headless\n")
put("arguments", "recipe", u8(0) + b"--recipe\nbyol-imagenet\n--data\nimages:/x\n--theme=mono\n--width=auto\n")
put("arguments", "metrics", u8(4) + b"f.npy\n--l2\n--json\n--\n--plot\n")
put("arguments", "export", u8(9) + b"run\n--format\nsvg\n-o\nx.svg\n--from\n3\n--columns=step,auc\n")
put("arguments", "nearest", u8(5) + b"--thrads\n3\n-h\n")
put("settings", "all", "[screen]\ntheme = mono\nascii = on\nmouse = off\naxis = linear\nvalues = absolute\nwaterfall = on\nlater = 3\n")
put("completion", "bash", "bash\nRUN|FILE ... [options]\nFILE.npy ... [options]\nimages:DIR|synthetic[:N] -o FILE [RUN]\n")
put("completion", "zsh", "zsh\ncheck|repair FILE\nit's \u00e9 \u009b31m\n")
put("completion", "fish", "fish\n\n[--json] RUN\n")

# --- tensors ---
header = {"__metadata__": {"step": "3", "steps": "9", "plan": "0:multi-epoch@1", "config": "{}", "threads": "1", "data_crc": "0"},
          "a": {"dtype": "F32", "shape": [2, 2], "data_offsets": [0, 16]}, "b": {"dtype": "BF16", "shape": [], "data_offsets": [16, 18]},
          "c": {"dtype": "F64", "shape": [1], "data_offsets": [18, 26]}, "d": {"dtype": "I64", "shape": [0], "data_offsets": [26, 26]}}
text = json.dumps(header).encode()
put("safetensors", "small", u8(1) + text + b"\0" + bytes(range(26)))
put("safetensors", "as-it-is", u8(0) + struct.pack("<Q", len(text)) + text + bytes(26))
for name, start in [("torch", b"PK\3\4"), ("lfs", b"version https://git-lfs.github.com/spec/v1\n"), ("page", b"<!DOCTYPE html>")]:
    put("safetensors", name, u8(0) + start + bytes(40))
put("checkpoint", "sound", "")
put("checkpoint", "steered", "step=30\nplan=0:continual@3,16:multi-epoch@3,20:cumulative@5\nrates=4:0.5,9:2\nguard=3,1;0,0\n"
    'config={"guard":"auc > 0.8 for 4 steps: pause; loss < 0: lr 0.5x","lr":"0.1"}\n')
put("checkpoint", "algorithms", "algorithms=x86-64-v2-7-f32:dd\nthreads=2\nprecision=bf16\n")
put("checkpoint", "odd", "step=9223372036854775807\nsteps=9223372036854775807\ndata_crc=ffffffff\nplan=0:continual\nextra\n")
put("weights", "as-it-is", u8(0))
put("weights", "checkpoint", u8(3))
put("weights", "prefix", u8(0) + u8(0, 0, 0, 0, 0) + b"module.encoder_q.\n")
put("weights", "wrapped-checkpoint", u8(1) + u8(0, 0, 0, 0, 0) + b"_orig_mod.backbone.\n")
put("weights", "missing", u8(0) + u8(1, 7, 0, 0, 0) + u8(3, 9, 0, 0, 0))
put("weights", "nan", u8(0) + u8(4, 0, 0, 1, 0, 0, 0, 0xc0, 0x7f) + u8(2, 3, 2, 0, 0))
put("weights", "more", u8(0) + u8(7, 0, 0, 0, 0) + b"fc.weight\n" + u8(6, 1, 0, 0, 0) + b"encoder.layer9\n")

put("checkpoint", "best", "best=probe:0.7:12:2:20\n")


def surrogate(*entries, numbers=b"\0\0\0\0\0\0\xf0\x3f"):
    return b"".join(n.encode() + b"\n" + u8(0, r, c) for n, r, c in entries) + b"\n" + numbers


put("surrogates", "all", surrogate(("mean", 4, 0), ("component", 3, 4), ("variance", 3, 0), ("centre.10", 10, 3), ("centre.30", 30, 3)))
put("surrogates", "mean", surrogate(("mean", 4, 0), numbers=b"\1\2\3\4\5\6\7\x40"))
put("surrogates", "wrong", surrogate(("mean", 4, 0), ("component", 60, 4), ("centre.100", 2, 3)))
head = '{"points":1,"data":"synthetic:128","arch":"resnet18","method":"simsiam"}\n'
point = '{"run":"%s","correct":15,"n":20,"exact":{"auc":0.8,"loss":-0.5,"ln_width":2},"live":{"auc":0.75},"offset":{},"zstd":1%s}\n'
put("points", "three", head + point % ("a", "") + point % ("a", ',"end":0.7') + point % ("b", ',"linear":0.8,"linear_n":90'))
put("points", "headless", point % ("a", ""))
put("points", "huge", head + point % ("a", ',"end":1e999'))
put("probe", "kept", '{"step": 700, "n_train": 60000, "n_test": 10000, "linear_correct": 8065}\n')
put("probe", "more", '{"step": 0, "n_train": 1, "n_test": 1, "linear_correct": 2}')
put("probe", "part", '{"step": 700, "n_train": 60000')
put("remembered", "there", "a key of words\n0.25 a key of words\n1e3 another\n")
put("remembered", "odd", "k\n1 k\nnan k\n 2 k\n0x1p3 k\n")

# --- steering ---
for i, line in enumerate([
        '{"id":1,"by":"key","cmd":"mode","mode":"continual","chunks":5}', '{"id":2,"cmd":"lr","factor":0.5}',
        '{"id":3,"cmd":"until","at":"40%","mode":"multi-epoch"}', '{"cmd":"watch"}', '{"id":4,"by":"ctl","cmd":"status"}',
        '{"type":"answer","id":1,"ok":true,"step":1284,"lines":7,"paused":false,"text":"continual from step 1284"}',
        "mode continual", "mode cumulative@7", "lr 0.5x", "until 40% then multi-epoch", "pause", "step", "eval", "checkpoint", "stop"]):
    put("control", f"{i:02d}", line)
put("guard", "one", b"auc > 0.85 for 3 steps: continual\0\xc8\xc9\xc8\x10")
put("guard", "many", b"auc >= 0.5: pause; loss < -0.9 for 2 steps: lr 0.5x; rankme <= 1: stop; spread < 1e-3: multi-epoch\0" + bytes(range(200, 240)))


def plan(n, batch, steps, chunks, text):
    return u8(1) + u16(n - 1) + u8(batch - 1) + struct.pack("<I", steps - 1)[:3] + u8(chunks) + text.encode()


put("schedule", "hybrid", plan(200, 8, 100, 5, "hybrid\nmode continual@3\nlr 0.5\nuntil multi-epoch at 40\n"))
put("schedule", "many", plan(1000, 16, 1000, 0, "continual@7:20%,cumulative:500,multi-epoch\n33.3%\n0:continual@3,16:multi-epoch@3\n4:0.5,9:2\n"))
put("schedule", "one", plan(5, 5, 1, 1, "cumulative\nguard pause\n"))


def guest(who, what, text=b"", turn=True, high=0):
    how = 0x40 * turn | high | what << 2
    how += (who - how % 3) % 3
    return u8(how) + (u8(len(text) // (17 if what == 3 else 1)) if what < 4 else b"") + text


put("socket", "watch", guest(0, 1, b'{"id":1,"cmd":"watch"}') + guest(0, 6, high=0x80) + guest(0, 7) + guest(0, 4))
put("socket", "two", guest(0, 1, b'{"id":1,"cmd":"pause"}') + guest(1, 0, b'{"id":2,"cm') + guest(1, 1, b'd":"stop"}\n{"id":3,"cmd":"x"}') +
    guest(2, 5) + guest(0, 6))
put("socket", "long", guest(0, 3, b"x" * 17 * 240) + guest(0, 3, b"y" * 17 * 20) + guest(0, 1, b'\n{"cmd":"status"}'))

# --- another's training ---
part = u8(0, 5, 1, 32, 5, 2)  # view 1 and 2 of h
slot = u8(0, 2) + part
features = struct.pack("<24f", *[((i * 7) % 11) / 3 for i in range(24)])
ring = u8(4) + slot + u8(len(features) // 4) + features
probe = u8(2 | 3 << 2, 11, 11) + u8(96) + features + bytes(i % 3 for i in range(24))
put("ring", "rows", u8(0) + ring)
put("ring", "probe", u8(1) + probe)
put("ring", "both", u8(0) + u8(8) + slot + u8(31, 2) + part + bytes(70) + u8(24) + features + u8(1) + probe)
put("ring", "wild", u8(0) + u8(7) + bytes([3] * 60))
hello = u8(0, 255) + b'foe 1\nname\n{"data":"mine","width":"4","method":"simsiam"}\nauc > 0.5: pause\nhybrid\n'


def say(kind, more=b"", id=0, what=0, step=0, text=None):
    return u8(kind) + more + u8(id, what, step) + (text + b"\n" if text is not None else b"")


put("client", "a-step", hello + say(4, ring) + say(6) + say(11, text=b"all done", what=0))
put("client", "scalars", hello + say(5, id=3, text=b"margin") + say(4, ring) + say(6) + say(9, text=b"careful") + say(8, id=1, what=1, text=b"no"))
put("client", "probe", hello + say(4, ring) + say(6) + say(10, probe) + say(11, what=2, text=b"failed"))
put("client", "greeting", u8(16, 0) + b"foe")

# --- the screen ---
esc = b"\x1b"
put("keys", "keys", b" nemjk\r:lr 0.5x\r/warn\r" + esc + b"[A" + esc + b"OB" + esc + b"[1;2C" + esc + b"[15~?q" + esc + u8(255, 10) + b"d")
put("keys", "mouse", esc + b"[<0;10;5M" + esc + b"[<64;70;20M" + esc + b"[M !!" + esc + b"[<0;3;24m" + u8(255, 130))
put("keys", "paste", esc + b"[200~stop\rq\x03" + esc + b"[201~:" + esc + b"[200~mode continual" + esc + b"[201~\r")
put("keys", "replies", esc + b"]11;rgb:0/0/0\x07" + esc + b"P1$r0m" + esc + b"\\" + esc + b"[?62;4c" + esc + b"[I" + esc + b"[O" + esc + b"x\xc2\x9b31m\xc3\xa9\xe2\xa3\xbf")
put("keys", "moves", b"4}{xX.,+-0[]tjkG/w\rn5" + esc + b"[5~" + esc + b"[6~3j" + esc + b"[H" + esc + b"[D" + esc + b"[1;2D" + b"x2wla1\t" + esc + b"[Z" +
    b":goto 5\r:\x01\x05\x7f" + esc + b"[A" + esc + b"[B\rq" + b"s" + u8(255, 129))
put("keys", "slow", esc + u8(255, 5) + b"[" + u8(255, 3) + b"A" + u8(255, 100) + b"eee" + u8(255, 20) + b"e" + u8(255, 148))
for i, text in enumerate(["mode continual", "lr 0.5x", "until 40% then multi-epoch", "goto 30%", "goto 7", "stop", "help", "quit", "w19", "pause"]):
    put("command", f"{i:02d}", u8(2 | 12 | (1 if text == "w19" else 0)) + text.encode() + b"\n" + u8(2) + b"\x02\x08\n" + u8(0x30))
size = sum(f.stat().st_size for f in TOP.rglob("*") if f.is_file())
print(sum(1 for f in TOP.rglob("*") if f.is_file()), "seeds,", size, "bytes")
