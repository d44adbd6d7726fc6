# The report of tests/study.sh from its table: what the runs show, also where it is not what one
# would like. Variables: fit (a file with the words of `ssltop fit`), data.

function key(i, without) # what two runs share but for a column
{
    return row[i, 3] "|" (without == 4 ? "" : row[i, 4]) "|" (without == 6 ? "" : row[i, 6]) "|" \
        row[i, 7] "|" row[i, 8] "|" (without == 9 ? "" : row[i, 9]) "|" row[i, 10]
}

# Pearson's r of columns a and b over rows where auc is in [lo, hi).
function correlation(a, b, lo, hi,    i, m, sa, sb, saa, sbb, sab)
{
    for (i = 1; i <= n; i++)
        if (row[i, 12] >= lo && row[i, 12] < hi) {
            m++
            sa += row[i, a]; sb += row[i, b]
            saa += row[i, a] ^ 2; sbb += row[i, b] ^ 2; sab += row[i, a] * row[i, b]
        }
    count = m
    if (m < 3)
        return "too few runs"
    saa -= sa * sa / m; sbb -= sb * sb / m; sab -= sa * sb / m
    return saa > 0 && sbb > 0 ? sprintf("%+.2f", sab / sqrt(saa * sbb)) : "no spread"
}

function mean_and_spread(name,    i, m, s, ss)
{
    m = pairs[name]
    if (!m)
        return "no pair | | "
    for (i = 1; i <= m; i++) { s += pair[name, i]; ss += pair[name, i] ^ 2 }
    s /= m
    return sprintf("%d | %+.3f | %.3f", m, s, m > 1 ? sqrt((ss / m - s * s) * m / (m - 1)) : 0)
}

function add_pair(name, v) { pair[name, ++pairs[name]] = v }

NR > 1 { n++; for (c = 1; c <= NF; c++) row[n, c] = $c }

END {
    printf "# What %d short runs on %s say\n\n", n, data
    print "Made by `make study`. Every run is a row of the table beside this file, under the name of its log. Probe is the"
    print "linear probe on all labelled images; AUC and RankMe are of the exact spectrum at the end; loss is the mean of the"
    print "last 100 steps.\n"

    print "## Screening: learning rate, weight decay, width\n"
    print "| width | lr | wd | passes | loss | AUC | RankMe | z-std | probe % | kNN % |"
    print "|---|---|---|---|---|---|---|---|---|---|"
    for (i = 1; i <= n; i++)
        if (row[i, 2] == "screening")
            printf "| %s | %s | %s | %s | %.3f | %.3f | %.1f | %.2f | %.1f | %.1f |\n", row[i, 3], row[i, 7], row[i, 8],
                row[i, 5], row[i, 11], row[i, 12], row[i, 13], row[i, 14], 100 * row[i, 15], 100 * row[i, 19]

    print "\n## Schedules and number of images\n"
    print "| images | passes | schedule | lr | wd | seed | loss | AUC | RankMe | z-std | probe % | kNN % |"
    print "|---|---|---|---|---|---|---|---|---|---|---|---|"
    for (i = 1; i <= n; i++)
        if (row[i, 2] == "schedules")
            printf "| %s | %s | %s | %s | %s | %s | %.3f | %.3f | %.1f | %.2f | %.1f | %.1f |\n", row[i, 4], row[i, 5],
                row[i, 6], row[i, 7], row[i, 8], row[i, 9], row[i, 11], row[i, 12], row[i, 13], row[i, 14],
                100 * row[i, 15], 100 * row[i, 19]

    # Differences of pairs of runs that share everything else.
    for (i = 1; i <= n; i++)
        for (j = 1; j <= n; j++) {
            if (row[i, 2] != "schedules" || row[j, 2] != "schedules")
                continue
            if (row[i, 6] == "multi-epoch" && row[j, 6] != "multi-epoch" && key(i, 6) == key(j, 6)) {
                add_pair(row[j, 6] " auc", row[j, 12] - row[i, 12])
                add_pair(row[j, 6] " probe", 100 * (row[j, 15] - row[i, 15]))
            }
            if (row[i, 9] < row[j, 9] && key(i, 9) == key(j, 9)) {
                add_pair("seed auc", row[j, 12] > row[i, 12] ? row[j, 12] - row[i, 12] : row[i, 12] - row[j, 12])
                add_pair("seed probe", 100 * (row[j, 15] > row[i, 15] ? row[j, 15] - row[i, 15] : row[i, 15] - row[j, 15]))
            }
            if (row[i, 4] < row[j, 4] && key(i, 4) == key(j, 4) && row[i, 6] == "multi-epoch") {
                add_pair(row[i, 4] " to " row[j, 4] " auc", row[j, 12] - row[i, 12])
                add_pair(row[i, 4] " to " row[j, 4] " probe", 100 * (row[j, 15] - row[i, 15]))
                step[row[i, 4] " to " row[j, 4]] = 1
            }
        }

    print "\n## Does AUC rise when the network is small for the data?\n"
    print "More images at the same number of steps (multi-epoch), so fewer passes over each:\n"
    print "| images | pairs | AUC changes by | deviation | pairs | probe changes by | deviation |"
    print "|---|---|---|---|---|---|---|"
    for (s in step)
        printf "| %s | %s | %s |\n", s, mean_and_spread(s " auc"), mean_and_spread(s " probe") | "sort -n -k 2"
    close("sort -n -k 2")

    print "\n## Do continual, cumulative and hybrid lower it?\n"
    print "Against multi-epoch with the same images, settings and seed; beside it what two seeds differ by:\n"
    print "| schedule | pairs | AUC changes by | deviation | pairs | probe changes by | deviation |"
    print "|---|---|---|---|---|---|---|"
    m = split("continual cumulative hybrid seed", names, " ")
    for (k = 1; k <= m; k++)
        printf "| %s | %s | %s |\n", names[k] == "seed" ? "(another seed, absolute)" : names[k],
            mean_and_spread(names[k] " auc"), mean_and_spread(names[k] " probe")

    print "\n## What does AUC say of the probe, and where?\n"
    print "Correlation with the linear probe over the runs:\n"
    print "| runs | number | AUC | loss | RankMe |"
    print "|---|---|---|---|---|"
    m = split("0 0 0.8 0.9", from, " "); split("2 0.8 0.9 2", to, " ")
    for (k = 1; k <= m; k++) {
        a = correlation(12, 15, from[k], to[k])
        printf "| %s | %d | %s | %s | %s |\n", k == 1 ? "all" : k == 2 ? "AUC below 0.8" : k == 3 ? "0.8 to 0.9" : "0.9 and more",
            count, a, correlation(11, 15, from[k], to[k]), correlation(13, 15, from[k], to[k])
    }

    print "\n## The forecast\n\nThe words of `ssltop fit` on the evaluations of these runs (the fast probe, each run without its first tenth):\n"
    print "```"
    while ((getline line < fit) > 0)
        print line
    print "```"
}
