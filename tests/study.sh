#!/bin/sh
# The study behind the calibration that comes with ssltop: many short trainings on Fashion-MNIST, the
# linear probe of each, a table, a report and a fit. Resumable: a run whose row is in FOLDER's table
# is not made again.
#
#   tests/study.sh SSLTOP FOLDER     trains into FOLDER/runs; table, report and calibration to OUT
#
#   STUDY=full|small   about 100 minutes on two cores (default), or about ten
#   MINUTES=           begin no run after so many; what is there is reported, the rest made next time
#   SHARE=100          percent of the steps of each run: for a quick look whether all works
#   OUT=FOLDER         where table, report and calibration go when all is done (default: FOLDER)
#   DATA=fashion-mnist the data set
#
# Stage 1 (screening): learning rate x weight decay x width, all images.
# Stage 2 (schedules): mode x number of images x seed at two settings: the learning rate and weight
# decay that had the best probe at the first width, and the same decay at twice that rate.
# Stage 3 (capacity): multi-epoch as in stage 2 at its first setting, with narrower and wider networks.
# Stages 2 and 3 make the same number of steps in every run: few images mean many passes over each.
set -eu

ssltop=$1 folder=$2
STUDY=${STUDY:-full} SHARE=${SHARE:-100} MINUTES=${MINUTES:-} OUT=${OUT:-$folder} DATA=${DATA:-fashion-mnist}
here=$(dirname "$0")
batch=64
case $STUDY in
full)
    widths="8:1200 16:800 32:300" # width:steps
    rates="1 2 4" decays="1e-4 5e-4 2e-3"
    sizes="500 5000 all" modes="multi-epoch continual cumulative hybrid" seeds="1 2" steps=2400
    settings="1 2"   # times the best learning rate
    capacities="4 16" # widths
    ;;
small)
    widths="8:600 4:600"
    rates="1 4" decays="5e-4 2e-3"
    sizes="500 all" modes="multi-epoch hybrid" seeds="1 2" steps=1200
    settings="1"
    capacities=""
    ;;
*)
    echo "study.sh: STUDY is full or small" >&2
    exit 2
    ;;
esac

name=$(echo "$DATA" | tr -c 'a-z0-9\n' -)
table=$folder/table.csv
runs=$folder/runs
mkdir -p "$runs" "$OUT"
[ -s "$table" ] || echo "name,stage,width,images,passes,schedule,lr,wd,seed,steps,loss,auc,rankme,zstd,probe,probe_lo,probe_hi,fast,knn,seconds" > "$table"

pid=
# shellcheck disable=SC2317
leave() {
    [ -z "$pid" ] || kill "$pid" 2> /dev/null || :
    exit 130
}
trap leave INT TERM HUP

# row NAME: whether the table has it
row() {
    cut -d, -f1 "$table" | grep -qxF "$1"
}

finished() {
    "$ssltop" runs --runs "$runs" --json | jq -r 'select(.state == "finished") | .name' | grep -qxF "$1"
}

# watched COMMAND...: run it, but end a training that has come to a stop (it would wait for somebody).
watched() {
    "$@" > "$folder/last.log" 2>&1 &
    pid=$!
    while kill -0 "$pid" 2> /dev/null; do
        sleep 1
        ! grep -q 'not finite' "$folder/last.log" || kill "$pid" 2> /dev/null || :
    done
    ended=0
    wait "$pid" || ended=1
    pid=
    return $ended
}

