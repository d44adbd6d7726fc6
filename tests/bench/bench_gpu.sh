#!/bin/sh
# Times the training step on this machine's card and prints a table, last: images a second beside PyTorch's, what the live
# spectrum adds, and where the time goes against the ceilings of copying and multiplying measured in the same run.
# `make gpu-bench` calls it, in the sources and in the archive of `make bundle`. Exit 1 where there is no card, with the
# reason, or a row could not be measured.
#
#   tests/bench/bench_gpu.sh build/bench-gpu
#
# Environment: GPU_BENCH "METHOD ARCH WIDTH BATCH SIDE PRECISION, ..." (rows), GPU_BENCH_STEPS 50 (of five rounds),
# GPU_BENCH_SECONDS 440 (what is not measured by then is left out; PyTorch comes after all of ours), PYTHON python3 (one
# that has a PyTorch for this card; without one there is no comparison).
set -u

bench=$1
here=$(dirname "$0")
rows=${GPU_BENCH:-simsiam resnet18 64 512 32 bf16, simsiam resnet50 64 256 224 bf16, simsiam resnet18 64 512 32 f32}
steps=${GPU_BENCH_STEPS:-50}
python=${PYTHON:-python3}
end=$(($(date +%s) + ${GPU_BENCH_SECONDS:-440}))
out=$(mktemp -d) || exit 1
trap 'rm -rf "$out"' EXIT
trap 'exit 130' INT TERM

# within FILE COMMAND...: its lines to FILE, and a line `missing="..."` with why it failed, if it did.
within() {
    file=$1 left=$((end - $(date +%s)))
    shift
    [ "$left" -gt 0 ] || { echo 'missing="no time was left"' > "$file"; return 124; }
    timeout -k 10 "$left" "$@" > "$file" 2> "$out/said"
    status=$?
    [ "$status" -eq 0 ] && return 0
    cat "$out/said" >&2
    why=$(tail -n 1 "$out/said" | tr -d '"' | cut -c 1-300)
    [ "$status" -ne 124 ] || why="no time was left"
    echo "missing=\"${why:-exit $status}\"" >> "$file"
    return "$status"
}

echo "$rows" | tr ',' '\n' | sed 's/^ *//' > "$out/rows"
failed=0 i=0
while read -r method arch width batch side precision; do
    i=$((i + 1))
    echo "row=\"$method $arch x$width, $batch x 3 x $side x $side, $precision\"" > "$out/$i.a"
    within "$out/$i.b" "$bench" "$method" "$arch" "$width" "$batch" "$side" "$precision" "$steps" < /dev/null || failed=1
    # No card: nothing more comes of it.
    [ "$i" -gt 1 ] || [ "$failed" -eq 0 ] || grep -q '^card=' "$out/$i.b" || exit 1
done < "$out/rows"
i=0 status=0
while read -r method arch width batch side precision; do
    i=$((i + 1))
    [ "$method" = simsiam ] || continue
    if [ "$status" -eq 3 ]; then # no PyTorch, or it has no GPU: said once
        echo 'missing="as above"' > "$out/$i.c"
        continue
    fi
    within "$out/$i.c" "$python" "$here/bench_gpu_torch.py" "$arch" "$width" "$batch" "$side" "$precision" "$steps" < /dev/null
    status=$?
done < "$out/rows"

k=0
while [ "$k" -lt "$i" ]; do
    k=$((k + 1))
    cat "$out/$k.a" "$out/$k.b"
    [ ! -e "$out/$k.c" ] || sed 's/^missing="/&PyTorch is not compared: /' "$out/$k.c"
done | awk '
function value(key,    at, rest) {
    if (!match($0, "(^| )" key "=")) return ""
    rest = substr($0, RSTART + RLENGTH)
    if (substr(rest, 1, 1) == "\"") { rest = substr(rest, 2); at = index(rest, "\"") }
    else at = index(rest " ", " ")
    return substr(rest, 1, at - 1)
}
/^row=/ { printf "\n%s\n", value("row"); ours = 0 }
/^missing=/ { printf "  %s\n", value("missing") }
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
    printf "  %-15s %8s images/s  %8.2f ms a step  %6.1f GB   %s\n", value("who"),
        value("images_s"), 1e3 * value("step"), value("memory") / 1e9,
        ours ? sprintf("ssltop is %.2f times as fast", ours / value("images_s")) : ""
}
/^row=/ { head = 0 }
'
exit "$failed"
