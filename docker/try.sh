#!/usr/bin/env bash
# Builds the images for real and runs them against each other on this machine, then stops and removes all that it started.
# Needs root on Debian 12, and installs what is missing. Nothing is pulled: the base image comes from debootstrap.
#   docker/try.sh [--keep] [--compose]
#     --keep     leaves the images and the compiler's cache for the next run, in var/docker or in the folder SALDO_TRY_DIR
#     --compose  then runs compose.yml's profile core too, with stand-ins of Debian's packages for the images of PostgreSQL
#                and Kafka. Needs a kernel that gives containers networks of their own
# DEBIAN_MIRROR=http://HOST/debian names another mirror than this machine's own.
set -euo pipefail
cd "$(dirname "$(readlink -f "${BASH_SOURCE[0]}")")/.."
# shellcheck source=.ci/packages.sh
source .ci/packages.sh

die() {
  printf 'try: %s\n' "$1" >&2
  exit 1
}
say() { printf '== %s\n' "$1"; }
step() { # as ./dev's, for need_packages and need_kafka
  say "$1"
  shift
  "$@" >/dev/null
}
check() { # check TEXT COMMAND...
  local text=$1
  shift
  "$@" || die "FAILED: $text"
  printf 'ok: %s\n' "$text"
}

is_open() { (: <"/dev/tcp/127.0.0.1/$1") 2>/dev/null; }

# These are the ports of the programs' own health checks; those of PostgreSQL and Kafka are free to choose.
readonly grpc=127.0.0.1:8082 server_ready=http://127.0.0.1:8000/ready
readonly postgres_port=${SALDO_TRY_POSTGRES_PORT:-25432} kafka_port=${SALDO_TRY_KAFKA_PORT:-29092}
readonly work=${SALDO_TRY_DIR:-$PWD/var/docker} user=postgres
readonly event_topic=saldo-client-wallet package_topic=omp-package-events
keep=0 with_compose=0
for argument in "$@"; do
  case $argument in
    --keep) keep=1 ;;
    --compose) with_compose=1 ;;
    *) die "unknown argument '$argument'" ;;
  esac
done

((EUID == 0)) || die 'needs root: it starts a Docker daemon of its own'
need_packages docker.io docker-compose debootstrap curl procps "${packages_servers[@]}"
need_kafka
ports=(8082 8000 8001 9100 9101 "$postgres_port" "$kafka_port")
if ((with_compose)); then ports+=(5432 9092); fi
for port in "${ports[@]}"; do
  if is_open "$port"; then die "port $port is taken"; fi
done

mkdir -p "$work"
run=$(mktemp -d /tmp/saldo-try-XXXXXX) # whose path PostgreSQL's user may pass
chmod 755 "$run"
export DOCKER_HOST=unix://$run/docker.sock DOCKER_BUILDKIT=1
# A newer client, without its plugin for builds, may come first in PATH.
docker=/usr/bin/docker
pids=()

