#!/bin/sh
# The study behind the calibration that comes with ssltop: many short trainings on Fashion-MNIST, the
# linear probe of each, a table, a report and a fit. Resumable: a run whose row is in the table is
# not made again.
#
#   tests/study.sh SSLTOP FOLDER     trains into FOLDER/runs; table, report and calibration to OUT
#
#   STUDY=full|small   about 100 minutes on two cores (default), or about ten
#   SHARE=100          percent of the steps of each run: for a quick look whether all works
#   OUT=FOLDER         where table, report and calibration go (default: FOLDER)
#   DATA=fashion-mnist the data set
#
# Stage 1 (screening): learning rate x weight decay x width, all images. Stage 2 (schedules): mode x
# number of images x seed at two settings: the best learning rate and weight decay of the smallest
# width, and the same weight decay at twice that rate.
set -eu

ssltop=$1 folder=$2
STUDY=${STUDY:-full} SHARE=${SHARE:-100} OUT=${OUT:-$folder} DATA=${DATA:-fashion-mnist}
here=$(dirname "$0")
batch=64
case $STUDY in
full)
    widths="8:1200 16:900 32:400" # width:steps
    rates="1 2 4" decays="1e-4 5e-4 2e-3"
    sizes="500 5000 all" modes="multi-epoch continual cumulative hybrid" seeds="1 2" steps=2400
    settings="1 2" # times the best learning rate
    ;;
small)
    widths="4:600 8:600"
    rates="1 4" decays="5e-4 2e-3"
    sizes="500 all" modes="multi-epoch hybrid" seeds="1 2" steps=1200
    settings="1"
    ;;
*)
    echo "study.sh: STUDY is full or small" >&2
    exit 2
    ;;
esac

name=$(echo "$DATA" | tr -c 'a-z0-9\n' -)
table=$OUT/study-$name.csv report=$OUT/study-$name.md calibration=$OUT/$name-resnet18.json
runs=$folder/runs
mkdir -p "$runs" "$OUT"
[ -s "$table" ] || echo "name,stage,width,images,passes,schedule,lr,wd,seed,steps,loss,auc,rankme,zstd,probe,probe_lo,probe_hi,fast,knn,seconds" > "$table"

# row NAME: whether the table has it
row() {
    cut -d, -f1 "$table" | grep -qxF "$1"
}

# What the log and the probe say of a finished run, as the rest of its row.
measure() {
    zstdcat "$runs/$1/run.jsonl.zst" | jq -rs '
        (map(select(.type == "step")) | sort_by(.step) | .[-100:]) as $s |
        (map(select(.type == "eval")) | max_by(.step)) as $e |
        [($s | map(.loss) | add / length), $e.auc, $e.rankme, $s[-1].zstd] | map(tostring) | join(",")' |
        tr -d '\n'
    printf ,
    "$ssltop" probe "$1" --runs "$runs" --json | jq -r '
        [.linear.top1, .linear.lo, .linear.hi, .fast.top1, .knn.top1] | map(tostring) | join(",")' |
        tr -d '\n'
}

# train NAME STAGE WIDTH IMAGES SCHEDULE LR WD SEED STEPS
train() {
    row "$1" && return
    total=$(($9 * SHARE / 100))
    [ "$total" -ge 8 ] || total=8
    subset= images=$4
    [ "$4" = all ] || subset="--subset $4"
    if ! "$ssltop" runs --runs "$runs" --json |
        jq -r 'select(.state == "finished") | .name' | grep -qxF "$1"; then
        rm -rf "${runs:?}/$1" # half a run: a study has no pauses in its runs
        echo "$(date +%H:%M:%S) $1"
        # shellcheck disable=SC2086
        "$ssltop" train --headless --data "$DATA" --runs "$runs" --name "$1" --width "$3" $subset \
            --schedule "$5" --lr "$6" --wd "$7" --seed "$8" --steps "$total" --batch $batch \
            --eval-every $((total / 4)) --checkpoint-every "$total" --keep 1 --calibration off \
            > "$folder/last.log" 2>&1 || {
            tail -n 3 "$folder/last.log" >&2
            echo "study.sh: $1 failed; the study goes on without it" >&2
            return 0
        }
    fi
    images=$(zstdcat "$runs/$1/run.jsonl.zst" | head -n 1 | jq .dataset.n)
    seconds=$(zstdcat "$runs/$1/run.jsonl.zst" | jq -s '[.[] | select(.type == "step") | .t] | max')
    line=$1,$2,$3,$images,$(awk "BEGIN { printf \"%.3g\", $total * $batch / $images }"),$5,$6,$7,$8,$total
    line=$line,$(measure "$1"),$seconds
    echo "$line" >> "$table"
}

for width in $widths; do
    for lr in $rates; do
        for wd in $decays; do
            w=${width%:*}
            train "screen-w$w-lr$lr-wd$wd" screening "$w" all multi-epoch "$lr" "$wd" 1 "${width#*:}"
        done
    done
done

smallest=${widths%% *} smallest=${smallest%:*}
best=$(awk -F, -v w="$smallest" '$2 == "screening" && $3 == w && $15 > most { most = $15; best = $7 " " $8 }
    END { print best }' "$table")
lr=${best% *} wd=${best#* }
[ -n "$best" ] || {
    echo "study.sh: no run of the screening has a probe" >&2
    exit 1
}
for setting in $settings; do
    rate=$(awk "BEGIN { print $lr * $setting }")
    for size in $sizes; do
        for mode in $modes; do
            for seed in $seeds; do
                train "mode-$mode-n$size-lr$rate-s$seed" schedules "$smallest" "$size" "$mode" "$rate" "$wd" \
                    "$seed" "$steps"
            done
        done
    done
done

# shellcheck disable=SC2046
"$ssltop" fit $(tail -n +2 "$table" | cut -d, -f1) --runs "$runs" -o "$calibration" > "$folder/fit.txt" 2>&1 ||
    rm -f "$calibration" # an older one would not be of this table
awk -F, -v fit="$folder/fit.txt" -v data="$DATA" -f "$here/study.awk" "$table" > "$report"
echo "$table: $(($(wc -l < "$table") - 1)) runs"
cat "$folder/fit.txt"
