#!/bin/sh
# Times the training step on this machine's card and prints a table: images a second beside PyTorch's, what the live
# spectrum adds, and where the time goes against the ceilings of copying and multiplying measured in the same run.
# `make gpu-bench` calls it. Exit 1 where there is no card, with the reason.
#
#   tests/bench/bench_gpu.sh build/bench-gpu
#
# Environment: GPU_BENCH "METHOD ARCH WIDTH BATCH SIDE PRECISION, ..." (rows), GPU_BENCH_STEPS 50 (of five rounds),
# PYTHON python3 (one that has a PyTorch for this card; without one there is no comparison).
set -eu

bench=$1
here=$(dirname "$0")
rows=${GPU_BENCH:-simsiam resnet18 64 512 32 bf16, simsiam resnet50 64 256 224 bf16, simsiam resnet18 64 512 32 f32}
steps=${GPU_BENCH_STEPS:-50}
python=${PYTHON:-python3}
lines=$(mktemp)
trap 'rm -f "$lines"' EXIT
trap 'exit 130' INT TERM

echo "$rows" | tr ',' '\n' | while read -r method arch width batch side precision; do
    echo "row=\"$method $arch x$width, $batch x 3 x $side x $side, $precision\""
    "$bench" "$method" "$arch" "$width" "$batch" "$side" "$precision" "$steps" || exit 1
    if [ "$method" = simsiam ]; then
        rc=0
        "$python" "$here/bench_gpu_torch.py" "$arch" "$width" "$batch" "$side" "$precision" "$steps" || rc=$?
        [ "$rc" -eq 0 ] || echo "PyTorch is not compared (exit $rc)" >&2
    fi
done > "$lines" || exit 1

awk '
function value(key,    at, rest) {
    if (!match($0, "(^| )" key "=")) return ""
    rest = substr($0, RSTART + RLENGTH)
    if (substr(rest, 1, 1) == "\"") { rest = substr(rest, 2); at = index(rest, "\"") }
    else at = index(rest " ", " ")
    return substr(rest, 1, at - 1)
}
/^row=/ { printf "\n%s\n", value("row") }
/^card=/ { printf "  %s (%s)\n", value("card"), value("detail") }
/^copy_gb_s=/ { printf "  ceilings: copy %s GB/s, matrix product %s TFLOP/s\n", value("copy_gb_s"), value("matrix_tflops") }
/^who=ssltop/ {
    ours = value("images_s")
    printf "  ssltop          %8s images/s  %8.2f ms a step  %6.1f GB   live spectrum +%s %%\n", ours, 1e3 * value("step"),
        value("memory") / 1e9, value("spectrum")
}
/^kind=/ {
    if (!head++) printf "    %-34s %6s %9s %7s %11s %9s\n", "kind of work", "calls", "ms", "time", "of matrix", "of copy"
    printf "    %-34s %6s %9s %6s%% %10s%% %8s%%\n", value("kind"), value("calls"), value("ms"), value("share"),
        value("of_matrix"), value("of_copy")
}
/^who=torch/ {
    printf "  %-15s %8s images/s  %8.2f ms a step  %6.1f GB   ssltop is %.2f times as fast\n", value("who"),
        value("images_s"), 1e3 * value("step"), value("memory") / 1e9, ours / value("images_s")
}
/^row=/ { head = 0 }
' "$lines"
