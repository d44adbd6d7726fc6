#!/usr/bin/python3
"""wheel.py LIBRARY VERSION FOLDER: the package and its library as a wheel, which is a zip with a
list of what is in it. Made by hand: it needs no build system, and the library is C, for any Python."""

import base64
import hashlib
import os
import sys
import sysconfig
import zipfile

HERE = os.path.dirname(os.path.abspath(__file__))


def main(library, version, folder):
    tag = "py3-none-" + sysconfig.get_platform().replace("-", "_").replace(".", "_")
    info = f"ssltop-{version}.dist-info"
    source = os.path.join(HERE, "ssltop")
    files = {f"ssltop/{name}": open(os.path.join(source, name), "rb").read()
             for name in sorted(os.listdir(source)) if name.endswith(".py")}
    files[f"ssltop/{os.path.basename(library)}"] = open(library, "rb").read()
    files[f"{info}/METADATA"] = (
        f"Metadata-Version: 2.1\nName: ssltop\nVersion: {version}\nRequires-Python: >=3.9\n"
        "Summary: Record, show and steer a self-supervised training in a terminal\n").encode()
    files[f"{info}/WHEEL"] = (f"Wheel-Version: 1.0\nGenerator: ssltop\nRoot-Is-Purelib: false\n"
                              f"Tag: {tag}\n").encode()
    record = ""
    for name, data in files.items():
        digest = base64.urlsafe_b64encode(hashlib.sha256(data).digest()).rstrip(b"=").decode()
        record += f"{name},sha256={digest},{len(data)}\n"
    files[f"{info}/RECORD"] = (record + f"{info}/RECORD,,\n").encode()
    os.makedirs(folder, exist_ok=True)
    path = os.path.join(folder, f"ssltop-{version}-{tag}.whl")
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as z:
        for name, data in files.items():
            entry = zipfile.ZipInfo(name, (1980, 1, 1, 0, 0, 0))  # the same files, the same wheel
            entry.external_attr = 0o644 << 16
            entry.compress_type = zipfile.ZIP_DEFLATED
            z.writestr(entry, data)
    print(path)


if __name__ == "__main__":
    main(*sys.argv[1:])
