#!/usr/bin/env bash
# Kills (-9) each of several ranks in turn at random moments of a training under mpirun, goes on with --resume, and compares
# with the training that nobody killed: to the last bit. By hand, since it takes minutes; on one machine, with Open MPI.
#
#   tests/kill_ranks.sh ./ssltop [RANKS [MOMENTS]]      2 ranks and 20 moments; SEED=7 draws others
set -euo pipefail
program=$(realpath "${1:?the program}")
ranks=${2:-2}
moments=${3:-20}
RANDOM=${SEED:-1}
here=$(mktemp -d /tmp/ssltop-kills-XXXXXX)
trap 'rm -rf "$here"' EXIT
export OMP_NUM_THREADS=1
options=(--data synthetic:256 --width 4 --batch 32 --threads 1 --precision f32 --eval-images 64 --probe off --headless
  --eval-share 1 --steps 60 --checkpoint-every 7 --runs "$here/runs")
train() { mpirun --allow-run-as-root --oversubscribe --bind-to none -n "$ranks" "$program" train "$@" > "$here/out" 2>&1; }
pid_of() { # rank, of this script's training; nothing: it is not there
  local p
  for p in $(pgrep -x ssltop); do
    { tr '\0' '\n' < "/proc/$p/environ" | grep -qx "OMPI_COMM_WORLD_RANK=$1"; } 2>/dev/null &&
      grep -qF "$here/runs" "/proc/$p/cmdline" 2>/dev/null && echo "$p" && return
  done
  true
}
steps_of() {
  zstdcat "$here/runs/$1/run.jsonl.zst" | jq -c 'select(.type=="step") | [.step, .loss, .auc, .lr]' | sort -t, -k1.2n -u
}

begun=$(date +%s%N)
train "${options[@]}" --name whole || { cat "$here/out"; exit 1; }
length=$((($(date +%s%N) - begun) / 1000000))
steps_of whole > "$here/whole"
[ "$(wc -l < "$here/whole")" = 60 ]
slowest=0 spoken=0 early=0
for ((i = 0; i < moments; i++)); do
  rank=$((i % ranks)) name=killed$i
  train "${options[@]}" --name $name &
  job=$!
  ms=$((RANDOM % length))
  sleep "$(printf '%d.%03d' $((ms / 1000)) $((ms % 1000)))"
  pid=$(pid_of $rank)
  since=$(date +%s%N)
  [ -z "$pid" ] || kill -9 "$pid" 2>/dev/null || true
  wait $job && early=$((early + 1)) || true
  took=$((($(date +%s%N) - since) / 1000000))
  [ -z "$pid" ] || [ $took -le $slowest ] || slowest=$took
  if [ -n "$pid" ] && grep -q "rank $rank on .* is gone" "$here/out"; then spoken=$((spoken + 1)); fi
  for k in $(seq 0 $((ranks - 1))); do
    [ -z "$(pid_of $k)" ] || { echo "rank $k is still there"; exit 1; }
  done
  if [ -e "$here/runs/$name" ]; then
    train --runs "$here/runs" --resume $name --headless || grep -q 'is finished' "$here/out" || { cat "$here/out"; exit 1; }
  else # before it began
    train "${options[@]}" --name $name || { cat "$here/out"; exit 1; }
  fi
  steps_of $name > "$here/killed"
  cmp "$here/whole" "$here/killed" || { echo "killed after $ms ms, rank $rank: another result"; exit 1; }
done
echo "$moments kills of $ranks ranks in turn: the others were gone after at most $slowest ms, $spoken said who it was," \
  "$early had ended before; resumed, all are what was never killed"
