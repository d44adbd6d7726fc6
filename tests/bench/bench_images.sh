#!/bin/sh
# Decoding and augmentation at 224, two views an image, images a second on one core: from JPEG files and from a packed
# file beside torchvision's pipeline on the same JPEG files. Exit 1 when a ratio is missed.
#
#   tests/bench/bench_images.sh ./ssltop build/bench_images
#
# Environment: BENCH_IMAGES 300, BENCH_IMAGES_PAIRS 3 (the median of their ratios counts).
set -eu

ssltop=$1
bench=$2
here=$(dirname "$0")
images=${BENCH_IMAGES:-300}
pairs=${BENCH_IMAGES_PAIRS:-3}
python=/usr/bin/python3 # Debian's, which python3-torchvision belongs to
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
trap 'exit 130' INT TERM

"$python" "$here/bench_images.py" make "$dir/photographs" 300
"$ssltop" pack "images:$dir/photographs" -o "$dir/photographs.pack" >&2
pair=1
while [ "$pair" -le "$pairs" ]; do
    for who in torchvision images pack; do
        case $who in
        torchvision) line=$("$python" "$here/bench_images.py" time "$dir/photographs" "$images") ;;
        images) line=$("$bench" "images:$dir/photographs" "$images") ;;
        pack) line=$("$bench" "pack:$dir/photographs.pack" "$images") ;;
        esac
        echo "pair=$pair $line" | tee -a "$dir/lines" >&2
    done
    pair=$((pair + 1))
done

awk '
function median(list,    v, n, i, j, t) {
    n = split(list, v, " ")
    for (i = 2; i <= n; i++)
        for (j = i; j > 1 && v[j - 1] + 0 > v[j] + 0; j--) { t = v[j]; v[j] = v[j - 1]; v[j - 1] = t }
    return n % 2 ? v[(n + 1) / 2] : (v[n / 2] + v[n / 2 + 1]) / 2
}
function verdict(name, ratio, least,    good) {
    good = ratio >= least
    bad += !good
    printf "%-34s %5s %-5s %6.2f   >= %6.2f   %s\n", name, "", "", ratio, least, good ? "ok" : "MISSED"
}
{
    for (i = 1; i <= NF; i++) { split($i, kv, "="); f[kv[1]] = kv[2] }
    rate[f["who"]] = rate[f["who"]] " " f["images_s"]
    if (f["who"] == "torchvision") theirs = f["images_s"]
    else ratio[f["who"]] = ratio[f["who"]] " " f["images_s"] / theirs
}
END {
    printf "images a second on one core: torchvision %.0f, from JPEG %.0f, packed %.0f\n",
        median(rate["torchvision"]), median(rate["images"]), median(rate["pack"])
    verdict("times torchvision, from JPEG", median(ratio["images"]), 2)
    verdict("times torchvision, packed", median(ratio["pack"]), 5)
    exit bad > 0
}' "$dir/lines"
