#!/bin/sh
# What a viewer costs the training it watches: pairs of runs, headless alone and with a guard and one viewer on a terminal
# of its own attached. Exit 1 when the median of the pairs' ratios is below 0.97.
#
#   tests/bench/bench_viewer.sh ./ssltop
#
# Environment: BENCH_VIEWER_PAIRS 7, BENCH_VIEWER_STEPS 80 (the first quarter warms up), BENCH_VIEWER_WIDTH 16.
set -eu

ssltop=$1
pairs=${BENCH_VIEWER_PAIRS:-7}
steps=${BENCH_VIEWER_STEPS:-80}
warm=$((steps / 4))
width=${BENCH_VIEWER_WIDTH:-16}
runs=$(mktemp -d)
viewer=
trap 'if [ -n "$viewer" ]; then kill "$viewer" 2>/dev/null || true; fi; rm -rf "$runs"' EXIT
trap 'exit 130' INT TERM

train() { # name, further options
    name=$1
    shift
    "$ssltop" train --headless --data synthetic --width "$width" --batch 128 --steps "$steps" --seed 1 \
        --eval-every 1000000 --checkpoint-every 1000000 --runs "$runs" --name "$name" "$@" >/dev/null
}

# Training steps a second after the warm-up, from the run's own log.
speed() {
    zstdcat "$runs/$1/run.jsonl.zst" | jq -s --argjson warm "$warm" \
        '[.[] | select(.type == "step" and .step >= $warm)]
        | (length - 1) / (.[-1].t - .[0].t)'
}

# A viewer as soon as there is something to watch; its screen goes to a terminal that nobody looks at, and to a file.
watch() {
    until [ -e "$runs/$1/control" ]; do sleep 0.05; done
    exec script -qec "stty rows 40 cols 120; exec '$ssltop' attach '$runs/$1'" "$runs/screen" >/dev/null 2>&1
}

ratios=
pair=1
while [ "$pair" -le "$pairs" ]; do
    train "alone-$pair"
    watch "watched-$pair" </dev/null &
    viewer=$!
    train "watched-$pair" --guard 'auc > 2 for 10 steps: pause; zstd < -1: stop'
    kill "$viewer" 2>/dev/null || true
    wait "$viewer" || true
    viewer=
    if [ "$(wc -c <"$runs/screen")" -lt 2000 ]; then
        echo "the viewer drew nothing: this measures nothing" >&2
        exit 1
    fi
    a=$(speed "alone-$pair")
    w=$(speed "watched-$pair")
    ratio=$(echo "$a $w" | awk '{ printf "%.4f", $2 / $1 }')
    echo "pair=$pair alone=$a watched=$w steps/s ratio=$ratio" >&2
    ratios="$ratios $ratio"
    rm -rf "$runs/alone-$pair" "$runs/watched-$pair"
    pair=$((pair + 1))
done

for r in $ratios; do echo "$r"; done | sort -n | awk '
{ v[NR] = $1 }
END {
    m = NR % 2 ? v[(NR + 1) / 2] : (v[NR / 2] + v[NR / 2 + 1]) / 2
    good = (m >= 0.97)
    printf "%-34s %5s %-5s %6.3f   >= 0.97   %s\n", "speed with guard and viewer", "", "", m, good ? "ok" : "MISSED"
    exit !good
}'
