#!/usr/bin/env bash
# Trains over two "machines" of this one: network namespaces with names of their own, joined by a cable of 1 Gbit/s and
# 2 ms there and back. As root, with iproute2 and Open MPI; by hand, since it takes a minute.
#
#   tests/machines.sh ./ssltop         train to the end, then pull the cable out of a training and out of a paused one
#
# Pulled, all must have ended within 10 seconds with a sentence that names rank and machine, the log must be whole, and the
# run goes on from its last checkpoint to what the first one came to.
set -euo pipefail
program=$(realpath "${1:?the program}")
here=$(mktemp -d /tmp/ssltop-machines-XXXXXX)
tag=$$
a=ma$tag b=mb$tag
started=()
clean() {
  for pid in "${started[@]}"; do kill -9 -- "-$pid" 2>/dev/null || true; done
  for n in $a $b; do
    for pid in $(ip netns pids $n 2>/dev/null); do kill -9 "$pid" 2>/dev/null || true; done
    ip netns del $n 2>/dev/null || true
  done
  rm -rf "$here"
}
trap clean EXIT

plug() { # a fresh cable
  ip -n $a link del wire 2>/dev/null || true
  ip link add wire netns $a type veth peer name wire netns $b
  local i=0 n
  for n in $a $b; do
    i=$((i + 1))
    ip -n $n addr add 10.77.0.$i/24 dev wire
    ip -n $n link set wire up
    ip -n $n link set lo up
    if ! tc -n $n qdisc add dev wire root netem rate 1gbit delay 1ms 2>/dev/null; then
      tc -n $n qdisc add dev wire root tbf rate 1gbit burst 128k latency 50ms 2>/dev/null ||
        echo "  this kernel shapes nothing: the cable is as fast as it is"
    fi
  done
}

for n in $a $b; do ip netns add $n; done
plug
# What stands in for ssh: HOST COMMAND..., in the other namespace.
cat > "$here/agent" <<AGENT
#!/bin/sh
while [ "\${1#-}" != "\$1" ]; do shift; done
shift
exec ip netns exec $b unshare --uts sh -c 'hostname machine-b; exec sh -c "\$0"' "\$*"
AGENT
chmod +x "$here/agent"

options=(--data synthetic:2048 --width 8 --batch 64 --threads 1 --precision f32 --eval-images 64 --probe off
  --steps "${STEPS:-60}" --checkpoint-every 5 --runs "$here/runs")
train() { # the words of a training; in the background, as a group of its own
  setsid ip netns exec $a unshare --uts sh -c 'hostname machine-a; exec "$@"' sh \
    env OMP_NUM_THREADS=1 mpirun --allow-run-as-root --mca plm_rsh_agent "$here/agent" --mca btl tcp,self \
    --mca oob_tcp_keepalive_time 2 --mca oob_tcp_keepalive_intvl 1 --mca oob_tcp_keepalive_probes 2 \
    --mca oob_tcp_if_include 10.77.0.0/24 --mca btl_tcp_if_include 10.77.0.0/24 --bind-to none \
    --host 10.77.0.1:1,10.77.0.2:1 -n 2 "$program" train "$@" > "$here/out" 2>&1 &
  started+=($!)
  pid=$!
}
comes_to() { # step
  for _ in $(seq 1 600); do
    [ "$("$program" ctl --json --runs "$here/runs" "$1" status 2>/dev/null | jq -r .step)" -ge "$2" ] 2>/dev/null && return 0
    kill -0 $pid 2>/dev/null || break
    sleep 0.1
  done
  cat "$here/out"; echo "$1 does not come to step $2"; exit 1
}
left() { ps -eo pid,args | grep -F "$here" | grep -F " train " | grep -v grep || true; } # mpirun too
alive() { left | wc -l; }

echo "two machines train"
train "${options[@]}" --name whole
wait $pid || { cat "$here/out"; exit 1; }
grep 'processes on 2 hosts' "$here/out"
zstdcat "$here/runs/whole/run.jsonl.zst" | jq -s '[.[] | select(.type=="step") | .ms] |
  {steps: length, reduce: (map(.reduce) | add / length), sum: (map([.[] | numbers] | add) | add / length)}' -c

for state in training paused; do
  echo "the cable is pulled while it is $state"
  train "${options[@]}" --name $state
  comes_to $state 7
  [ $state = training ] || "$program" ctl --runs "$here/runs" paused pause
  sleep 1
  ip -n $a link set wire down
  since=$(date +%s.%N)
  for _ in $(seq 1 200); do [ "$(alive)" = 0 ] && break; sleep 0.1; done
  took=$(echo "$(date +%s.%N) - $since" | bc)
  n=$(alive)
  echo "  after $took s $n processes are left"
  grep -h 'is gone\|lost communication' "$here/out" "$here/runs/$state/trainer.log" | sort -u | head -3 || true
  [ "$n" = 0 ] && [ "$(echo "$took < 10" | bc)" = 1 ] || { left; cat "$here/out"; exit 1; }
  "$program" log check "$here/runs/$state/run.jsonl.zst"
  kill -9 -- -$pid 2>/dev/null || true
  plug
  train --runs "$here/runs" --resume $state
  wait $pid || { cat "$here/out"; exit 1; }
  for n in whole $state; do
    zstdcat "$here/runs/$n/run.jsonl.zst" | jq -c 'select(.type=="step") | [.step, .loss, .auc]' |
      sort -t, -k1.2n -u > "$here/$n.losses"
  done
  cmp "$here/whole.losses" "$here/$state.losses" && echo "  resumed, it is what was never pulled"
done
