#!/usr/bin/env bash
# fuzz.sh BUILD [TARGET...]: each target for FUZZ_S seconds, one after the other, and a table at the end. What was found lies
# in BUILD/findings/TARGET, and the status is 1. What was learnt stays in BUILD/corpus/TARGET for the next time.
# FUZZ_NICE: how nice to be (0).
set -uo pipefail
build=${1:?folder}
shift
here=tests/fuzz
export FUZZ_TMP OPENBLAS_NUM_THREADS=1 OMP_NUM_THREADS=1
export ASAN_OPTIONS=allocator_may_return_null=1:detect_stack_use_after_return=0:${ASAN_OPTIONS:-}
export UBSAN_OPTIONS=print_stacktrace=1:${UBSAN_OPTIONS:-}
FUZZ_TMP=$(mktemp -d "$([ -d /dev/shm ] && echo /dev/shm || echo /tmp)/ssltop-fuzz-XXXXXX")
trap 'rm -rf "$FUZZ_TMP"' EXIT
mkdir -p "$build/logs"
list=$("$build/fuzz" --list)
for wanted in "$@"; do
  grep -q "^$wanted " <<<"$list" || { echo "there is no target $wanted; there are:"; cut -d' ' -f1,5- <<<"$list"; exit 2; }
done
table=$(printf '%-12s %12s %8s %9s %9s' target executions edges features findings)
bad=0
while read -r name dictionary most memory _; do
  [ $# -eq 0 ] || grep -qw -- "$name" <<<"$*" || continue
  ln -sf fuzz "$build/$name"
  found=$build/findings/$name corpus=$build/corpus/$name log=$build/logs/$name
  mkdir -p "$found" "$corpus" "$here/seeds/$name"
  extra=()
  [ ! -e "$here/dictionaries/$dictionary.dict" ] || extra+=("-dict=$here/dictionaries/$dictionary.dict")
  before=$(find "$found" -type f | wc -l)
  seeds=("$here/seeds/$name")
  [ ! -d "tests/findings/$name" ] || seeds+=("tests/findings/$name")
  nice -n "${FUZZ_NICE:-0}" "$build/$name" "${extra[@]}" -max_total_time="${FUZZ_S:-60}" -timeout=10 -rss_limit_mb=1024 \
    -malloc_limit_mb="$memory" -max_len="$most" -artifact_prefix="$found/" -print_final_stats=1 -close_fd_mask=1 \
    -report_slow_units=5 "$corpus" "${seeds[@]}" </dev/null >"$log" 2>&1 ||
    { tail -n 40 "$log"; echo "again: $build/$name $(ls -t "$found"/* 2>/dev/null | head -n 1)"; }
  runs=$(sed -n 's/^stat::number_of_executed_units: *//p' "$log")
  [ -n "$runs" ] || runs=$(grep -o '^#[0-9]*' "$log" | tail -n 1 | tr -d '#')
  cov=$(grep -o 'cov: [0-9]*' "$log" | tail -n 1 | cut -d' ' -f2)
  ft=$(grep -o 'ft: [0-9]*' "$log" | tail -n 1 | cut -d' ' -f2)
  now=$(find "$found" -type f ! -name 'slow-unit-*' | wc -l)
  [ "$now" -eq 0 ] || bad=1
  line=$(printf '%-12s %12s %8s %9s %9s' "$name" "${runs:-0}" "${cov:-0}" "${ft:-0}" "$now")
  echo "$line"
  table+=$'\n'$line
done <<<"$list"
echo
echo "$table"
[ $bad -eq 0 ] || { echo; find "$build/findings" -type f ! -name 'slow-unit-*' | while read -r f; do
  echo "again: $build/$(basename "$(dirname "$f")") $f"; done; }
exit $bad
