#!/bin/sh
# `ssltop metrics` on a million features of 512 numbers (2 GB) beside reading, converting and multiplying alone: pairs, one
# after the other, and the median of their ratios. Exit 1 when a target is missed.
#
#   tests/bench/bench_metrics.sh build/bench_metrics
#
# Environment: BENCH_METRICS_PAIRS 3, BENCH_METRICS_ROWS 1000000, BENCH_THREADS 2, TMPDIR (2 GB are made there).
set -eu

bench=$1
pairs=${BENCH_METRICS_PAIRS:-3}
rows=${BENCH_METRICS_ROWS:-1000000}
threads=${BENCH_THREADS:-2}
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
trap 'exit 130' INT TERM

echo "metrics of $rows x 512 f32, $threads threads, $pairs pairs" >&2
"$bench" make "$folder/x.npy" "$rows" 512
"$bench" plain "$folder/x.npy" "$threads" > /dev/null # the file is in memory from here on, for both
pair=1
while [ "$pair" -le "$pairs" ]; do
    for who in ours plain; do
        echo "pair=$pair $("$bench" $who "$folder/x.npy" "$threads")" | tee -a "$folder/lines" >&2
    done
    pair=$((pair + 1))
done

awk '
{ for (i = 1; i <= NF; i++) { split($i, kv, "="); f[kv[1]] = kv[2] } }
f["who"] == "ours" && /who=ours/ { mine = f["seconds"]; if (f["peak_kb"] > peak) peak = f["peak_kb"] }
/who=plain/ { v[++n] = mine / f["seconds"] }
function verdict(name, value, target) {
    bad += (value > target)
    printf "%-34s %5s %-5s %6.2f   <= %6.2f   %s\n", name, "", "", value, target, (value > target ? "MISSED" : "ok")
}
END {
    for (i = 2; i <= n; i++)
        for (j = i; j > 1 && v[j - 1] > v[j]; j--) { t = v[j]; v[j] = v[j - 1]; v[j - 1] = t }
    verdict("metrics / reading and dsyrk", n % 2 ? v[(n + 1) / 2] : (v[n / 2] + v[n / 2 + 1]) / 2, 1.5)
    verdict("peak memory of metrics, MB", peak / 1000, 200)
    exit (bad > 0)
}' "$folder/lines"
