#!/bin/sh
# What sharing a batch between processes costs: one process with two threads beside two with one each, pairs of runs taken in
# turn. Exit 1 when the median of the pairs' ratios is below 0.95, or when waiting for each other takes more than 5 % of a
# step. Nothing where mpirun or ssltop-mpi.so is not there.
#
#   tests/bench/bench_ranks.sh ./ssltop
#
# Environment: BENCH_RANKS_PAIRS 5, BENCH_RANKS_STEPS 24 (the first quarter warms up), BENCH_RANKS_WIDTH 32.
set -eu

ssltop=$1
pairs=${BENCH_RANKS_PAIRS:-5}
steps=${BENCH_RANKS_STEPS:-24}
warm=$((steps / 4))
width=${BENCH_RANKS_WIDTH:-32}
if ! command -v mpirun >/dev/null || [ ! -e "$(dirname "$ssltop")/ssltop-mpi.so" ]; then
    echo "SKIP  several processes: mpirun or ssltop-mpi.so is not there"
    exit 0
fi
runs=$(mktemp -d)
trap 'rm -rf "$runs"' EXIT
trap 'exit 130' INT TERM

options="--headless --data synthetic:2048 --width $width --batch 128 --precision f32 --steps $steps --seed 1
    --probe off --eval-images 64 --eval-every 1000000 --checkpoint-every 1000000 --runs $runs"

# A number of the steps after the warm-up, from the run's own log.
of() { # run, what of them
    zstdcat "$runs/$1/run.jsonl.zst" | jq -s --argjson warm "$warm" \
        "[.[] | select(.type == \"step\" and .step >= \$warm)] | $2"
}
speed='(length - 1) / (.[-1].t - .[0].t)'
share='(map(.ms.reduce) | add) / (map([.ms[] | numbers] | add) | add)'

median() { echo "$1" | tr ' ' '\n' | grep . | sort -g | awk '{ v[NR] = $1 } END { print v[int((NR + 1) / 2)] }'; }

ratios= shares=
pair=1
while [ "$pair" -le "$pairs" ]; do
    # shellcheck disable=SC2086
    "$ssltop" train $options --threads 2 --name "one-$pair" >/dev/null
    # shellcheck disable=SC2086
    OMP_NUM_THREADS=1 mpirun --allow-run-as-root --bind-to core -n 2 "$ssltop" train $options --threads 1 \
        --name "two-$pair" >/dev/null
    a=$(of "one-$pair" "$speed")
    b=$(of "two-$pair" "$speed")
    s=$(of "two-$pair" "$share")
    ratio=$(echo "$a $b" | awk '{ printf "%.4f", $2 / $1 }')
    echo "pair=$pair threads=$a processes=$b steps/s ratio=$ratio waiting=$s" >&2
    ratios="$ratios $ratio"
    shares="$shares $s"
    pair=$((pair + 1))
done
r=$(median "$ratios")
s=$(median "$shares")
echo "two processes of one thread, width $width: $r times the speed of one with two; $(echo "$s" | awk '{ printf "%.1f", 100 * $1 }') % of a step waiting"
echo "$r $s" | awk '{ exit !($1 >= 0.95 && $2 <= 0.05) }'