# What log and probe say of a finished run: images, seconds, then the columns from loss to knn. Fails
# when one of them is missing.
measure() {
    log=$(zstdcat "$runs/$1/run.jsonl.zst" | jq -ers '
        (map(select(.type == "step")) | sort_by(.step)) as $s | ($s[-100:]) as $last |
        (map(select(.type == "eval")) | max_by(.step)) as $e |
        [(map(select(.type == "run"))[0].dataset.n), ($s | map(.t) | max),
         ($last | map(.loss) | add / length), $e.auc, $e.rankme, $last[-1].zstd] |
        if all(type == "number") then map(tostring) | join(",") else empty end') || return 1
    probe=$("$ssltop" probe "$1" --runs "$runs" --json) || return 1
    probe=$(echo "$probe" | jq -er '
        [.linear.top1, .linear.lo, .linear.hi, .fast.top1, .knn.top1] |
        if all(type == "number") then map(tostring) | join(",") else empty end') || return 1
    echo "$log,$probe"
}

# train NAME STAGE WIDTH IMAGES SCHEDULE LR WD SEED STEPS
train() {
    made=$((made + 1))
    row "$1" && return
    [ -z "$MINUTES" ] || [ $(($(date +%s) - began)) -lt $((MINUTES * 60)) ] || return 0
    total=$(($9 * SHARE / 100))
    [ "$total" -ge 8 ] || total=8
    subset=
    [ "$4" = all ] || subset="--subset $4"
    if ! finished "$1"; then
        rm -rf "${runs:?}/$1" # half a run: a study has no pauses in its runs
        echo "$(date +%H:%M:%S) $made/$planned $1"
        # shellcheck disable=SC2086
        watched "$ssltop" train --headless --data "$DATA" --runs "$runs" --name "$1" --width "$3" $subset \
            --schedule "$5" --lr "$6" --wd "$7" --seed "$8" --steps "$total" --batch $batch \
            --eval-every $((total / 4)) --checkpoint-every "$total" --keep 1 --calibration off || {
            tail -n 3 "$folder/last.log" >&2
            echo "study.sh: $1 failed; the study goes on without it" >&2
            return 0
        }
    fi
    words=$(measure "$1") || {
        echo "study.sh: $1 could not be measured; the study goes on without it" >&2
        return 0
    }
    images=${words%%,*} words=${words#*,}
    seconds=${words%%,*} words=${words#*,}
    passes=$(awk "BEGIN { printf \"%.3g\", $total * $batch / $images }")
    echo "$1,$2,$3,$images,$passes,$5,$6,$7,$8,$total,$words,$seconds" >> "$table"
}

count() {
    echo $#
}
# shellcheck disable=SC2086
planned=$(($(count $widths) * $(count $rates) * $(count $decays) +
    $(count $sizes) * $(count $seeds) * ($(count $modes) * $(count $settings) + $(count $capacities))))
made=0 began=$(date +%s)

for width in $widths; do
    for lr in $rates; do
        for wd in $decays; do
            w=${width%:*}
            train "screen-w$w-lr$lr-wd$wd" screening "$w" all multi-epoch "$lr" "$wd" 1 "${width#*:}"
        done
    done
done

first=${widths%% *} first=${first%:*}
best=$(awk -F, -v w="$first" '$2 == "screening" && $3 == w && $15 > most { most = $15; best = $7 " " $8 }
    END { print best }' "$table")
[ -n "$best" ] || {
    echo "study.sh: no run of the screening has a probe" >&2
    exit 1
}
lr=${best% *} wd=${best#* }
# A seed after the other: a study that is broken off has all of the first.
for seed in $seeds; do
    for setting in $settings; do
        rate=$(awk "BEGIN { print $lr * $setting }")
        for size in $sizes; do
            for mode in $modes; do
                train "mode-$mode-n$size-lr$rate-s$seed" schedules "$first" "$size" "$mode" "$rate" "$wd" \
                    "$seed" "$steps"
            done
        done
    done
    for width in $capacities; do
        for size in $sizes; do
            train "width-w$width-n$size-lr$lr-s$seed" capacity "$width" "$size" multi-epoch "$lr" "$wd" \
                "$seed" "$steps"
        done
    done
done

# All or nothing reaches OUT, where the last study's may lie.
calibration=$folder/calibration.json
rm -f "$calibration"
# shellcheck disable=SC2046
"$ssltop" fit $(tail -n +2 "$table" | cut -d, -f1) --runs "$runs" -o "$calibration" > "$folder/fit.txt" 2>&1 || :
awk -F, -v fit="$folder/fit.txt" -v data="$DATA" -f "$here/study.awk" "$table" > "$folder/report.md"
cp "$table" "$OUT/study-$name.csv"
cp "$folder/report.md" "$OUT/study-$name.md"
if [ -s "$calibration" ]; then
    cp "$calibration" "$OUT/$name-resnet18.json"
else
    rm -f "$OUT/$name-resnet18.json" # an older one would not be of this table
fi
echo "$OUT/study-$name.csv: $(($(wc -l < "$table") - 1)) runs"
cat "$folder/fit.txt"
