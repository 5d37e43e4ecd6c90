#!/usr/bin/env bash
# Runs clang-tidy over our own sources of a build folder: tidy.sh BUILD_FOLDER STAMP_FOLDER. Warnings, clang's own among them, are errors.
# A file that passed is passed over until the tool, the checks, its compile command or any file that it includes changes.
# Most of the time goes into system headers, so files are checked in batches, each of them one translation unit that includes
# them all. One with findings, be it that two files have a name in common, is halved until it passes: only what is found in
# a file by itself counts.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
root=$PWD build=$1 stamps=$2
mkdir -p "$stamps"
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

tool=clang-tidy-14
# The compile commands are those of GCC. librdkafka's macros are statement expressions, which clang calls pedantic.
options=(--quiet '--warnings-as-errors=*' --extra-arg=-Wthread-safety --extra-arg=-Wno-unknown-warning-option
  --extra-arg=-Wno-gnu-statement-expression)

# Our own sources, as lines: object, file, compile command. Without the precompiled headers, which are in GCC's format.
jq -r --arg root "$root/" --arg build "$root/$build/" \
  '.[] | select((.file | startswith($root)) and (.file | startswith($build) | not)) | [(.command | capture(" -o (?<object>[^ ]+)").object), .file, (.command | gsub(" -Winvalid-pch -include [^ ]+"; ""))] | join("\t")' \
  "$build/compile_commands.json" >"$work/sources"
[[ -s $work/sources ]] || {
  echo "tidy: no sources in $build/compile_commands.json" >&2
  exit 1
}

# What the last build recorded: one file for each object, with the digests of all that its compilation read.
ninja -C "$build" -t deps | grep -v '^ninja: ' >"$work/deps"
(cd "$build" && sed -n 's/^    //p' "$work/deps" | sort -u | xargs -d '\n' sha256sum) >"$work/digests"
mkdir "$work/inputs"
awk -v folder="$work/inputs" '
  FILENAME == ARGV[1] { digest[substr($0, 67)] = $1; next }
  / #deps / { close(out); object = substr($0, 1, index($0, ": #deps ") - 1); gsub("/", "%", object); out = folder "/" object; next }
  /^    / { print digest[substr($0, 5)] > out }
' "$work/digests" "$work/deps"

version=$("$tool" --version)
total=0
while IFS=$'\t' read -r object file command; do
  total=$((total + 1))
  inputs=$work/inputs/${object//\//%}
  [[ -e $inputs ]] || {
    echo "tidy: $file is not built, so what it includes is not known" >&2
    exit 1
  }
  stamp=$stamps/$( (printf '%s\n' "$version" "${options[@]}" "${command//$root/.}" && cat .clang-tidy tests/.clang-tidy "$inputs") | sha256sum | cut -d ' ' -f 1)
  if [[ -e $stamp ]]; then
    touch "$stamp"
  else
    # What can share a translation unit: the same flags and checks.
    kind=src
    [[ $file == "$root"/tests/* ]] && kind=tests
    namespace=$(grep -m 1 '^namespace ' "$file") || namespace=none
    printf '%s %s\t%s\t%s\t%s\n' "$kind" "${command%% -o *}" "$namespace" "$file" "$stamp" >>"$work/waiting"
  fi
done <"$work/sources"
find "$stamps" -type f -mtime +30 -delete
[[ -e $work/waiting ]] || exit 0
if [[ -n ${SALDO_PROGRESS:-} || -t 2 ]]; then
  echo "tidy: $(wc -l <"$work/waiting") of $total files to check" >&2
fi

# Files of one namespace go to different batches as far as possible, since their own names may be the same.
mkdir -p "$work/src" "$work/tests"
cp .clang-tidy "$work/"
cp tests/.clang-tidy "$work/tests/"
LC_ALL=C sort "$work/waiting" | awk -F '\t' -v size=12 -v work="$work" '
  { group[NR] = $1; file[NR] = $3; stamp[NR] = $4; files[$1]++ }
  END {
    for (i = 1; i <= NR; i++) {
      kind = substr(group[i], 1, index(group[i], " ") - 1)
      if (group[i] != group[i - 1]) { base += batches; batches = int((files[group[i]] + size - 1) / size); place = 0 }
      source = work "/" kind "/batch" (base + place++ % batches) ".cc"
      print file[i] "\t" stamp[i] >(source ".files")
      print source "\t" substr(group[i], index(group[i], " ") + 1)
    }
  }' | sort -u >"$work/batches"
{
  cut -f 2,3 "$work/sources"
  awk -F '\t' '{ print $1 "\t" $2 " -c " $1 }' "$work/batches"
} | jq -R --arg directory "$root/$build" '[. / "\t" | {$directory, file: .[0], command: .[1]}]' | jq -s add >"$work/compile_commands.json"

check_one() {
  local said
  if said=$("$tool" "${options[@]}" -p "$work" "$1" 2>"$work/err.$$"); then
    touch "$2"
  else
    printf '%s\n' "${said:-$(cat "$work/err.$$")}" >&2
    return 1
  fi
}

# check_batch SOURCE FILES: FILES has lines with a file and its stamp.
check_batch() {
  if (($(wc -l <"$2") == 1)); then
    local file stamp
    IFS=$'\t' read -r file stamp <"$2"
    check_one "$file" "$stamp"
    return
  fi
  awk -F '\t' '{ print "#include \"" $1 "\"" }' "$2" >"$1"
  if "$tool" "${options[@]}" -p "$work" "$1" >"$1.log" 2>&1; then
    cut -f 2 "$2" | xargs touch
    return
  fi
  # Neighbours are of one namespace, and so may have the same names.
  awk 'NR % 2' "$2" >"$2.1"
  awk 'NR % 2 == 0' "$2" >"$2.2"
  local result=0
  check_batch "$1" "$2.1" || result=1
  check_batch "$1" "$2.2" || result=1
  return "$result"
}

export -f check_one check_batch
export tool work
# An array cannot be exported.
export TIDY_OPTIONS="${options[*]}"
# The largest first, so that none of them is alone at the end.
# shellcheck disable=SC2016
cut -f 1 "$work/batches" | while read -r batch; do
  printf '%s\t%s\n' "$(cut -f 1 "$batch.files" | xargs cat | wc -c)" "$batch"
done | sort -rn | cut -f 2 |
  xargs -d '\n' -n 1 -P 2 bash -c 'read -ra options <<<"$TIDY_OPTIONS"; check_batch "$1" "$1.files"' tidy || {
  echo 'tidy: files with warnings, see above' >&2
  exit 1
}
