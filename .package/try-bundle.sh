#!/bin/sh
# Tries what `make bundle` made where nothing of ours is: tests/fresh.sh runs this inside a chroot that has nothing but what
# debootstrap calls minimal. The archive lies beside it. Exit 0: all of it passed.
set -eu
cd "$(mktemp -d /tmp/any-folder-XXXXXX)"
export LC_ALL=C.UTF-8
say() { printf '  %-8s %s\n' "$1" "$2"; }

tar xzf "$(dirname "$0")"/ssltop-*.tar.gz
mv ssltop-* 'a folder of mine' # whatever it is called
cd 'a folder of mine'
[ -z "$(find . -type f -perm /111 -exec sh -c 'ldd "$1" 2>&1 | grep "not found" | grep -Ev "lib(cu|mpi)"' - {} \;)" ]
say version "$(./ssltop --version)"

# Only what a C library is comes from outside.
theirs=$(ldd bin/ssltop | sed -n 's/.* => \(.*\) (0x.*/\1/p' | grep -v "^$PWD/" | sort)
say theirs "$(echo "$theirs" | tr '\n' ' ')"
! echo "$theirs" | grep -Ev '/(libc|libm|libmvec|libdl|librt|libpthread|libresolv)\.so' || exit 1

./ssltop train --headless --data synthetic --steps 5 --width 8 --batch 64 --runs runs --name five
./ssltop train --recipe simsiam-cifar10 --data synthetic:2048:32 --print-config > /dev/null
./ssltop export five --runs runs --format csv | tail -n 1
./ssltop embed runs/five --split test -o f.npy
./ssltop metrics f.npy
./ssltop log check five --runs runs
say screen "as text: $(TERM=dumb ./ssltop replay five --runs runs < /dev/null | wc -l) lines"
if command -v script > /dev/null; then # from util-linux: a terminal, of a type that only we know
    (sleep 3; printf q) | TERM=rxvt-unicode-256color TERMINFO_DIRS=/nonexistent script -qec \
        'stty rows 24 cols 80; ./ssltop replay five --runs runs' /dev/null > screen.txt
    grep -q 'AUC' screen.txt
    say replay "a screen of $(wc -c < screen.txt) bytes"
fi
head -c 400 share/man/man1/ssltop.1 | grep -q '^\.Dd'
[ ! -e /usr/bin/man ] || { man -P cat ./share/man/man1/ssltop.1 | grep -q SYNOPSIS && say man 'readable by its path'; }

# No card: a sentence, and not 0.
for what in gpu-check gpu-bench; do
    if ./$what > out.txt 2>&1; then echo "$what found a card"; exit 1; fi
    say $what "$(tail -n 1 out.txt)"
done
# The check itself, on the processor.
SSLTOP_TEST_DEVICE=cpu GPU_CHECK_TESTS='loss training/simsiam_f32 parity/gray_cifar_f32' ./gpu-check | tail -n 6

if command -v python3 > /dev/null; then
    cat > mine.py <<'END'
import array, random, ssltop
random.seed(1)
with ssltop.init("mine", runs="runs", steps=20, batch=32) as w:
    for step in range(20):
        h = memoryview(array.array("f", [random.gauss(0, 1) / (1 + i % 16) for i in range(32 * 16)])).cast("B").cast("f", [32, 16])
        w.step(loss=1 / (1 + step), h=h, lr=0.1)
    print("recorded in", w.run)
END
    ! python3 -c 'import numpy' 2>/dev/null || { echo "numpy is there: not what is to be tried"; exit 1; }
    PYTHONPATH=$PWD/python python3 mine.py
    ./ssltop export mine --runs runs --format csv | tail -n 1
fi
echo "the archive works"
