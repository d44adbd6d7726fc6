# The report of tests/study.sh from its table: what the runs show, also where it is not what one
# would like. Variables: fits (a folder with the words of `ssltop fit`), data, labelled (images
# that the probes were fitted on: a number or all). Rows of the stage "before" are ends of an earlier
# study: other lengths, fewer metrics; they are in the table, not in the figures here.

function num(i, c) { return row[i, c] + 0 }

# What two runs share but for column `without`.
function key(i, without,    c, text)
{
    for (c = 3; c <= 10; c++)
        if (c != 5 && c != without)
            text = text "|" row[i, c]
    return text "|" row[i, METHOD]
}

# ---------------------------------------------------------------- differences of pairs

function add_pair(name, v) { pair[name, ++pairs[name]] = v }

function compare(name, i, j)
{
    add_pair(name " auc", num(j, AUC) - num(i, AUC))
    add_pair(name " probe", 100 * (num(j, PROBE) - num(i, PROBE)))
}

# Mean of a group of pairs into mean_, half its 95 % interval (Student's t) into half_; the number.
function summarise(name,    i, m, s, ss)
{
    m = pairs[name] + 0
    for (i = 1; i <= m; i++) { s += pair[name, i]; ss += pair[name, i] ^ 2 }
    mean_ = m ? s / m : 0
    half_ = m > 1 ? student[m - 1 < 30 ? m - 1 : 30] * sqrt((ss / m - mean_ ^ 2 > 0 ? ss / m - mean_ ^ 2 : 0) / (m - 1)) : 0
    return m
}

# One cell, and what it says.
function cell(name, digits,    m)
{
    m = summarise(name)
    if (m < 2)
        return m ? sprintf("%+.*f (one pair)", digits, mean_) : "no pair"
    return sprintf("%+.*f ± %.*f", digits, mean_, digits, half_)
}

function verdict(name, up, down)
{
    if (summarise(name) < 3)
        return "too few pairs to say"
    return mean_ > half_ ? up : mean_ < -half_ ? down : "no difference beyond the spread"
}

function pair_head(what)
{
    printf "| %s | pairs | AUC changes by | which | probe changes by (points) | which |\n", what
    print "|---|---|---|---|---|---|"
}

function pair_row(label, name)
{
    printf "| %s | %d | %s | %s | %s | %s |\n", label, pairs[name " auc"], cell(name " auc", 3),
        verdict(name " auc", "rises", "falls"), cell(name " probe", 1), verdict(name " probe", "rises", "falls")
}

# ---------------------------------------------------------------- correlations

# Pearson's r of columns a and b over rows where column c is in [lo, hi); count_ is their number. Complete
# collapses (one direction is left, the probe is at chance) count only where `dead` says so: one of them
# outweighs all other runs.
function correlation(a, b, c, lo, hi,    i, sa, sb, saa, sbb, sab)
{
    count_ = 0
    for (i = 1; i <= n; i++)
        if (num(i, c) >= lo && num(i, c) < hi && (dead || num(i, RANKME) > 1.05) && row[i, a] != "") {
            count_++
            sa += num(i, a); sb += num(i, b)
            saa += num(i, a) ^ 2; sbb += num(i, b) ^ 2; sab += num(i, a) * num(i, b)
        }
    if (count_ < 5)
        return "too few"
    saa -= sa * sa / count_; sbb -= sb * sb / count_; sab -= sa * sb / count_
    return saa > 1e-12 && sbb > 1e-12 ? sprintf("%+.2f", sab / sqrt(saa * sbb)) : "no spread"
}

function correlations(label, c, lo, hi,    a)
{
    a = correlation(AUC, PROBE, c, lo, hi)
    if (count_ > 0)
        printf "| %s | %d | %s | %s | %s | %s |\n", label, count_, a, correlation(LOSS, PROBE, c, lo, hi),
            correlation(RANKME, PROBE, c, lo, hi), correlation(ZSTD, PROBE, c, lo, hi)
}

# Rank correlation (Spearman's) of column a and the probe over the rows of a width (0: all), of those from
# `first` to `last`.
function spearman(a, width, first, last,    i, j, m, ra, rb, sa, sb, saa, sbb, sab, at)
{
    m = 0
    for (i = first; i <= last; i++)
        if (row[i, a] != "" && (!width || num(i, WIDTH) == width))
            at[++m] = i
    if (m < 5)
        return "–"
    sa = sb = saa = sbb = sab = 0
    for (i = 1; i <= m; i++) {
        ra = rb = 0.5
        for (j = 1; j <= m; j++) {
            ra += num(at[j], a) < num(at[i], a) ? 1 : num(at[j], a) == num(at[i], a) ? 0.5 : 0
            rb += num(at[j], PROBE) < num(at[i], PROBE) ? 1 : num(at[j], PROBE) == num(at[i], PROBE) ? 0.5 : 0
        }
        sa += ra; sb += rb; saa += ra * ra; sbb += rb * rb; sab += ra * rb
    }
    saa -= sa * sa / m; sbb -= sb * sb / m; sab -= sa * sb / m
    return saa > 1e-9 && sbb > 1e-9 ? sprintf("%+.2f", sab / sqrt(saa * sbb)) : "–"
}

