#!/bin/sh
# Compares two responses of /metrics family by family:
#
#   sh compare-metrics.sh OLD NEW
#
# OLD and NEW are files or URLs. For each family that differs, a line shows its name, how many series only OLD has, how
# many only NEW has, and how many have another value. --series lists these series, with < and >. The order of series
# and labels does not matter. The exit code is 1 if a family differs.
set -eu
export LC_ALL=C
list=false
[ "${1:-}" != --series ] || { list=true; shift; }
[ $# -eq 2 ] || { sed -n '2,8s/^# \{0,1\}//p' "$0" >&2; exit 2; }
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# Writes "family<TAB>series<TAB>value" for each sample, sorted. The labels of a series are sorted as well.
samples() {
  case $1 in
    http://* | https://*) curl --silent --show-error --fail --location "$1" ;;
    *) cat -- "$1" ;;
  esac | awk '
    /^#/ || /^$/ { next }
    {
      line = $0; brace = index(line, "{"); blank = index(line, " ")
      if (brace == 0 || (blank > 0 && blank < brace)) {
        print substr(line, 1, blank - 1) "\t" substr(line, 1, blank - 1) "\t" substr(line, blank + 1)
        next
      }
      name = substr(line, 1, brace - 1); count = 0; label = ""; quoted = 0
      for (at = brace + 1; at <= length(line); at++) {
        char = substr(line, at, 1)
        if (quoted && char == "\\") { label = label char substr(line, ++at, 1); continue }
        if (char == "\"") quoted = !quoted
        if (!quoted && (char == "," || char == "}")) {
          if (label != "") labels[++count] = label
          label = ""
          if (char == "}") break
          continue
        }
        label = label char
      }
      # Few labels, so a simple sort is enough.
      for (i = 2; i <= count; i++) {
        own = labels[i]
        for (j = i - 1; j > 0 && labels[j] > own; j--) labels[j + 1] = labels[j]
        labels[j + 1] = own
      }
      series = name "{"
      for (i = 1; i <= count; i++) series = series (i > 1 ? "," : "") labels[i]
      print name "\t" series "}" "\t" substr(line, at + 2)
    }
  ' | sort -u
}

samples "$1" > "$work/old"
samples "$2" > "$work/new"
[ -s "$work/old" ] || { echo "no samples in $1" >&2; exit 2; }
[ -s "$work/new" ] || { echo "no samples in $2" >&2; exit 2; }
comm -23 "$work/old" "$work/new" > "$work/only-old"
comm -13 "$work/old" "$work/new" > "$work/only-new"
awk -F '\t' -v list="$list" '
  FILENAME == ARGV[1] { old[$2] = $3; family[$2] = $1; next }
  { new[$2] = $3; family[$2] = $1 }
  END {
    for (series in family) {
      name = family[series]; families[name] = 1
      if (!(series in new)) gone[name]++
      else if (!(series in old)) added[name]++
      else changed[name]++
    }
    for (name in families) {
      differs = 1
      printf "%s\t0\t%s: %d only old, %d only new, %d with another value\n", name, name, gone[name], added[name], changed[name]
      if (list != "true") continue
      for (series in family) if (family[series] == name) {
        if (series in old) printf "%s\t1\t  < %s %s\n", name, series, old[series]
        if (series in new) printf "%s\t1\t  > %s %s\n", name, series, new[series]
      }
    }
    exit differs
  }
' "$work/only-old" "$work/only-new" > "$work/report" && differs=0 || differs=$?
sort "$work/report" | cut -f 3-
exit "$differs"
