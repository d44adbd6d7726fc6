#!/bin/sh
# The study behind the calibration that comes with ssltop: many short trainings on Fashion-MNIST, the
# linear probe of each, a table, a report and a fit. Resumable: a run whose row is in FOLDER's table
# is not made again, nor one of which OUT has kept row and evaluations (points-*.jsonl).
#
#   tests/study.sh SSLTOP FOLDER     trains into FOLDER/runs; table, report and calibration to OUT
#
#   STUDY=full|small   about two hours on two cores (default), or ten minutes: runs too short to collapse,
#                      probes of 10,000 images, a forecast of what is not collapsing
#         long         the full one, and an hour more for hundreds of passes over more images
#         photos       fewer, short ones on crops of photographs (tests/crops.py): do terms keep their sign?
#   MINUTES=           begin no run after so many; what is there is reported, the rest made next time
#   JOBS=              runs at a time, by default one a core: they do not wait for one another as threads do
#   SHARE=100          percent of the steps of each run: for a quick look whether all works
#   OUT=FOLDER         where table, report and calibration go when all is done (default: FOLDER)
#   DATA=fashion-mnist the data set
#   REPLACE=yes        replace a calibration of more runs too
#
#   STAGES=            which stages, in this order, after the first one
#   SEEDS="1 2"        the seeds
#
# screening: learning rate x weight decay at the first width, all images; wider: at the others.
# collapse: learning rates and weight decays at which networks come to a complete collapse.
# schedules: mode x number of images at two settings: the learning rate and weight decay that had the
# best probe of the screening, and the same decay at twice that rate; at half of it, multi-epoch with
# all images: what is best in a short run need not be in a longer one.
# capacity: multi-epoch at the first of these settings, with narrower and wider networks.
# methods: BYOL, multi-epoch and hybrid, at its own learning rate and at three times that.
# All these make the same number of steps in every run: few images mean many passes over each.
# long: hundreds of passes. Of 5,000 images at half the rate: at the whole one both schedules came to
# a complete collapse halfway (steps 6,000 and 10,000).
set -eu

ssltop=$1 folder=$2
STUDY=${STUDY:-full} SHARE=${SHARE:-100} MINUTES=${MINUTES:-} JOBS=${JOBS:-$(nproc)} OUT=${OUT:-$folder} DATA=${DATA:-fashion-mnist}
here=$(dirname "$0")
threads=$((($(nproc) + JOBS - 1) / JOBS))
batch=64
collapse_widths='' collapse_sizes='' collapse_rates='' # of these: learning rate:weight decay
long='' long_modes=''                                    # width:images:steps:seed:times the best learning rate
labelled=all                                             # training images that the probes are fitted on
seeds=${SEEDS:-1 2}
case $STUDY in
full | long)
    widths="8:800:1,2,4 16:400:1,2,4 32:200:1" # width:steps:learning rates
    decays="1e-4 5e-4 2e-3"
    sizes="500 5000 20000" modes="multi-epoch continual cumulative hybrid" steps=700
    settings="1 2" # times the best learning rate
    collapse_widths="8 4" collapse_sizes="500 5000 all" collapse_rates="4:2e-3 4:4e-3 2:4e-3"
    capacities="4 16" capacity_sizes="500 all" # widths, images
    byol_rates="0.6 2" byol_sizes="500 5000 20000" byol_modes="multi-epoch hybrid"
    stages="wider collapse schedules capacity methods"
    if [ "$STUDY" = long ]; then
        long="8:500:2400:1:1 4:500:2400:1:1 8:1000:4700:1:1 8:1000:4700:2:1 8:5000:23500:1:0.5"
        long_modes="multi-epoch hybrid" stages="$stages long"
    fi
    ;;
small)
    # With the decay 2e-3 a single run of so few steps collapses: no fit foretells it from the others.
    widths="8:300:1,4 4:300:1,4"
    decays="1e-4 5e-4"
    sizes="500 all" modes="multi-epoch hybrid" steps=500
    settings="1"
    labelled=10000
    capacities="" capacity_sizes=""
    byol_rates="0.6" byol_sizes="all" byol_modes="multi-epoch"
    stages="wider schedules methods"
    ;;
photos)
    widths="8:400:1,2,4"
    decays="1e-4 5e-4 4e-3"
    sizes="" modes="" steps=400
    settings=""
    capacities="" capacity_sizes=""
    byol_rates="" byol_sizes="" byol_modes=""
    stages=""
    DATA=pack:$folder/crops.pack
    ;;
*)
    echo "study.sh: STUDY is full, long, small or photos" >&2
    exit 2
    ;;
esac
STAGES=${STAGES-$stages}