function words_of(name,    line)
{
    print "```"
    while ((getline line < (fits "/" name)) > 0)
        print line
    print "```"
}

# Distinct values of a column in rising order into value[1..]; their number.
function distinct(c,    i, j, m, v, seen)
{
    for (i = 1; i <= n; i++) {
        v = num(i, c)
        if (v in seen)
            continue
        seen[v] = 1
        for (j = ++m; j > 1 && value[j - 1] > v; j--)
            value[j] = value[j - 1]
        value[j] = v
    }
    return m
}

function numbers(i)
{
    return sprintf("%.3f | %.3f | %.1f | %.2f | %.2f | %.1f | %.1f", num(i, LOSS), num(i, AUC), num(i, RANKME),
        num(i, ZSTD), num(i, PIXEL), 100 * num(i, PROBE), 100 * num(i, KNN))
}

function schedule_row(i)
{
    printf "| %s | %s | %s | %s%s | %s | %s | %s | %s |\n", row[i, WIDTH], row[i, IMAGES], row[i, 5], row[i, SCHEDULE],
        row[i, METHOD] == "byol" ? ", BYOL" : "", row[i, 7], row[i, 8], row[i, SEED], numbers(i)
}

BEGIN {
    WIDTH = 3; IMAGES = 4; SCHEDULE = 6; LR = 7; SEED = 9
    LOSS = 11; AUC = 12; RANKME = 13; ZSTD = 14; PROBE = 15; KNN = 19; METHOD = 21; PIXEL = 23
    metrics = split("12 AUC;13 RankMe;22 RankMe, uncentred;23 pixel R²;24 pseudo-probe, 10;25 pseudo-probe, 30;" \
        "26 pseudo-probe, 100;27 TwoNN;28 self-clustering;29 self-clustering, centred;" \
        "30 LiDAR, live;31 LiDAR of ten views;14 z-std;11 loss", metric, ";")
    split("12.71 4.30 3.18 2.78 2.57 2.45 2.36 2.31 2.26 2.23 2.20 2.18 2.16 2.14 2.13 2.12 2.11 2.10 2.09 2.09 " \
        "2.08 2.07 2.07 2.06 2.06 2.06 2.05 2.05 2.05 2.04", student, " ")
}

NR > 1 && $2 == "before" { before++ }
NR > 1 && $2 != "before" { n++; for (c = 1; c <= NF; c++) row[n, c] = $c }

