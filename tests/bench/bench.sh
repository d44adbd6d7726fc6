#!/bin/sh
# Times ssltop's SimSiam step beside PyTorch's on this machine, pair by pair, and prints the ratios with the targets
# they have to reach. Exit 1 when one is missed. `make bench` calls it with the benchmark program.
#
#   tests/bench/bench.sh build/bench
#
# Environment: BENCH_WIDTHS "64 32 16", BENCH_PAIRS 3, BENCH_STEPS 5 (median of these, after three to warm up),
# BENCH_THREADS 2, BENCH_BATCH 128; BENCH_TORCH "debian" (its python3-torch), "pypi" (the newest one, in a virtual
# environment that is made in build/ when it is not there: some 5 GB) or a python that has one. Other values than these print ratios of something else than the targets mean.
set -eu

bench=$1
here=$(dirname "$0")
widths=${BENCH_WIDTHS:-64 32 16}
pairs=${BENCH_PAIRS:-3}
steps=${BENCH_STEPS:-5}
threads=${BENCH_THREADS:-2}
batch=${BENCH_BATCH:-128}
case ${BENCH_TORCH:-debian} in
debian) python=/usr/bin/python3 ;;
pypi)
    python=$(dirname "$bench")/torch/bin/python3
    if ! "$python" -c 'import numpy, torch' 2>/dev/null; then
        echo "bench: installing PyTorch from PyPI into $(dirname "$bench")/torch" >&2
        python3 -m venv "$(dirname "$bench")/torch"
        "$python" -m pip install -q --disable-pip-version-check numpy torch
    fi
    ;;
*) python=$BENCH_TORCH ;;
esac
processor=$(sed -n 's/^model name[[:space:]]*: //p' /proc/cpuinfo | head -n 1)
flags=$(grep -m 1 -o -w -E 'avx2|avx512f|avx512_bf16|amx_bf16' /proc/cpuinfo 2>/dev/null | sort -u | tr '\n' ' ')
case $flags in
*amx_bf16*) bf16=1.5 ;; # times as fast as the best of PyTorch
*) bf16= ;;             # Intel's without AMX have half the rate in bf16: auto takes f32 there
esac
! grep -q AuthenticAMD /proc/cpuinfo || bf16=1.3
case $flags in
*avx512f*) f32=1.5 ;;
*) f32=1.2 ;;
esac
lines=$(mktemp)
XDG_CACHE_HOME=$(mktemp -d) # what auto takes is measured now
export XDG_CACHE_HOME
trap 'rm -rf "$lines" "$XDG_CACHE_HOME"' EXIT
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

echo "SimSiam step, ResNet-18, 1x28x28, batch $batch, $threads threads, median of $steps steps, $pairs pairs;" \
    "$processor ($flags)" >&2
for width in $widths; do
    for precision in f32 bf16 auto; do
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
            if [ "$precision" != auto ]; then
                keep "$pair" tuned "$width" "$precision"
            fi
            if [ "$precision" = f32 ]; then
                keep "$pair" plain "$width" "$precision"
            fi
            pair=$((pair + 1))
        done
    done
done

awk -v batch="$batch" -v processor="$processor" -v flags="$flags" -v f32="$f32" -v bf16="$bf16" '
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
    ratio["f32"] = f32; ratio["bf16"] = bf16                  # against the best of PyTorch
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
        version = f["version"]
        faster[f["who"], key] = faster[f["who"], key] " " f["step"] / now[key]
        theirs[f["who"], key] = theirs[f["who"], key] " " f["step"]
    }
}
END {
    printf "%s (%s), PyTorch %s\n", processor, flags, version
    printf "%-6s %-5s %14s %14s %14s   (view-images a second)\n", "width", "", "ssltop", "tuned", "as it comes"
    for (r = 1; r <= rows; r++) {
        k = order[r]; split(k, part, " ")
        if (part[2] == "auto") {
            printf "%-6d %-5s %14.0f\n", part[1], part[2], 2 * batch / median(step[k])
            continue
        }
        printf "%-6d %-5s %14.0f %14.0f", part[1], part[2], 2 * batch / median(step[k]),
            2 * batch / median(theirs["torch-tuned", k])
        if (("torch-plain", k) in theirs) printf " %14.0f", 2 * batch / median(theirs["torch-plain", k])
        printf "\n"
    }
    printf "\n"
    for (r = 1; r <= rows; r++) {
        k = order[r]; split(k, part, " "); w = part[1]; p = part[2]
        if (p == "auto") {
            best = median(step[w " f32"])
            if ((w " bf16") in step && median(step[w " bf16"]) < best) best = median(step[w " bf16"])
            verdict("times as long as the better one", w, p, median(step[k]) / best, "%6.2f", 1.1, 0)
            continue
        }
        verdict("times as fast as tuned PyTorch", w, p, median(faster["torch-tuned", k]), "%6.2f", ratio[p], 1)
        if (p == "f32")
            verdict("times as fast as PyTorch", w, p, median(faster["torch-plain", k]), "%6.2f", 1.5, 1)
        verdict("live spectrum, % of a step", w, p, median(cost[k]), "%6.2f", share[w], 0)
        if (w == 64) verdict("peak memory, GB", w, p, median(memory[k]), "%6.2f", peak[p], 0)
    }
    exit bad > 0
}' "$lines"
