#!/usr/bin/env bash
# Holds the files of this folder against what reads them: docker-compose, Kustomize with Kubernetes' schemas, systemd.
# That they fit the programs is tested in tests/docker.
set -euo pipefail
cd "$(dirname "$(readlink -f "${BASH_SOURCE[0]}")")/.."
# shellcheck source=.ci/packages.sh
source .ci/packages.sh

die() {
  printf 'docker/check: %s\n' "$1" >&2
  exit 1
}
step() { # as ./dev's, for need_packages
  local log
  log=$(mktemp)
  shift
  "$@" >"$log" 2>&1 || {
    tail -n 20 "$log" >&2
    rm "$log"
    return 1
  }
  rm "$log"
}

readonly kustomize_version=5.0.3 validate_version=1.37.0 kubernetes_version=1.30
readonly tools=$PWD/build/tools
readonly kustomize=$tools/kustomize-$kustomize_version validate=$tools/kubernetes-validate-$validate_version

build_kustomize() (
  temporary=$(mktemp -d "$tools/build.XXXXXX")
  trap 'rm -rf "$temporary"' EXIT
  env PATH="/usr/lib/go-1.19/bin:$PATH" CGO_ENABLED=0 GOBIN="$temporary" GOCACHE="$temporary/cache" GOMODCACHE="$temporary/mod" \
    go install -modcacherw -ldflags='-s -w' "sigs.k8s.io/kustomize/kustomize/v5@v$kustomize_version"
  mv "$temporary/kustomize" "$kustomize"
)

install_validate() {
  rm -rf "$validate"
  /usr/bin/python3 -m venv "$validate"
  "$validate/bin/pip" install -q "kubernetes-validate==$validate_version"
}

need_tools() {
  need_packages docker-compose python3-venv systemd
  mkdir -p "$tools"
  if [[ ! -x $kustomize ]]; then
    need_packages golang-1.19-go
    step 'build Kustomize' build_kustomize
  fi
  [[ -x $validate/bin/kubernetes-validate ]] || step 'install kubernetes-validate' install_validate
}

check_compose() {
  # From the top by `.env`, and by name from anywhere else.
  docker-compose config --quiet
  (cd / && docker-compose -f "$OLDPWD/docker/compose.yml" --profile core config --quiet)
}

check_manifests() {
  local folder said
  for folder in base overlays/example; do
    "$kustomize" build "docker/k8s/$folder" >"$work/manifests.yaml"
    said=$("$validate/bin/kubernetes-validate" --strict -k "$kubernetes_version" "$work/manifests.yaml" 2>&1) ||
      die "$folder: $(grep -v " passed for resource " <<<"$said")"
    # Each object was looked at.
    [[ $(grep -c ' passed for resource ' <<<"$said") == $(grep -c '^kind:' "$work/manifests.yaml") ]] || die "$folder: $said"
  done
}

# systemd only warns of a key that it does not know; so whatever it says is a fault.
check_units() {
  local unit said
  for unit in docker/systemd/*.service; do
    sed 's:^ExecStart=[^ ]*:ExecStart=/bin/true:' "$unit" >"$work/${unit##*/}"
    said=$(systemd-analyze verify "$work/${unit##*/}" 2>&1) || die "$unit: $said"
    [[ -z $said ]] || die "$unit: $said"
    # Ten times the score from 0 (safe) to 10.
    systemd-analyze security --offline=true --threshold=15 --no-pager "$work/${unit##*/}" >"$work/score" || die "$unit: $(tail -n 1 "$work/score")"
  done
}

need_tools
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
check_compose
check_manifests
check_units
