#!/usr/bin/env bash
# The README's two commands on a machine that has nothing: `make run`, shortened to a few steps, and `make check`, each
# release of Debian in a chroot of its own that debootstrap fills; then the package and the archive, made there and tried in
# a second chroot that has nothing. Needs root, debootstrap and a network.
#
#   tests/fresh.sh 12 13          releases: 12, 13 or the name of one that debootstrap knows
#
# What is tried are the files that git knows, as they lie here. Exit 0: all of it passed.
#   WHAT         "run check deb bundle", or fewer    MIRROR      where packages come from
#   RUN_ARGS     for `make run`                      CHECK_ARGS  for `make check`: --filter 'nodes/*'
#   TMPDIR       where the chroots lie (/tmp)        KEEP=1      leaves the chroots, and goes on with those left
set -u
cd "$(dirname "$0")/.." || exit 1
MIRROR=${MIRROR:-http://deb.debian.org/debian}
WHAT=${WHAT:-run check deb bundle}
RUN_ARGS=${RUN_ARGS:---headless --steps 5 --width 8 --batch 64}
CHECK_ARGS=${CHECK_ARGS:-}
bare= job=

say() { printf '  %-6s %s\n' "$1" "$2"; }

# End what runs in a folder's chroot, and take its mounts away, the innermost first.
quiet() {
  local p root
  for p in /proc/[0-9]*; do
    root=$(readlink "$p/root" 2>/dev/null) || continue
    case $root/ in "$1"/*) kill -9 "${p#/proc/}" 2>/dev/null ;; esac
  done
  awk -v at="$1/" 'index($2, at) == 1 { print $2 }' /proc/mounts | tac | while read -r m; do
    umount "$m" 2>/dev/null || umount -l "$m"
  done
}

# Nothing is removed through a mount: what still has one stays.
leave() {
  [ -z "$job" ] || kill "$job" 2>/dev/null
  [ -n "$bare" ] || return 0
  local d
  for d in "$bare" "$bare-bare" "$bare-try"; do
    [ -e "$d" ] || continue
    quiet "$d"
    [ -z "${KEEP:-}" ] || [ "$d" = "$bare-try" ] || continue
    if grep -q " $d/" /proc/mounts; then echo "$d has mounts and stays" >&2; else rm -rf --one-file-system "$d"; fi
  done
  bare= job=
}
trap leave EXIT
trap 'exit 130' INT TERM HUP

# What is said goes to a file; of a failure its end is shown. In the background, so that a signal is heard at once.
step() {
  local what=$1 log=$bare.$1.log t=$SECONDS rc
  shift
  "$@" > "$log" 2>&1 < /dev/null &
  job=$!
  wait "$job"
  rc=$?
  job=
  if [ "$rc" -eq 0 ]; then
    say "$what" "passed in $((SECONDS - t)) s: $(grep -E 'Synthesis|^finished|^  (DEB .*deb|TAR)|^nothing is left|^the archive' "$log" |
      tail -n 1)"
    rm -f "$log"
  else
    say "$what" "FAILED with $rc; the end of $log:"
    tail -n 40 "$log"
    return 1
  fi
}

# What debootstrap calls minimal; a copy of it as it is; and the two packages that the README asks for.
fill() {
  debootstrap --variant=minbase "$1" "$bare-bare" "$MIRROR" && cp -a "$bare-bare" "$bare" &&
    chroot "$bare" apt-get update -qq &&
    chroot "$bare" env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends make git
}

# A terminal, shared memory and the processes of a machine.
mounts() {
  mount -t proc proc "$1/proc" && mkdir -p "$1/dev/pts" "$1/dev/shm" &&
    mount -t devpts -o newinstance,ptmxmode=0666 devpts "$1/dev/pts" && ln -sf pts/ptmx "$1/dev/ptmx" &&
    mount -t tmpfs tmpfs "$1/dev/shm"
}

copy() {
  rm -rf "$bare/root/ssltop" && mkdir -p "$bare/root/ssltop" &&
    git ls-files -z | tar --null --ignore-failed-read -T - -cf - | tar -xf - -C "$bare/root/ssltop"
}

within() {
  local root=$1
  shift
  chroot "$root" env -i HOME=/root PATH=/usr/sbin:/usr/bin:/sbin:/bin TERM=xterm "$@"
}
inside() { within "$bare" "$@"; }

# try SCRIPT FILE...: where there is nothing but these.
try() {
  local script=$1 rc
  shift
  quiet "$bare-try"
  rm -rf --one-file-system "$bare-try"
  cp -a "$bare-bare" "$bare-try" && mounts "$bare-try" && mkdir "$bare-try/root/try" &&
    cp ".package/$script" "$@" "$bare-try/root/try/" && within "$bare-try" "/root/try/$script"
}

deb() {
  inside make -C /root/ssltop deb && inside apt-get install -y -qq --no-install-recommends lintian &&
    inside sh -c 'cd /root/ssltop/build && lintian --fail-on error *.deb'
}

release() {
  local name=$1 build
  case $1 in 12) name=bookworm ;; 13) name=trixie ;; esac
  bare=$(realpath "${TMPDIR:-/tmp}")/ssltop-fresh-$name
  build=$bare/root/ssltop/build
  say DEBIAN "$1 ($name) in $bare"
  [ -e "$bare/root" ] || step fill fill "$name" || return 1
  step copy copy && step mounts mounts "$bare" || return 1
  for what in $WHAT; do
    case $what in
      run) step run inside make -C /root/ssltop run ARGS="$RUN_ARGS" || return 1
        say with "$(inside dpkg-query -W -f '${Package} ${Version}, ' gcc libdnnl-dev libopenblas-dev | sed "s/, $//")" ;;
      check) step check inside make -C /root/ssltop check CHECK_ARGS="$CHECK_ARGS" && inside make -s -C /root/ssltop mpi-tested ||
        failed=1 ;;
      deb) step deb deb && step try-deb try try-deb.sh "$build"/ssltop_*.deb || failed=1 ;;
      bundle) step bundle inside make -C /root/ssltop bundle && step try try try-bundle.sh "$build"/ssltop-*.tar.gz || failed=1 ;;
      *) echo "WHAT has '$what', which is none of run check deb bundle" >&2; return 1 ;;
    esac
  done
}

[ $# -gt 0 ] || { sed -n '2,/^set/{/^#/s/^# \{0,1\}//p}' "$0"; exit 2; }
[ "$(id -u)" = 0 ] && command -v debootstrap > /dev/null || { echo "needs root and debootstrap" >&2; exit 1; }
failed=0
for which in "$@"; do
  release "$which" || failed=1
  leave
done
exit $failed
