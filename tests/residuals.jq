# Where a forecast errs, as tables of tests/study.sh's report: by stage of the study, and by how far the probe has moved since
# the evaluation before; also where the run ends, foretold at a quarter of it. Input: the lines of `ssltop fit --points`; $calibration: the one fitted on them; $stages: of runs.
# Errors are root mean squares in points, of evaluations (in a fit every run weighs the same, here every evaluation).

$calibration[0] as $c | $stages[0] as $stage |

def rms: if length == 0 then null else (map(. * .) | add / length | sqrt) end;
def cell: if . == null then "–" else (. * 10 | round / 10 | tostring | if test("\\.") then . else . + ".0" end) end;
def row(name): "| \(name) | \(map(.run) | unique | length) | \(length) | \(map(.at) | rms | cell) | \(map(.between // empty) | rms | cell) | \(map(.end // empty) | rms | cell) |";

# Each evaluation with what was foretold of it by the other runs: at it, and just before it where there is one before.
def joined:
    [foreach .[] as $p ({run: null, i: -1, j: -1, k: -1, last: null};
        (.run == $p.run) as $same
        | .before = (if $same then .last else null end)
        | .has = ($same and $p.live.auc != null)
        | .i += 1 | (if .has then .j += 1 else . end) | (if $p.end != null then .k += 1 else . end)
        | .run = $p.run | .last = $p.correct / $p.n;
        {run, at: (100 * ($c.now.left_out[.i][0] - $c.now.left_out[.i][1]) / 10000),
         between: (if .has and $c.live then 100 * ($c.live.left_out[.j][0] - $c.live.left_out[.j][1]) / 10000 else null end),
         end: (if $p.end != null and $c.end and $p.exact.share >= 0.2 and $p.exact.share <= 0.3 then
                   100 * ($c.end.left_out[.k][0] - $c.end.left_out[.k][1]) / 10000 else null end),
         stage: ($stage[$p.run] // "?"), measured: .last,
         moved: (if .before then 100 * (.last - .before) | fabs else null end)})];

map(select(.run)) | joined
| "| runs of stage | runs | evaluations | off at an evaluation | off between | the end, at a quarter |", "|---|---|---|---|---|---|",
  (group_by(.stage)[] | row(.[0].stage)), row("all"),
  "",
  "| the probe moved since the last evaluation by | runs | evaluations | off at an evaluation | off between | the end, at a quarter |", "|---|---|---|---|---|---|",
  (map(select(.moved != null))
   | (map(select(.moved < 2)) | row("less than 2 points")),
     (map(select(.moved >= 2 and .moved < 5)) | row("2 to 5 points")),
     (map(select(.moved >= 5 and .moved < 15)) | row("5 to 15 points")),
     (map(select(.moved >= 15)) | row("15 points and more"))),
  "",
  "| the probe is at | runs | evaluations | off at an evaluation | off between | the end, at a quarter |", "|---|---|---|---|---|---|",
  ((map(select(.measured < 0.3)) | row("less than 30 %")),
   (map(select(.measured >= 0.3 and .measured < 0.6)) | row("30 to 60 %")),
   (map(select(.measured >= 0.6 and .measured < 0.7)) | row("60 to 70 %")),
   (map(select(.measured >= 0.7)) | row("70 % and more")))
