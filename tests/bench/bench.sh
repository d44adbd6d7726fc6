#!/bin/sh
# Times ssltop's SimSiam step beside PyTorch eager on this machine, pair by pair, and prints the ratios with the targets
# they have to reach. Exit 1 when one is missed. `make bench` calls it with the benchmark program.
#
#   tests/bench/bench.sh build/bench
#
# Environment: BENCH_WIDTHS "64 32 16", BENCH_PAIRS 3, BENCH_STEPS 5 (median of these, after three to warm up),
# BENCH_THREADS 2, BENCH_BATCH 128. Other values than these print ratios of something else than the targets mean.
set -eu

bench=$1
here=$(dirname "$0")
widths=${BENCH_WIDTHS:-64 32 16}
pairs=${BENCH_PAIRS:-3}
steps=${BENCH_STEPS:-5}
threads=${BENCH_THREADS:-2}
batch=${BENCH_BATCH:-128}
python=/usr/bin/python3 # Debian's, which python3-torch belongs to
lines=$(mktemp)
trap 'rm -f "$lines"' EXIT
trap 'exit 130' INT TERM

ours() { # width precision
    "$bench" "$1" "$2" "$steps" "$threads" "$batch"
}

plain() {
    "$python" "$here/bench_torch.py" "$1" "$2" "$steps" "$threads" "$batch" plain
}

tuned() {
    env MALLOC_ARENA_MAX=1 MALLOC_MMAP_MAX_=0 MALLOC_TRIM_THRESHOLD_=16000000000 \
        MALLOC_TOP_PAD_=67108864 GLIBC_TUNABLES=glibc.malloc.hugetlb=1 \
        "$python" "$here/bench_torch.py" "$1" "$2" "$steps" "$threads" "$batch" tuned
}

# Run one, keep its line with the number of its pair, say on stderr what is going on.
keep() { # pair command width precision
    line=$("$2" "$3" "$4") || return $?
    echo "pair=$1 $line" | tee -a "$lines" >&2
}

echo "SimSiam step, ResNet-18, 1x28x28, batch $batch, $threads threads, median of $steps steps, $pairs pairs" >&2
for width in $widths; do
    for precision in f32 bf16; do
        pair=1
        while [ "$pair" -le "$pairs" ]; do
            rc=0
            keep "$pair" ours "$width" "$precision" || rc=$?
            if [ "$rc" -eq 3 ]; then
                echo "this processor has no bf16: width $width is not compared in bf16" >&2
                break
            elif [ "$rc" -ne 0 ]; then
                exit "$rc"
            fi
            keep "$pair" tuned "$width" "$precision"
            if [ "$precision" = f32 ]; then
                keep "$pair" plain "$width" "$precision"
            fi
            pair=$((pair + 1))
        done
    done
done

awk -v batch="$batch" '
function median(list,    v, n, i, j, t) {
    n = split(list, v, " ")
    for (i = 2; i <= n; i++)
        for (j = i; j > 1 && v[j - 1] + 0 > v[j] + 0; j--) { t = v[j]; v[j] = v[j - 1]; v[j - 1] = t }
    return n % 2 ? v[(n + 1) / 2] : (v[n / 2] + v[n / 2 + 1]) / 2
}
function verdict(name, width, precision, value, form, target, least,    good) {
    if (target == "") return
    good = least ? value >= target : value <= target
    bad += !good
    printf "%-34s %5d %-5s " form "   %s " form "   %s\n", name, width, precision, value,
        least ? ">=" : "<=", target, good ? "ok" : "MISSED"
}
BEGIN {
    ratio[64] = 1.0; ratio[32] = 1.2; ratio[16] = 1.3         # against tuned PyTorch
    share[64] = 2; share[16] = 4                              # live spectrum, percent of a step
    peak["f32"] = 1.9; peak["bf16"] = 1.4                     # GB, at width 64
}
{
    delete f
    for (i = 1; i <= NF; i++) { split($i, kv, "="); f[kv[1]] = kv[2] }
    key = f["width"] " " f["precision"]
    if (f["who"] == "ssltop") {
        if (!(key in step)) order[++rows] = key
        now[key] = f["step"]
        step[key] = step[key] " " f["step"]
        cost[key] = cost[key] " " 100 * f["spectrum"] / f["step"]
        memory[key] = memory[key] " " f["peak_kb"] * 1024 / 1e9
    } else {
        faster[f["who"], key] = faster[f["who"], key] " " f["step"] / now[key]
        theirs[f["who"], key] = theirs[f["who"], key] " " f["step"]
    }
}
END {
    printf "%-6s %-5s %14s %14s %14s   (view-images a second)\n", "width", "", "ssltop", "tuned", "as it comes"
    for (r = 1; r <= rows; r++) {
        k = order[r]; split(k, part, " ")
        printf "%-6d %-5s %14.0f %14.0f", part[1], part[2], 2 * batch / median(step[k]),
            2 * batch / median(theirs["torch-tuned", k])
        if (("torch-plain", k) in theirs) printf " %14.0f", 2 * batch / median(theirs["torch-plain", k])
        printf "\n"
    }
    printf "\n"
    for (r = 1; r <= rows; r++) {
        k = order[r]; split(k, part, " "); w = part[1]; p = part[2]
        verdict("times as fast as tuned PyTorch", w, p, median(faster["torch-tuned", k]), "%6.2f", ratio[w], 1)
        if (p == "f32")
            verdict("times as fast as PyTorch", w, p, median(faster["torch-plain", k]), "%6.2f", 1.5, 1)
        verdict("live spectrum, % of a step", w, p, median(cost[k]), "%6.2f", share[w], 0)
        if (w == 64) verdict("peak memory, GB", w, p, median(memory[k]), "%6.2f", peak[p], 0)
    }
    exit bad > 0
}' "$lines"
