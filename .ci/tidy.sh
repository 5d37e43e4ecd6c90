#!/usr/bin/env bash
# Runs clang-tidy over our own sources of a build folder: tidy.sh BUILD_FOLDER STAMP_FOLDER. Warnings, clang's own among them, are errors.
# A file that passed is passed over until the tool, the checks, its compile command or any file that it includes changes.
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

# Our own sources, as lines: object, file, compile command. The largest first, so that none of them is alone at the end.
jq -r --arg root "$root/" --arg build "$root/$build/" \
  '.[] | select((.file | startswith($root)) and (.file | startswith($build) | not)) | [(.command | capture(" -o (?<object>[^ ]+)").object), .file, .command] | @tsv' \
  "$build/compile_commands.json" |
  while IFS=$'\t' read -r object file command; do
    printf '%s\t%s\t%s\t%s\n' "$(stat -c %s "$file")" "$object" "$file" "$command"
  done | sort -rn | cut -f 2- >"$work/sources"
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
  if [[ -e $stamp ]]; then touch "$stamp"; else printf '%s\0%s\0' "$file" "$stamp" >>"$work/waiting"; fi
done <"$work/sources"
find "$stamps" -type f -mtime +30 -delete
[[ -e $work/waiting ]] || exit 0
if [[ -n ${SALDO_PROGRESS:-} || -t 2 ]]; then
  echo "tidy: $(($(tr -cd '\0' <"$work/waiting" | wc -c) / 2)) of $total files to check" >&2
fi

check_one() {
  local said
  if said=$("$tool" "${options[@]}" -p "$build" "$1" 2>"$work/err.$$"); then
    touch "$2"
  else
    printf '%s\n' "${said:-$(cat "$work/err.$$")}" >&2
    return 1
  fi
}
export -f check_one
export tool build work
# An array cannot be exported.
export TIDY_OPTIONS="${options[*]}"
# shellcheck disable=SC2016
xargs -0 -n 2 -P 2 bash -c 'read -ra options <<<"$TIDY_OPTIONS"; check_one "$@"' tidy <"$work/waiting" || {
  echo 'tidy: files with warnings, see above' >&2
  exit 1
}
