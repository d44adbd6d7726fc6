#!/bin/sh
# Tries what `make deb` made where nothing of ours is: tests/fresh.sh runs this inside a chroot that has nothing but what
# debootstrap calls minimal. The package lies beside it. Exit 0: it was installed, worked, and left nothing.
set -eu
export LC_ALL=C.UTF-8 DEBIAN_FRONTEND=noninteractive HOME=/tmp/home # what a user keeps is not the package's
here=$(dirname "$0")
say() { printf '  %-8s %s\n' "$1" "$2"; }
everything() { find / -xdev \( -path /proc -o -path /sys -o -path /dev -o -path /tmp -o -path /var/cache -o -path /var/log \
    -o -path /var/lib/apt -o -path /var/lib/dpkg -o -path "$here" \) -prune -o -print | sort; }

apt-get update -qq
apt-get install -y -qq --no-install-recommends man-db python3 > /dev/null
everything > /tmp/before
apt-get install -y -qq --no-install-recommends "$here"/ssltop_*.deb > /dev/null

cd /tmp
say version "$(ssltop --version)"
for page in ssltop ssltop-log ssltop-client; do # bold is a letter over itself
    man -P cat $page 2>/dev/null | sed 's/.\x08//g' > page.txt
    say man "$page: $(grep -A 1 '^NAME' page.txt | tail -n 1)"
    grep -q '^DESCRIPTION' page.txt
done
ssltop train --headless --data synthetic --steps 5 --width 8 --batch 64 --runs runs --name five
ssltop train --recipe simsiam-cifar10 --data synthetic:2048:32 --print-config > /dev/null # a file of the package
ssltop export five --runs runs --format csv | tail -n 1
ldconfig -p | grep -q libssltop-client.so.1
python3 - <<'END'
import array, ssltop
with ssltop.init("mine", runs="runs", steps=5, required=True) as w:
    for step in range(5):
        w.step(loss=1 / (1 + step), h=memoryview(array.array("f", range(128))).cast("B").cast("f", [16, 8]))
END
ssltop export mine --runs runs --format csv | tail -n 1
python3 -c 'import ssltop, sys; sys.exit(ssltop.__file__ != "/usr/lib/python3/dist-packages/ssltop/__init__.py")'

apt-get purge -y -qq ssltop > /dev/null
apt-get autoremove --purge -y -qq > /dev/null
everything > /tmp/after
if ! diff /tmp/before /tmp/after; then
    echo "the package has left these, or taken them along"
    exit 1
fi
[ -z "$(dpkg-query -W -f '${Status}' ssltop 2>/dev/null)" ]
echo "nothing is left of the package"