name=$(echo "${DATA##*/}" | tr -c 'a-z0-9\n' -)
table=$folder/table.csv
runs=$folder/runs
mkdir -p "$runs" "$OUT"
side='' # of the images
if [ "$STUDY" = photos ]; then
    name=photos side="--image-size 32"
    [ -s "$folder/crops.pack" ] || {
        rm -rf "$folder/crops"
        /usr/bin/python3 "$here/crops.py" "$folder/crops"
        "$ssltop" pack "images:$folder/crops" -o "$folder/crops.pack" --threads 1
    }
fi
[ -s "$table" ] || echo "name,stage,width,images,passes,schedule,lr,wd,seed,steps,loss,auc,rankme,zstd,probe,probe_lo,probe_hi,fast,knn,seconds,method,rankme_raw,pixel_r2,pseudo10,pseudo30,pseudo100,twonn,self_cluster,self_cluster_c,lidar,lidar10" > "$table"

pid='' jobs='' # the trainer of this job; all jobs
leave() {
    for p in $pid $jobs; do
        kill "$p" 2> /dev/null || :
    done
    exit 130
}
trap leave INT TERM HUP

# Of these runs OUT has kept row and evaluations.
: > "$folder/kept.csv"
for points in "$OUT/points-$name"-*.jsonl; do
    [ ! -s "$points" ] || jq -r '.run // empty' "$points" | sort -u |
        awk -F, 'NR == FNR { kept[$1]; next } $1 in kept' - "$OUT/study-$name.csv" >> "$folder/kept.csv"
done

