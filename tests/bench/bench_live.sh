#!/bin/sh
# What everything that is told of every step costs: its share of the step, from the records of short
# trainings on Fashion-MNIST at two widths. Meant for an otherwise idle machine.
#
#   tests/bench/bench_live.sh SSLTOP      exit 1: more than MOST percent
set -eu

ssltop=$1
MOST=${MOST:-2.0} THREADS=${THREADS:-$(nproc)}
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
rc=0
for row in 16:116:100 64:44:32; do # width:steps:of them measured, the last ones
    IFS=: read -r width steps last << END
$row
END
    "$ssltop" train --headless --data fashion-mnist --runs "$folder" --name "w$width" --width "$width" --batch 128 \
        --steps "$steps" --threads "$THREADS" --eval-every 100000 --eval-images 512 --probe-images 500 \
        --calibration off > "$folder/log" 2>&1 || {
        tail -n 3 "$folder/log" >&2
        exit 1
    }
    zstdcat "$folder/w$width/run.jsonl.zst" | jq -rs --arg width "$width" --argjson last "$last" '
        (map(select(.type == "run"))[0].device) as $device |
        map(select(.type == "step") | .ms | {live: .spectrum, all: ([.[] | numbers] | add)})[-$last:] |
        (map(.live) | add) as $live | (map(.all) | add) as $all |
        "live width=\($width) precision=\($device.precision) threads=\($device.threads) " +
        "step_ms=\($all / length * 100 | round / 100) live_ms=\($live / length * 100 | round / 100) " +
        "share=\($live / $all * 1e4 | round / 100)"' | tee "$folder/line"
    awk -v most="$MOST" '{ sub(/.*share=/, ""); exit !($0 + 0 <= most) }' "$folder/line" || {
        echo "bench_live.sh: more than $MOST % of a step at width $width" >&2
        rc=1
    }
done
exit $rc
