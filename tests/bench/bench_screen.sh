#!/bin/sh
# What the screen costs: a frame with a long run loaded, then a viewer beside a training on all cores: the bytes that it
# sends, its processor time, and how soon a key shows. Exit 1 when a bound is missed.
#
#   tests/bench/bench_screen.sh build/bench_screen ./ssltop
#
# Environment: BENCH_SCREEN_SECONDS 20, BENCH_SCREEN_WIDTH 16.
set -eu

bench=$1
ssltop=$2
seconds=${BENCH_SCREEN_SECONDS:-20}
runs=$(mktemp -d)
trainer=
trap 'if [ -n "$trainer" ]; then kill "$trainer" 2>/dev/null || true; wait "$trainer" || true; fi; rm -rf "$runs"' EXIT
trap 'exit 130' INT TERM

rc=0
"$bench" frame || rc=1
"$ssltop" train --headless --data synthetic --width "${BENCH_SCREEN_WIDTH:-16}" --steps 100000 --seed 1 \
    --eval-every 1000000 --runs "$runs" --name live >/dev/null 2>&1 &
trainer=$!
until [ -e "$runs/live/control" ]; do sleep 0.1; done
sleep 5
XDG_CONFIG_HOME="$runs" "$bench" live "$seconds" "$ssltop" attach --runs "$runs" live || rc=1
exit $rc