finish() {
  local result=$? pid
  trap - EXIT
  # One thing that cannot be stopped must not keep the rest from it; what is left is looked for below.
  set +e
  if ((result != 0)); then
    for pid in $("$docker" ps -aq); do
      "$docker" inspect --format '{{.Name}} {{.State.Status}} {{.State.ExitCode}}' "$pid"
      "$docker" logs --tail 20 "$pid"
    done
    tail -n 20 "$run"/*.log
  fi
  "$docker" ps -aq | xargs -r "$docker" rm -f >/dev/null
  "$docker" network prune -f >/dev/null
  "$docker" volume prune -f >/dev/null
  if [[ -e $run/postgres/postmaster.pid ]]; then as_server pg_ctl -D "$run/postgres" -m fast -w stop >/dev/null; fi
  for pid in "${pids[@]}"; do
    kill "$pid"
    wait "$pid"
  done
  for mount in "$run"/exec/netns/*; do
    if mountpoint -q "$mount"; then umount "$mount"; fi
  done
  rm -rf "$run"
  ((keep)) || rm -rf "$work"
  if pgrep -af "$run"; then
    echo 'try: these processes are left' >&2
    result=1
  fi
  exit "$result"
}
trap finish EXIT

as_server() { # a program of PostgreSQL's, as its user
  local program=$1
  shift
  runuser -u "$user" -- "/usr/lib/postgresql/15/bin/$program" "$@"
}

# eventually SECONDS COMMAND...: what it says while it fails is of no use.
eventually() {
  local end=$((SECONDS + $1))
  shift
  until "$@" >/dev/null 2>&1; do
    ((SECONDS < end)) || return 1
    sleep 1
  done
}

start_docker() {
  mountpoint -q /sys/fs/cgroup || die 'there are no control groups here'
  dockerd --storage-driver=vfs --iptables=false --ip-forward=false --bridge=none --data-root="$work/data" --exec-root="$run/exec" \
    --pidfile="$run/dockerd.pid" --host="$DOCKER_HOST" >"$run/dockerd.log" 2>&1 &
  pids+=($!)
  eventually 60 "$docker" version || die 'the Docker daemon does not start'
}

mirror() {
  if [[ -n ${DEBIAN_MIRROR:-} ]]; then
    echo "$DEBIAN_MIRROR"
  else
    # shellcheck disable=SC2016
    apt-get indextargets --format '$(REPO_URI)' 'Codename: bookworm' | head -n 1
  fi
}

import_base() {
  if ! "$docker" image inspect debian:12 >/dev/null 2>&1; then
    debootstrap --variant=minbase bookworm "$run/base" "$(mirror)" >"$run/debootstrap.log"
    tar -C "$run/base" -c . | "$docker" import - debian:12 >/dev/null
    rm -rf "$run/base"
  fi
}

build_images() {
  local target commit
  commit=$(git describe --always --dirty --abbrev=40 --exclude='*')
  for target in server retranslator cli; do
    "$docker" build --network=host --progress=plain -q -f docker/Dockerfile --target "$target" -t "saldo-try-$target" \
      --build-arg "DEBIAN_MIRROR=$(mirror)" --build-arg "GIT_COMMIT=$commit" \
      --build-arg "VERSION=$(sed -n 's/^project(saldo VERSION \([0-9.]*\).*/\1/p' CMakeLists.txt)" \
      --build-arg "CREATED=$(git log -1 --format=%cI)" . >/dev/null
  done
}

run_postgres() {
  as_server pg_ctl -D "$run/postgres" -l "$run/postgres/log" -w -o \
    "-p $postgres_port -c listen_addresses=127.0.0.1 -c unix_socket_directories=''" start >/dev/null
}

start_postgres() {
  mkdir "$run/postgres" && chown "$user" "$run/postgres"
  as_server initdb -D "$run/postgres" --auth=trust --username=saldo --encoding=UTF8 --locale=C.UTF-8 >/dev/null
  run_postgres
  psql -q -h 127.0.0.1 -p "$postgres_port" -U saldo -d postgres -c 'CREATE DATABASE saldo'
}

start_kafka() {
  local controller=$((kafka_port + 1))
  cat >"$run/kafka.properties" <<TEXT
process.roles=broker,controller
node.id=1
controller.quorum.voters=1@127.0.0.1:$controller
listeners=PLAINTEXT://127.0.0.1:$kafka_port,CONTROLLER://127.0.0.1:$controller
advertised.listeners=PLAINTEXT://127.0.0.1:$kafka_port
controller.listener.names=CONTROLLER
listener.security.protocol.map=PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT
log.dirs=$run/kafka
num.partitions=3
offsets.topic.replication.factor=1
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
TEXT
  local java=(java -Xmx512m -cp "$SALDO_KAFKA_LIBS/*") id
  id=$("${java[@]}" kafka.tools.StorageTool random-uuid 2>"$run/kafka.log")
  "${java[@]}" kafka.tools.StorageTool format -t "$id" -c "$run/kafka.properties" >>"$run/kafka.log" 2>&1
  "${java[@]}" kafka.Kafka "$run/kafka.properties" >>"$run/kafka.log" 2>&1 &
  pids+=($!)
}

