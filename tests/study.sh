#!/bin/sh
# The study behind the calibration that comes with ssltop: many short trainings on Fashion-MNIST, the
# linear probe of each, a table, a report and a fit. Resumable: a run whose row is in FOLDER's table
# is not made again.
#
#   tests/study.sh SSLTOP FOLDER     trains into FOLDER/runs; table, report and calibration to OUT
#
#   STUDY=full|small   about 100 minutes on two cores (default), or ten: runs too short to collapse,
#                      probes of 10,000 images, a forecast of what is not collapsing
#         long         the full one, and an hour more for hundreds of passes over more images
#   MINUTES=           begin no run after so many; what is there is reported, the rest made next time
#   JOBS=              runs at a time, by default one a core: they do not wait for one another as threads do
#   SHARE=100          percent of the steps of each run: for a quick look whether all works
#   OUT=FOLDER         where table, report and calibration go when all is done (default: FOLDER)
#   DATA=fashion-mnist the data set
#
# Stage 1 (screening): learning rate x weight decay x width, all images.
# Stage 2 (schedules): mode x number of images x seed at two settings: the learning rate and weight
# decay that had the best probe at the first width, and the same decay at twice that rate; at half of
# it, multi-epoch with all images: what is best in a short run need not be in a longer one.
# Stage 3 (capacity): multi-epoch as in stage 2 at its first setting, with narrower and wider networks.
# Stage 4 (methods): BYOL, multi-epoch and hybrid, at its own learning rate and at three times that.
# Stages 2 to 4 make the same number of steps in every run: few images mean many passes over each.
# Stage 5 (long): more images for as many passes as stage 2 makes over the fewest. Of 5,000 at half the
# rate: at the whole one both schedules came to a complete collapse halfway (steps 6,000 and 10,000).
set -eu

ssltop=$1 folder=$2
STUDY=${STUDY:-full} SHARE=${SHARE:-100} MINUTES=${MINUTES:-} JOBS=${JOBS:-$(nproc)} OUT=${OUT:-$folder} DATA=${DATA:-fashion-mnist}
here=$(dirname "$0")
threads=$((($(nproc) + JOBS - 1) / JOBS))
batch=64
case $STUDY in
full | long)
    widths="8:800:1,2,4 16:400:1,2,4 32:200:1" # width:steps:learning rates
    decays="1e-4 5e-4 2e-3"
    sizes="500 5000 20000" modes="multi-epoch continual cumulative hybrid" seeds="1 2" steps=700
    settings="1 2"   # times the best learning rate
    labelled=20000   # training images that the probes are fitted on
    capacities="4 16" capacity_sizes="500 all" # widths, images
    byol_rates="0.6 2" byol_sizes="500 5000 20000" byol_modes="multi-epoch hybrid"
    long='' long_modes="multi-epoch hybrid" # images:steps:seed:times the best learning rate
    [ "$STUDY" = full ] || long="1000:4700:1:1 1000:4700:2:1 5000:23500:1:0.5"
    ;;
small)
    # With the decay 2e-3 a single run of so few steps collapses: no fit foretells it from the others.
    widths="8:300:1,4 4:300:1,4"
    decays="1e-4 5e-4"
    sizes="500 all" modes="multi-epoch hybrid" seeds="1 2" steps=500
    settings="1"
    labelled=10000
    capacities="" capacity_sizes=""
    byol_rates="0.6" byol_sizes="all" byol_modes="multi-epoch"
    long="" long_modes=""
    ;;
*)
    echo "study.sh: STUDY is full, long or small" >&2
    exit 2
    ;;
esac

name=$(echo "$DATA" | tr -c 'a-z0-9\n' -)
table=$folder/table.csv
runs=$folder/runs
mkdir -p "$runs" "$OUT"
[ -s "$table" ] || echo "name,stage,width,images,passes,schedule,lr,wd,seed,steps,loss,auc,rankme,zstd,probe,probe_lo,probe_hi,fast,knn,seconds,method,rankme_raw,pixel_r2,pseudo10,pseudo30,pseudo100,twonn,self_cluster,self_cluster_c" > "$table"

pid='' jobs='' # the trainer of this job; all jobs
leave() {
    for p in $pid $jobs; do
        kill "$p" 2> /dev/null || :
    done
    exit 130
}
trap leave INT TERM HUP

# row NAME: whether the table has it
row() {
    cut -d, -f1 "$table" | grep -qxF "$1"
}

