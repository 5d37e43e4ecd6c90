# The Debian packages that each command needs, and their installation. Sourced by ./dev.
# shellcheck shell=bash disable=SC2034

packages_build=(
  ca-certificates ccache cmake g++-12 gcc-12 ninja-build pkg-config
  catch2 grpc-proto libabsl-dev libcivetweb-dev libgrpc++-dev libgrpc-dev libpq-dev libprotobuf-dev librdkafka-dev libssl-dev
  libyaml-cpp-dev nlohmann-json3-dev prometheus-cpp-dev protobuf-compiler protobuf-compiler-grpc
)
packages_servers=(maven openjdk-17-jre-headless postgresql-15)
packages_observe=(prometheus)
packages_jaeger=(golang-1.19-go)
packages_check=(clang-format-14 clang-tidy-14 git jq shellcheck)

# Prints those of the given packages that are not installed.
missing_packages() {
  local package status
  for package in "$@"; do
    status=$(dpkg-query -W -f '${db:Status-Status}' "$package" 2>/dev/null) || status=''
    [[ $status == installed ]] || printf '%s\n' "$package"
  done
}

# need_packages PACKAGE...: installs what is missing, and does nothing when all is there.
need_packages() {
  local -a missing
  mapfile -t missing < <(missing_packages "$@")
  ((${#missing[@]})) || return 0
  command -v apt-get >/dev/null || die "these Debian 12 packages are missing, and there is no apt-get: ${missing[*]}"
  if ((EUID != 0)) && ! command -v sudo >/dev/null; then
    die "these packages are missing; install them as root: apt-get install --no-install-recommends ${missing[*]}"
  fi
  step "install ${#missing[@]} packages" install_packages "${missing[@]}" || exit 1
}

install_packages() {
  as_root apt-get update -q || return 1
  # The package of the server would create and start a cluster of its own, which Saldo neither needs nor wants.
  if [[ " $* " == *' postgresql-15 '* ]]; then
    local settings=/etc/postgresql-common/createcluster.conf
    apt_install postgresql-common || return 1
    as_root cp -p "$settings" "$settings.saldo" || return 1
    echo 'create_main_cluster = false' | as_root tee -a "$settings" || return 1
    apt_install postgresql-15
    local result=$?
    as_root mv "$settings.saldo" "$settings" || return 1
    ((result == 0)) || return 1
  fi
  # That of Prometheus would start one on port 9090, now and after each boot. A policy that is there already stays.
  local policy=/usr/sbin/policy-rc.d
  if [[ " $* " == *' prometheus '* && ! -e $policy ]]; then
    printf '#!/bin/sh\nexit 101\n' | as_root tee "$policy" && as_root chmod 755 "$policy" || return 1
    apt_install prometheus
    local result=$?
    as_root rm -f "$policy"
    ((result == 0)) || return 1
    if command -v systemctl >/dev/null; then as_root systemctl disable prometheus; fi
  fi
  apt_install "$@"
}

apt_install() {
  as_root env DEBIAN_FRONTEND=noninteractive apt-get install -q -y --no-install-recommends "$@"
}

as_root() {
  if ((EUID == 0)); then "$@"; else sudo "$@"; fi
}

# Puts the jars of the Kafka broker, all or none, into a folder of the user's cache, and tells programs where.
need_kafka() {
  local pom=common/devstack/kafka/pom.xml version
  version=$(sed -n 's:^  <version>\(.*\)</version>$:\1:p' "$pom")
  export SALDO_KAFKA_LIBS=${XDG_CACHE_HOME:-$HOME/.cache}/saldo/kafka-$version
  [[ -d $SALDO_KAFKA_LIBS ]] || step "fetch Kafka $version" fetch_kafka "$pom"
}

fetch_kafka() {
  local parent=${SALDO_KAFKA_LIBS%/*} temporary result=0
  mkdir -p "$parent" && temporary=$(mktemp -d "$parent/fetch.XXXXXX") && chmod 755 "$temporary" || return 1
  mvn -q -B -f "$1" dependency:copy-dependencies -DoutputDirectory="$temporary" || result=1
  # Another clone may have been faster: then its folder stays.
  if ((result == 0)) && ! mv -T "$temporary" "$SALDO_KAFKA_LIBS" && [[ ! -d $SALDO_KAFKA_LIBS ]]; then result=1; fi
  rm -rf "$temporary"
  return "$result"
}

# Puts Jaeger, which Debian does not have, into a folder of the user's cache, and tells programs where. Built from its Go
# module with Debian's Go, whatever other Go comes first in PATH.
need_jaeger() {
  local version=1.42.0
  export SALDO_JAEGER=${XDG_CACHE_HOME:-$HOME/.cache}/saldo/jaeger-$version
  [[ -x $SALDO_JAEGER ]] && return 0
  (need_packages "${packages_jaeger[@]}") && step "build Jaeger $version" build_jaeger "$version"
}

# In a shell of its own, which leaves nothing but the program however it ends: Go's caches of the build are a gigabyte.
build_jaeger() (
  parent=${SALDO_JAEGER%/*}
  mkdir -p "$parent" && temporary=$(mktemp -d "$parent/build.XXXXXX") || exit 1
  trap 'rm -rf "$temporary"' EXIT
  env PATH="/usr/lib/go-1.19/bin:$PATH" CGO_ENABLED=0 GOBIN="$temporary" GOCACHE="$temporary/cache" GOMODCACHE="$temporary/mod" \
    go install -modcacherw -ldflags='-s -w' "github.com/jaegertracing/jaeger/cmd/all-in-one@v$1" || exit 1
  mv "$temporary/all-in-one" "$SALDO_JAEGER"
)

# Installs buf, which Debian does not have, below build/tools.
need_buf() {
  local version=1.75.0
  export buf=build/tools/node_modules/.bin/buf
  [[ $("$buf" --version 2>&1) == "$version" ]] && return 0
  command -v npm >/dev/null || need_packages npm
  step "install buf $version" npm install --prefix build/tools --no-save --no-audit --no-fund "@bufbuild/buf@$version"
}