# container OPTION... IMAGE ARGUMENT...: as strict as compose.yml and the manifests have it.
container() {
  "$docker" run --network=host --read-only --cap-drop=ALL --security-opt=no-new-privileges \
    --env "SALDO_POSTGRES_DSN=host=127.0.0.1 port=$postgres_port dbname=saldo user=saldo" "$@"
}
saldo() { container --rm saldo-try-cli "$@"; }
readonly event='{"requestId":"try-1","events":[{
  "account":{"type":"client_wallet","key":{"client_id":"17","currency":"RUB"}},"attributes":{"source":"card"},
  "side":"SIDE_CREDIT","amount":"500"}]}'
readonly package='{"Title":"Box","Material":"wood","MaximumVolume":1.5,"Reusable":true}'
# The topic is made with its first message.
first_message() { timeout 10 "$docker" run --rm --network=host saldo-try-cli tail "$1" --kafka="127.0.0.1:$2" --from-beginning --count=1; }
state() { "$docker" inspect --format "$2" "saldo-try-$1"; }
is() { [[ $1 == "$2" ]]; }
healthy() { is "$(state "$1" '{{.State.Health.Status}}')" healthy; }
unhealthy() { is "$(state "$1" '{{.State.Health.Status}}')" unhealthy; }
# The ids of the process itself, as the kernel has them.
runs_as() { is "$(awk '/^(Uid|Gid|CapEff|NoNewPrivs):/ {printf "%s ", $2}' "/proc/$(state "$1" '{{.State.Pid}}')/status")" "$2"; }
has_no_shell() {
  local said
  if said=$("$docker" run --rm --network=host --entrypoint=/bin/sh "saldo-try-$1" -c true 2>&1); then return 1; fi
  grep -q 'no such file' <<<"$said"
}
refuses_to_start() {
  local said
  if said=$(container --rm "saldo-try-$1" 2>&1); then return 1; fi
  grep -q 'run: saldo migrate up' <<<"$said"
}
is_read_only() { grep -q '^[^ ]* / [^ ]* ro[, ]' "/proc/$(state "$1" '{{.State.Pid}}')/mounts"; }

say 'Docker daemon, base image, images (the first time takes long)'
start_docker
import_base
build_images
"$docker" images --format '{{.Repository}} {{.Size}}' | grep saldo-try | sort

say 'PostgreSQL and Kafka'
start_postgres
start_kafka

say 'containers'
check 'before the migration the server refuses to start' refuses_to_start server
check 'the migration ends with 0' container --name saldo-try-migrate saldo-try-cli migrate up
check 'the server starts' container --detach --name saldo-try-server saldo-try-server
check 'the retranslator starts' container --detach --name saldo-try-retranslator \
  --env "SALDO_KAFKA_BROKERS=127.0.0.1:$kafka_port" saldo-try-retranslator
check "the server is healthy by the image's own check" eventually 90 healthy server
check "the retranslator is healthy by the image's own check" eventually 90 healthy retranslator
check 'saldo health agrees' saldo health --address="$grpc" --ready="$server_ready"
for name in server retranslator; do
  check "the $name is user and group 10001, without capabilities, and cannot get any" runs_as "$name" '10001 10001 0000000000000000 1 '
  check "the $name's root file system is read-only" is_read_only "$name"
  check "the $name's image has no shell" has_no_shell "$name"
done
check '/version tells the commit' is "$(curl -s http://127.0.0.1:8000/version | grep -c "$(git rev-parse HEAD)")" 1

say 'changes'
check 'an event is written' saldo call WriteEvents "$event"
check 'a package is written' saldo call CreatePackageV1 "$package"
eventually 60 is_open "$kafka_port" || die 'Kafka does not start'
for topic in "$event_topic" "$package_topic"; do
  check "its message arrives on $topic" eventually 60 first_message "$topic" "$kafka_port"
done
check 'the ledger agrees with itself' saldo verify

say 'failure and stop'
as_server pg_ctl -D "$run/postgres" -m fast -w stop >/dev/null
check 'without its database the server becomes unhealthy' eventually 90 unhealthy server
run_postgres
check 'and healthy again with it' eventually 90 healthy server
for name in server retranslator; do
  "$docker" stop --time 40 "saldo-try-$name" >/dev/null
  check "the $name stops by itself, with 0" is "$(state "$name" '{{.State.ExitCode}} {{.State.OOMKilled}}')" '0 false'
done
if ((with_compose)); then
  # shellcheck source=docker/try-compose.sh
  source docker/try-compose.sh
fi
say 'all is well'
