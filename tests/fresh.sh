#!/usr/bin/env bash
# The README's two commands on a machine that has nothing: `make run`, shortened to a few steps, and `make check`, each
# release of Debian in a chroot of its own that debootstrap fills. Needs root, debootstrap and a network.
#
#   tests/fresh.sh 12 13          releases: 12, 13 or the name of one that debootstrap knows
#
# What is tried are the files that git knows, as they lie here. Exit 0: all of it passed.
#   TMPDIR       where the chroots lie (/tmp)          MIRROR      where packages come from
#   CHECK_ARGS   for `make check`: --filter 'nodes/*'  CHECK=no    leaves it out
#   RUN_ARGS     for `make run`                        KEEP=1      leaves the chroots, and goes on with those left
set -u
cd "$(dirname "$0")/.." || exit 1
MIRROR=${MIRROR:-http://deb.debian.org/debian}
RUN_ARGS=${RUN_ARGS:---headless --steps 5 --width 8 --batch 64}
CHECK_ARGS=${CHECK_ARGS:-}
bare=

say() { printf '  %-6s %s\n' "$1" "$2"; }

leave() {
  [ -n "$bare" ] || return 0
  umount "$bare/dev/pts" "$bare/dev/shm" "$bare/proc" 2>/dev/null
  [ -n "${KEEP:-}" ] || rm -rf --one-file-system "$bare"
  bare=
}
trap leave EXIT
trap 'exit 130' INT TERM

# What is said goes to a file; of a failure its end is shown.
step() {
  local what=$1 log=$bare.$1.log t=$SECONDS
  shift
  if "$@" > "$log" 2>&1 < /dev/null; then
    say "$what" "passed in $((SECONDS - t)) s: $(grep -E 'Synthesis|^finished' "$log" | tail -n 1)"
    rm -f "$log"
  else
    say "$what" "FAILED with $?; the end of $log:"
    tail -n 40 "$log"
    return 1
  fi
}

# The bare release: what debootstrap calls minimal, and the two packages that the README asks for.
fill() {
  debootstrap --variant=minbase "$1" "$bare" "$MIRROR" && chroot "$bare" apt-get update -qq &&
    chroot "$bare" env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends make git
}

# A terminal, shared memory and the processes of a machine.
mounts() {
  mount -t proc proc "$bare/proc" && mkdir -p "$bare/dev/pts" "$bare/dev/shm" &&
    mount -t devpts -o newinstance,ptmxmode=0666 devpts "$bare/dev/pts" && ln -sf pts/ptmx "$bare/dev/ptmx" &&
    mount -t tmpfs tmpfs "$bare/dev/shm"
}

copy() {
  rm -rf "$bare/root/ssltop" && mkdir -p "$bare/root/ssltop" &&
    git ls-files -z | tar --null --ignore-failed-read -T - -cf - | tar -xf - -C "$bare/root/ssltop"
}

inside() { chroot "$bare" env -i HOME=/root PATH=/usr/sbin:/usr/bin:/sbin:/bin TERM=xterm "$@"; }

release() {
  local name=$1
  case $1 in 12) name=bookworm ;; 13) name=trixie ;; esac
  bare=${TMPDIR:-/tmp}/ssltop-fresh-$name
  say DEBIAN "$1 ($name) in $bare"
  [ -e "$bare/root" ] || step fill fill "$name" || return 1
  step copy copy && step mounts mounts || return 1
  step run inside make -C /root/ssltop run ARGS="$RUN_ARGS" || return 1
  say with "$(inside dpkg-query -W -f '${Package} ${Version}, ' gcc libdnnl-dev libopenblas-dev | sed "s/, $//")"
  [ "${CHECK:-}" = no ] || step check inside make -C /root/ssltop check CHECK_ARGS="$CHECK_ARGS"
}

[ $# -gt 0 ] || { sed -n '2,/^set/{/^#/s/^# \{0,1\}//p}' "$0"; exit 2; }
[ "$(id -u)" = 0 ] && command -v debootstrap > /dev/null || { echo "needs root and debootstrap" >&2; exit 1; }
failed=0
for which in "$@"; do
  release "$which" || failed=1
  leave
done
exit $failed