# row NAME: whether a table has it
row() {
    cut -d, -f1 "$table" "$folder/kept.csv" | grep -qxF "$1"
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
         $e.self_cluster_c, ($s | map(.lidar // empty) | last), $e.lidar] as $more |
        if ($ends | all(type == "number")) then
            ($ends | map(tostring) | join(",")) + " " + ($more | map(tostring | sub("null"; "")) | join(","))
        else empty end') || return 1
    more=${log#* } log=${log% *}
    some=
    [ "$labelled" = all ] || some="--images $labelled"
    # shellcheck disable=SC2086
    probe=$("$ssltop" probe "$1" --runs "$runs" --threads "$threads" --keep $some --json) || return 1
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
        watched "$folder/$1.log" "$ssltop" train --headless --data "$DATA" $side --runs "$runs" --name "$1" --width "$3" $subset \
            --method "$method" --schedule "$5" --lr "$6" --wd "$7" --seed "$8" --steps "$total" --batch $batch \
            --threads "$threads" --eval-every $((total / 8)) --eval-share 1 --checkpoint-every "$total" --keep 1 --calibration off || {
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
    ! $planning || return 0
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

# ---------------------------------------------------------------- the stages

# screening WIDTH:STEPS:RATES ...
screening() {
    for width; do
        IFS=: read -r w length rates << END
$width
END
        for rate in $(echo "$rates" | tr , ' '); do
            for decay in $decays; do
                train "screen-w$w-lr$rate-wd$decay" screening "$w" all multi-epoch "$rate" "$decay" 1 "$length"
            done
        done
    done
}

# The best setting of the screening at the first width, into lr and wd.
settle() {
    lr=1 wd=0
    ! $planning || return 0
    until_fewer 1
    best=$(awk -F, -v w="$first" '$2 == "screening" && $3 == w && $15 > most { most = $15; best = $7 " " $8 }
        END { print best }' "$table" "$folder/kept.csv")
    [ -n "$best" ] || {
        echo "study.sh: no run of the screening has a probe" >&2
        exit 1
    }
    lr=${best% *} wd=${best#* }
}

# schedules SEED, and so on: the runs of a stage with that seed.
schedules() {
    for setting in $settings; do
        rate=$(awk "BEGIN { print $lr * $setting }")
        for size in $sizes; do
            for mode in $modes; do
                train "mode-$mode-n$size-lr$rate-s$1" schedules "$first" "$size" "$mode" "$rate" "$wd" "$1" "$steps"
            done
        done
    done
    rate=$(awk "BEGIN { print $lr / 2 }")
    train "mode-multi-epoch-nall-lr$rate-s$1" schedules "$first" all multi-epoch "$rate" "$wd" "$1" "$steps"
}

capacity() {
    for width in $capacities; do
        for size in $capacity_sizes; do
            train "width-w$width-n$size-lr$lr-s$1" capacity "$width" "$size" multi-epoch "$lr" "$wd" "$1" "$steps"
        done
    done
}

methods() {
    for rate in $byol_rates; do
        for size in $byol_sizes; do
            for mode in $byol_modes; do
                train "byol-$mode-n$size-lr$rate-s$1" methods "$first" "$size" "$mode" "$rate" "$wd" "$1" "$steps" byol
            done
        done
    done
}

collapse() {
    for width in $collapse_widths; do
        for size in $collapse_sizes; do
            for rates in $collapse_rates; do
                train "collapse-w$width-n$size-lr${rates%:*}-wd${rates#*:}-s$1" collapse "$width" "$size" multi-epoch \
                    "${rates%:*}" "${rates#*:}" "$1" "$steps"
            done
        done
    done
}

long() {
    for run in $long; do
        IFS=: read -r w size length of times << END
$run
END
        [ "$of" = "$1" ] || continue
        rate=$(awk "BEGIN { print $lr * $times }")
        for mode in $long_modes; do
            train "long-w$w-$mode-n$size-lr$rate-s$1" long "$w" "$size" "$mode" "$rate" "$wd" "$1" "$length"
        done
    done
}

# A seed after the other: a study that is broken off has all of the first.
# shellcheck disable=SC2086
all() {
    screening ${widths%% *}
    settle
    for seed in $seeds; do
        for stage in $STAGES; do
            if [ "$stage" != wider ]; then
                $stage "$seed"
            elif [ "$seed" = "${seeds%% *}" ] && [ "$widths" != "${widths#* }" ]; then
                screening ${widths#* }
            fi
        done
    done
}

first=${widths%% *} first=${first%%:*} began=$(date +%s)
planning=true made=0
all
planning=false planned=$made made=0
all
until_fewer 1

# Runs ended in any order. The rows of an earlier study stay, where this one has not made the run too;
# those of the stage "before" lack what was measured since.
{
    head -n 1 "$table"
    {
        tail -n +2 "$table"
        [ ! -s "$OUT/study-$name.csv" ] || tail -n +2 "$OUT/study-$name.csv" |
            awk -F, -v table="$table" 'BEGIN { while ((getline line < table) > 0) { split(line, f, ","); seen[f[1]] = 1 } }
                !seen[$1]'
    } | sort -t, -k2,2r -k3,3n -k4,4n -k7,7g -k8,8g -k6,6 -k9,9n
} > "$folder/all.csv"

# A calibration of each method's runs, and for comparison one that does without the surrogates. Of runs
# whose logs are elsewhere their evaluations were kept.
# shellcheck disable=SC2046
for method in simsiam byol; do
    names=$(awk -F, -v m=$method 'NR > 1 && $21 == m { print $1 }' "$table")
    rm -f "$folder/$method.json" "$folder/$method.svg" "$folder/$method.jsonl"
    [ -n "$names" ] || continue
    others=
    if [ -s "$OUT/points-$name-$method.jsonl" ]; then
        others=$folder/others.jsonl
        echo "$names" | jq -cR . | jq -cn --slurpfile mine /dev/stdin --slurpfile kept "$OUT/points-$name-$method.jsonl" \
            '$kept[] | select(.points or (.run | IN($mine[]) | not))' > "$others"
    fi
    # shellcheck disable=SC2086
    "$ssltop" fit $names $others --runs "$runs" --points "$folder/$method.jsonl" -o "$folder/$method.json" \
        > "$folder/$method.txt" 2>&1 || :
    # shellcheck disable=SC2086
    "$ssltop" fit $names $others --runs "$runs" --without surrogates -o "$folder/without.json" \
        > "$folder/$method-without.txt" 2>&1 || :
    [ ! -s "$folder/$method.json" ] || "$ssltop" export "$folder/$method.json" --format svg -o "$folder/$method.svg"
done
# Where SimSiam's errs.
rm -f "$folder/residuals.md"
if [ -s "$folder/simsiam.json" ]; then
    tail -q -n +2 "$folder/all.csv" | cut -d, -f1,2 |
        jq -Rn '[inputs | split(",") | {(.[0]): .[1]}] | add' > "$folder/stages.json"
    jq -rs --slurpfile stages "$folder/stages.json" --slurpfile calibration "$folder/simsiam.json" \
        -f "$here/residuals.jq" "$folder/simsiam.jsonl" > "$folder/residuals.md"
fi
awk -F, -v fits="$folder" -v photos="$OUT/study-photos.csv" -v data="$DATA" -v labelled="$labelled" -f "$here/study.awk" "$folder/all.csv" > "$folder/report.md"

# A calibration replaces none of more runs, unless asked to.
for method in simsiam:$name-resnet18 byol:$name-resnet18-byol; do
    new=$folder/${method%%:*}.json old=$OUT/${method#*:}.json
    [ -s "$new" ] || continue
    if [ -s "$old" ] && [ -z "${REPLACE:-}" ] && [ "$(jq '.runs | length' "$new")" -lt "$(jq '.runs | length' "$old")" ]; then
        echo "study.sh: $old is of more runs than $new, and stays" >&2
        continue
    fi
    cp "$new" "$old"
    [ "${method%%:*}" = byol ] || cp "$folder/simsiam.svg" "$OUT/study-$name.svg"
done
cp "$folder/all.csv" "$OUT/study-$name.csv"
cp "$folder/report.md" "$OUT/study-$name.md"
for method in simsiam byol; do
    [ ! -s "$folder/$method.jsonl" ] || cp "$folder/$method.jsonl" "$OUT/points-$name-$method.jsonl"
done
echo "$OUT/study-$name.csv: $(($(wc -l < "$table") - 1)) runs"
cat "$folder/simsiam.txt"