END {
    for (i = 1; i <= n; i++) {
        seconds += num(i, 20)
        if (!best[row[i, WIDTH]] || num(i, PROBE) > num(best[row[i, WIDTH]], PROBE))
            if (row[i, 2] == "screening")
                best[row[i, WIDTH]] = i
    }
    printf "# What %d short runs on %s say\n\n", n, data
    printf "Made by `make study`: %.0f minutes of training. Every run is a row of the table beside this file, under the name\n", seconds / 60
    printf "of its log. Probe and kNN (200 neighbours) use %s labelled images after the last step; AUC and RankMe are of the\n", labelled
    print "exact spectrum then; loss is the mean of the last 100 steps. A pass is a pass over all images of the run."

    print "\n## Screening: learning rate, weight decay, width\n"
    print "| width | lr | wd | passes | loss | AUC | RankMe | z-std | pixel R² | probe % | kNN % |"
    print "|---|---|---|---|---|---|---|---|---|---|---|"
    for (i = 1; i <= n; i++)
        if (row[i, 2] == "screening")
            printf "| %s | %s | %s | %s | %s |\n", row[i, WIDTH], row[i, 7], row[i, 8], row[i, 5], numbers(i)
    print ""
    m = distinct(WIDTH)
    for (k = 1; k <= m; k++)
        if (best[value[k]])
            printf "* Best probe at width %s: lr %s, wd %s (%.1f %%, AUC %.3f).\n", value[k], row[best[value[k]], 7],
                row[best[value[k]], 8], 100 * num(best[value[k]], PROBE), num(best[value[k]], AUC)

    print "\n## Schedules, number of images, width: the same number of steps, but for the long ones at the end\n"
    print "| width | images | passes | schedule | lr | wd | seed | loss | AUC | RankMe | z-std | pixel R² | probe % | kNN % |"
    print "|---|---|---|---|---|---|---|---|---|---|---|---|---|---|"
    for (i = 1; i <= n; i++)
        if (row[i, 2] != "screening" && row[i, 2] != "long")
            schedule_row(i)
    for (i = 1; i <= n; i++)
        if (row[i, 2] == "long")
            schedule_row(i)

    # Pairs of runs that share everything but one column.
    for (i = 1; i <= n; i++)
        for (j = 1; j <= n; j++) {
            if (row[i, 2] == "screening" || row[j, 2] == "screening" || i == j)
                continue
            if (row[i, SCHEDULE] == "multi-epoch" && row[j, SCHEDULE] != "multi-epoch" &&
                key(i, SCHEDULE) == key(j, SCHEDULE)) {
                if (row[i, 2] == "long") {
                    compare(row[j, SCHEDULE] " long", i, j)
                } else {
                    compare(row[j, SCHEDULE], i, j)
                    compare(row[j, SCHEDULE] " at " num(i, IMAGES), i, j)
                    compare(row[j, SCHEDULE] " lr " num(i, LR), i, j)
                }
            }
            if (num(i, SEED) < num(j, SEED) && key(i, SEED) == key(j, SEED)) {
                spread_pairs++
                spread_auc += (num(j, AUC) - num(i, AUC)) ^ 2 / 2
                spread_probe += 1e4 * (num(j, PROBE) - num(i, PROBE)) ^ 2 / 2
            }
            if (row[i, SCHEDULE] != "multi-epoch")
                continue
            if (num(i, IMAGES) < num(j, IMAGES) && key(i, IMAGES) == key(j, IMAGES)) {
                compare("images " num(i, IMAGES) " to " num(j, IMAGES), i, j)
                compare("images " num(i, IMAGES) " to " num(j, IMAGES) " width " num(i, WIDTH), i, j)
            }
            if (num(i, WIDTH) < num(j, WIDTH) && key(i, WIDTH) == key(j, WIDTH))
                compare("width " num(j, WIDTH) " to " num(i, WIDTH), j, i)
        }
    if (spread_pairs)
        printf "\nTwo runs that differ in the seed alone are %.3f apart in AUC and %.1f points in the probe (root mean square over %d\n" \
            "pairs).", sqrt(2 * spread_auc / spread_pairs), sqrt(2 * spread_probe / spread_pairs), spread_pairs
    print " A change below is the mean over pairs of runs that share all else, with its 95 % interval; it counts as a"
    print "difference only when the interval leaves out 0. (The exact spectrum takes 16 images per feature, at most all: of 500"
    print "images there are 8 per feature at width 8 and 4 at width 16, where AUC reads about 0.002 and 0.01 higher for it.)"

    print "\n## Does AUC rise when the network is small for the data?\n"
    print "More images for the same network (multi-epoch, the same number of steps, so fewer passes):\n"
    pair_head("images")
    m = distinct(IMAGES)
    for (i = 1; i <= m; i++)
        for (j = i + 1; j <= m; j++) {
            if (pairs["images " value[i] " to " value[j] " auc"])
                pair_row("from " value[i] " to " value[j], "images " value[i] " to " value[j])
        }
    widths = distinct(WIDTH)
    for (k = 1; k <= widths; k++)
        width_value[k] = value[k]
    m = distinct(IMAGES)
    for (k = 1; k <= widths; k++)
        for (i = 1; i <= m; i++)
            for (j = i + 1; j <= m; j++)
                if (pairs[name = "images " value[i] " to " value[j] " width " width_value[k] " auc"])
                    pair_row("from " value[i] " to " value[j] ", width " width_value[k] " alone", substr(name, 1, length(name) - 4))
    print "\nA narrower network for the same images:\n"
    pair_head("width")
    m = distinct(WIDTH)
    for (i = m; i >= 1; i--)
        for (j = i - 1; j >= 1; j--)
            if (pairs["width " value[i] " to " value[j] " auc"])
                pair_row("from " value[i] " to " value[j], "width " value[i] " to " value[j])

    print "\n## Do continual, cumulative and hybrid lower it?\n"
    print "Against multi-epoch with the same images, settings and seed:\n"
    pair_head("schedule")
    modes = split("continual cumulative hybrid", mode, " ")
    for (k = 1; k <= modes; k++)
        if (pairs[mode[k] " auc"])
            pair_row(mode[k], mode[k])
    m = distinct(IMAGES)
    for (k = 1; k <= modes; k++)
        for (i = 1; i <= m; i++)
            if (pairs[mode[k] " at " value[i] " auc"])
                pair_row(mode[k] ", " value[i] " images alone", mode[k] " at " value[i])
    m = distinct(LR)
    for (k = 1; k <= modes; k++)
        for (i = 1; i <= m; i++)
            if (pairs[mode[k] " lr " value[i] " auc"])
                pair_row(mode[k] ", lr " value[i] " alone", mode[k] " lr " value[i])
    for (k = 1; k <= modes; k++)
        if (pairs[mode[k] " long auc"])
            pair_row(mode[k] ", the long runs", mode[k] " long")

    print "\n## What does AUC say of the probe, and where?\n"
    print "Correlation with the linear probe over the runs of the table (their ends):\n"
    print "| runs | number | AUC | loss | RankMe | z-std |"
    print "|---|---|---|---|---|---|"
    dead = 1
    correlations("all", AUC, 0, 2)
    dead = 0
    correlations("all but complete collapses", AUC, 0, 2)
    correlations("AUC below 0.75", AUC, 0, 0.75)
    correlations("AUC 0.75 to 0.80", AUC, 0.75, 0.8)
    correlations("AUC 0.80 to 0.85", AUC, 0.8, 0.85)
    correlations("AUC 0.85 to 0.90", AUC, 0.85, 0.9)
    correlations("AUC 0.90 and more", AUC, 0.9, 2)
    m = distinct(WIDTH)
    for (k = 1; k <= m; k++)
        correlations("width " value[k], WIDTH, value[k], value[k] + 0.5)
    m = distinct(IMAGES)
    for (k = 1; k <= m; k++)
        correlations(value[k] " images", IMAGES, value[k], value[k] + 0.5)

    print "\n## What does each metric say of the probe?\n"
    print "Rank correlation (Spearman's) with the linear probe over the ends of all runs, complete collapses included; and at"
    print "each width alone.\n"
    m = distinct(WIDTH)
    printf "| metric | all |"
    for (k = 1; k <= m; k++)
        printf " width %s |", value[k]
    printf "\n|---|---|"
    for (k = 1; k <= m; k++)
        printf "---|"
    print ""
    for (k = 1; k <= metrics; k++) {
        printf "| %s | %s |", substr(metric[k], index(metric[k], " ") + 1), spearman(metric[k] + 0, 0, 1, n)
        for (j = 1; j <= m; j++)
            printf " %s |", spearman(metric[k] + 0, value[j], 1, n)
        print ""
    }

    for (all = n; (getline line < photos) > 0;)
        if ((m = split(line, field, ",")) > 20 && field[1] != "name") {
            all++
            for (c = 1; c <= m; c++)
                row[all, c] = field[c]
        }
    if (all > n) {
        print "\n## Do they say the same of other images?\n"
        printf "The same over %d runs on crops of photographs (tests/crops.py: 15 classes, %s training images of 32 x 32 in\n", all - n, row[all, IMAGES]
        printf "colour; width %s, %s steps), beside the runs above of that width. The sign is what counts: there are few.\n\n", row[all, WIDTH], row[all, 10]
        print "| metric | Fashion-MNIST | photographs | same sign |"
        print "|---|---|---|---|"
        for (k = 1; k <= metrics; k++) {
            a = spearman(metric[k] + 0, row[all, WIDTH], 1, n)
            b = spearman(metric[k] + 0, 0, n + 1, all)
            same = a + 0 == 0 || b + 0 == 0 ? "–" : (a * b > 0) ? "yes" : "no"
            printf "| %s | %s | %s | %s |\n", substr(metric[k], index(metric[k], " ") + 1), a, b, same
        }
    }

    print "\n## The forecast\n\nThe words of `ssltop fit` on the evaluations made during these runs (the fast probe on 2,000 test images; each run"
    print "without its first tenth; complete collapses included), SimSiam's:\n"
    words_of("simsiam.txt")
    if ((getline line < (fits "/residuals.md")) > 0) {
        print "\nWhere it errs (root mean squares in points, of runs left out). Between evaluations it sees live values, which lag"
        print "behind a network that changes fast, and surrogates as old as the last evaluation: a probe that falls by 15 points and"
        print "more from one evaluation to the next is seen at the next one.\n"
        print line
        while ((getline line < (fits "/residuals.md")) > 0)
            print line
    }
    print "\nThe same without the surrogates (pixel R², the pseudo-probes, few-shot):\n"
    words_of("simsiam-without.txt")
    print "\nBYOL's runs:\n"
    words_of("byol.txt")
    if (before)
        printf "\n%d more rows of the table, of the stage \"before\", are ends of an earlier study, whose runs lack the newer metrics.\n", before
}