finished() {
    [ -d "$runs/$1" ] && "$ssltop" runs --runs "$runs" --json | jq -r 'select(.state == "finished") | .name' | grep -qxF "$1"
}

# watched LOG COMMAND...: run it, but end a training that has come to a stop (it would wait for somebody).
watched() {
    log=$1
    shift
    "$@" > "$log" 2>&1 &
    pid=$!
    while kill -0 "$pid" 2> /dev/null; do
        sleep 1
        ! grep -q 'not finite' "$log" || kill "$pid" 2> /dev/null || :
    done
    ended=0
    wait "$pid" || ended=1
    pid=
    return $ended
}

# What log and probe say of a finished run: images, seconds, the columns from loss to knn, then (after a
# space) those from method on. Fails when one of them is missing.
measure() {
    log=$(zstdcat "$runs/$1/run.jsonl.zst" | jq -ers '
        (map(select(.type == "step")) | sort_by(.step)) as $s | ($s[-100:]) as $last |
        (map(select(.type == "eval")) | max_by(.step)) as $e |
        [(map(select(.type == "run"))[0].dataset.n), ($s | map(.t) | max),
         ($last | map(.loss) | add / length), $e.auc, $e.rankme, $last[-1].zstd] as $ends |
        [$e.rankme_raw, $e.pixel_r2, $e.pseudo10, $e.pseudo30, $e.pseudo100, $e.twonn, $e.self_cluster,
         $e.self_cluster_c] as $more |
        if ($ends | all(type == "number")) then
            ($ends | map(tostring) | join(",")) + " " + ($more | map(tostring | sub("null"; "")) | join(","))
        else empty end') || return 1
    more=${log#* } log=${log% *}
    some=
    [ "$labelled" = all ] || some="--images $labelled"
    # shellcheck disable=SC2086
    probe=$("$ssltop" probe "$1" --runs "$runs" --threads "$threads" $some --json) || return 1
    probe=$(echo "$probe" | jq -er '
        [.linear.top1, .linear.lo, .linear.hi, .fast.top1, .knn.top1] |
        if all(type == "number") then map(tostring) | join(",") else empty end') || return 1
    echo "$log,$probe $more"
}

# make NAME STAGE WIDTH IMAGES SCHEDULE LR WD SEED STEPS [METHOD]: a run and its row
make() {
    total=$(($9 * SHARE / 100))
    [ "$total" -ge 8 ] || total=8
    method=${10:-simsiam}
    subset=
    [ "$4" = all ] || subset="--subset $4"
    if ! finished "$1"; then
        rm -rf "${runs:?}/$1" # half a run: a study has no pauses in its runs
        # shellcheck disable=SC2086
        watched "$folder/$1.log" "$ssltop" train --headless --data "$DATA" --runs "$runs" --name "$1" --width "$3" $subset \
            --method "$method" --schedule "$5" --lr "$6" --wd "$7" --seed "$8" --steps "$total" --batch $batch \
            --threads "$threads" --eval-every $((total / 6)) --eval-share 1 --checkpoint-every "$total" --keep 1 --calibration off || {
            tail -n 3 "$folder/$1.log" >&2
            echo "study.sh: $1 failed; the study goes on without it" >&2
            return 0
        }
    fi
    words=$(measure "$1") || {
        echo "study.sh: $1 could not be measured; the study goes on without it" >&2
        return 0
    }
    rm -f "$folder/$1.log"
    more=${words#* } words=${words% *}
    images=${words%%,*} words=${words#*,}
    seconds=${words%%,*} words=${words#*,}
    passes=$(awk "BEGIN { printf \"%.3g\", $total * $batch / $images }")
    echo "$1,$2,$3,$images,$passes,$5,$6,$7,$8,$total,$words,$seconds,$method,$more" >> "$table"
}

# Wait until fewer than $1 jobs are at work.
until_fewer() {
    while :; do
        alive='' n=0
        for p in $jobs; do
            ! kill -0 "$p" 2> /dev/null || alive="$alive $p" n=$((n + 1))
        done
        jobs=$alive
        [ "$n" -ge "$1" ] || return 0
        sleep 1
    done
}

# train NAME ...: make it in a job of its own, when there is room and unless it is there.
train() {
    made=$((made + 1))
    ! row "$1" || return 0
    until_fewer "$JOBS"
    [ -z "$MINUTES" ] || [ $(($(date +%s) - began)) -lt $((MINUTES * 60)) ] || return 0
    echo "$(date +%H:%M:%S) $made/$planned $1"
    # shellcheck disable=SC2030
    (
        jobs=''
        trap leave INT TERM HUP
        make "$@"
    ) &
    # shellcheck disable=SC2031
    jobs="$jobs $!"
}

count() {
    echo $#
}
# shellcheck disable=SC2086
planned=$(($(echo $widths | tr ' ,' '\n\n' | grep -c .) * $(count $decays) +
    $(count $seeds) * (1 + $(count $sizes) * $(count $modes) * $(count $settings) + $(count $capacities) * $(count $capacity_sizes) +
        $(count $byol_rates) * $(count $byol_sizes) * $(count $byol_modes)) +
    $(count $long) * $(count $long_modes)))
made=0 began=$(date +%s)

for width in $widths; do
    IFS=: read -r w length rates << END
$width
END
    for lr in $(echo "$rates" | tr , ' '); do
        for wd in $decays; do
            train "screen-w$w-lr$lr-wd$wd" screening "$w" all multi-epoch "$lr" "$wd" 1 "$length"
        done
    done
done

until_fewer 1

first=${widths%% *} first=${first%%:*}
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
    rate=$(awk "BEGIN { print $lr / 2 }")
    train "mode-multi-epoch-nall-lr$rate-s$seed" schedules "$first" all multi-epoch "$rate" "$wd" "$seed" "$steps"
    for width in $capacities; do
        for size in $capacity_sizes; do
            train "width-w$width-n$size-lr$lr-s$seed" capacity "$width" "$size" multi-epoch "$lr" "$wd" \
                "$seed" "$steps"
        done
    done
    for rate in $byol_rates; do
        for size in $byol_sizes; do
            for mode in $byol_modes; do
                train "byol-$mode-n$size-lr$rate-s$seed" methods "$first" "$size" "$mode" "$rate" "$wd" "$seed" \
                    "$steps" byol
            done
        done
    done
    for run in $long; do
        IFS=: read -r size length of times << END
$run
END
        [ "$of" = "$seed" ] || continue
        rate=$(awk "BEGIN { print $lr * $times }")
        for mode in $long_modes; do
            train "long-$mode-n$size-lr$rate-s$seed" long "$first" "$size" "$mode" "$rate" "$wd" "$seed" "$length"
        done
    done
done

until_fewer 1

# Runs ended in any order. The ends of an earlier study, whose runs lack what was measured since, stay
# as a stage of their own.
{
    head -n 1 "$table"
    tail -n +2 "$table" | grep -v '^[^,]*,before,' | sort -t, -k2,2r -k3,3n -k4,4n -k7,7g -k8,8g -k6,6 -k9,9n
} > "$table.sorted"
if [ -s "$OUT/study-$name.csv" ]; then
    grep '^[^,]*,before,' "$OUT/study-$name.csv" >> "$table.sorted" || :
fi
mv "$table.sorted" "$table"

# A calibration of each method's runs, and for comparison one that does without the surrogates.
# shellcheck disable=SC2046
for method in simsiam byol; do
    names=$(awk -F, -v m=$method 'NR > 1 && $2 != "before" && $21 == m { print $1 }' "$table")
    rm -f "$folder/$method.json" "$folder/$method.svg"
    [ -n "$names" ] || continue
    "$ssltop" fit $names --runs "$runs" -o "$folder/$method.json" > "$folder/$method.txt" 2>&1 || :
    "$ssltop" fit $names --runs "$runs" --without surrogates -o "$folder/without.json" > "$folder/$method-without.txt" 2>&1 || :
    [ ! -s "$folder/$method.json" ] || "$ssltop" export "$folder/$method.json" --format svg -o "$folder/$method.svg"
done
awk -F, -v fits="$folder" -v data="$DATA" -v labelled="$labelled" -f "$here/study.awk" "$table" > "$folder/report.md"

# All or nothing reaches OUT, where the last study's may lie.
for what in "$table:study-$name.csv" "$folder/report.md:study-$name.md" "$folder/simsiam.json:$name-resnet18.json" \
    "$folder/byol.json:$name-resnet18-byol.json" "$folder/simsiam.svg:study-$name.svg"; do
    rm -f "$OUT/${what#*:}" # an older one would not be of this table
    [ ! -s "${what%%:*}" ] || cp "${what%%:*}" "$OUT/${what#*:}"
done
echo "$OUT/study-$name.csv: $(($(wc -l < "$table") - 1)) runs"
cat "$folder/simsiam.txt"
