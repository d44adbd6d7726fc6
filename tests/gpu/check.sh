#!/bin/sh
# The device contract and short trainings on this machine's card; the result is a table, last. `make gpu-check` calls it, in
# the sources and in the archive of `make bundle`. Exit 1 where a test fails, or there is no card, with the reason.
#
#   tests/gpu/check.sh SSLTOP CHECKER
#
# Environment: GPU_CHECK_SECONDS 450 (what is not done by then counts as not run), GPU_CHECK_JOBS 4 (tests at once),
# GPU_CHECK_TESTS (which), SSLTOP_TEST_DEVICE cuda.
set -u
ssltop=$(readlink -f "$1") checker=$(readlink -f "$2")
cd "$(dirname "$0")/../.." || exit 1
device=${SSLTOP_TEST_DEVICE:-cuda}

why=$("$ssltop" devices | sed -n "s/^$device  *not usable: //p")
[ -z "$why" ] || { echo "nothing is checked, there is no card to use: $why" >&2; exit 1; }
"$ssltop" devices

# What the device remembers of this card is not this check's to fill.
cache=$(mktemp -d) || exit 1
trap 'rm -rf "$cache"' EXIT
trap 'exit 130' INT TERM
tests=${GPU_CHECK_TESTS:-"nodes loss contract parity/*_@(f32|bf16) shared training"}
set -f # the patterns are for the checker
# shellcheck disable=SC2086
SSLTOP=$ssltop SSLTOP_TEST_DEVICE=$device XDG_CACHE_HOME=$cache GOMP_SPINCOUNT=1000 LC_ALL=C.UTF-8 \
  "$checker" -j "${GPU_CHECK_JOBS:-4}" -t "${GPU_CHECK_SECONDS:-450}" $tests
