# The second part of try.sh, which sources it: compose.yml itself, with its networks, volumes, order and health checks.
# Of its images only Saldo's are what they are elsewhere; those of PostgreSQL and Kafka are made here, of Debian's packages,
# and take the settings that compose.yml gives to the real ones.
# shellcheck shell=bash disable=SC2154

compose() { COMPOSE_PROJECT_NAME=saldo-try docker-compose -f docker/compose.yml --profile core "$@"; }
logged() { "$@" >>"$run/compose.log" 2>&1; }
of_compose() { "$docker" inspect --format "$2" "$(compose ps -q "$1")"; }
compose_healthy() { is "$(of_compose "$1" '{{.State.Health.Status}}')" healthy; }
# RFC 3339 in UTC, so texts in order are times in order.
migrated_first() { [[ $(of_compose migrate '{{.State.FinishedAt}}') < $(of_compose "$1" '{{.State.StartedAt}}') ]]; }

build_stand_ins() {
  local folder=$run/stand-ins
  mkdir "$folder"
  cp -r "$SALDO_KAFKA_LIBS" "$folder/libs"
  cat >"$folder/postgres" <<'TEXT'
#!/bin/bash
set -euo pipefail
if [[ ! -e $PGDATA/PG_VERSION ]]; then
  initdb --username="$POSTGRES_USER" --pwfile=<(echo "$POSTGRES_PASSWORD") --auth=scram-sha-256 --auth-local=trust --encoding=UTF8 --locale=C.UTF-8
  echo 'host all all all scram-sha-256' >>"$PGDATA/pg_hba.conf"
  pg_ctl -w -o '-c listen_addresses=' start
  createdb -h /tmp -U "$POSTGRES_USER" "$POSTGRES_DB"
  pg_ctl -w stop
fi
exec "$@" -c 'listen_addresses=*'
TEXT
  # KAFKA_LOG_DIRS=x becomes log.dirs=x.
  cat >"$folder/kafka" <<'TEXT'
#!/bin/bash
set -euo pipefail
while IFS='=' read -r name value; do
  name=${name#KAFKA_}
  name=${name,,}
  printf '%s=%s\n' "${name//_/.}" "$value"
done < <(env | grep '^KAFKA_') >/tmp/server.properties
[[ -e $KAFKA_LOG_DIRS/meta.properties ]] ||
  java -cp '/opt/kafka/libs/*' kafka.tools.StorageTool format -t 5L6g3nShT-eMCtK--X86sw -c /tmp/server.properties
exec java -Xmx512m -cp '/opt/kafka/libs/*' kafka.Kafka /tmp/server.properties
TEXT
  cat >"$folder/kafka-broker-api-versions.sh" <<'TEXT'
#!/bin/bash
exec java -cp '/opt/kafka/libs/*' kafka.admin.BrokerApiVersionsCommand "$@"
TEXT
  chmod 755 "$folder"/{postgres,kafka,kafka-broker-api-versions.sh}
  cat >"$folder/Dockerfile" <<'TEXT'
FROM debian:12 AS base
ARG DEBIAN_MIRROR
RUN rm -f /etc/apt/sources.list.d/*; echo "deb $DEBIAN_MIRROR bookworm main" >/etc/apt/sources.list && apt-get update -q

FROM base AS kafka
RUN DEBIAN_FRONTEND=noninteractive apt-get install -q -y --no-install-recommends openjdk-17-jre-headless
COPY libs /opt/kafka/libs
COPY kafka-broker-api-versions.sh /opt/kafka/bin/
COPY kafka /usr/local/bin/
RUN mkdir -p /var/lib/kafka/data && chown 1000:1000 /var/lib/kafka/data
USER 1000:1000
ENTRYPOINT ["kafka"]

FROM base AS postgres
RUN mkdir /etc/postgresql-common && echo 'create_main_cluster = false' >/etc/postgresql-common/createcluster.conf
RUN DEBIAN_FRONTEND=noninteractive apt-get install -q -y --no-install-recommends postgresql-15
ENV PATH=/usr/lib/postgresql/15/bin:/usr/local/bin:/usr/bin:/bin PGDATA=/var/lib/postgresql/data
RUN mkdir -p "$PGDATA" && chown postgres:postgres "$PGDATA" && rm -rf /var/run/postgresql && ln -s /tmp /var/run/postgresql
COPY postgres /usr/local/bin/entry
USER postgres
ENTRYPOINT ["entry"]
TEXT
  local target
  for target in postgres kafka; do
    "$docker" build --network=host -q --target "$target" --build-arg "DEBIAN_MIRROR=$(mirror)" \
      -t "$(sed -n "s/^ *image: \(.*$target:.*\)/\1/p" docker/compose.yml)" "$folder" >/dev/null
  done
}

# As compose.yml names what it would build.
tag_images() {
  "$docker" tag saldo-try-cli saldo:dev
  "$docker" tag saldo-try-server saldo-server:dev
  "$docker" tag saldo-try-retranslator saldo-retranslator:dev
}

compose_is_up() {
  local name
  check 'docker-compose up starts all of core, and awaits each in turn' logged compose up --detach --no-build
  check 'the migration ended with 0' is "$(of_compose migrate '{{.State.ExitCode}}')" 0
  for name in server retranslator; do
    check "the $name was started after it" migrated_first "$name"
    check "the $name is healthy" eventually 90 compose_healthy "$name"
  done
}

say 'compose: stand-ins for PostgreSQL and Kafka'
build_stand_ins
tag_images
compose_is_up
check 'the published ports answer' saldo health --address="$grpc" --ready="$server_ready"
for port in 9100 9101; do
  check "metrics on port $port" curl -sf -o "$run/metrics" "http://127.0.0.1:$port/metrics"
done
check 'an event is written' saldo call WriteEvents "$event"
check 'its message arrives' eventually 60 first_message "$event_topic" 9092
check 'the ledger agrees with itself' logged compose run --rm migrate verify
for name in server retranslator; do
  logged compose stop "$name"
  check "the $name stops with 0" is "$(of_compose "$name" '{{.State.ExitCode}}')" 0
done
logged compose down
say 'compose: again, with the same volumes'
compose_is_up
check 'the event is still there' grep -q '"balance": "500.00"' <(saldo call GetBalance \
  '{"account":{"type":"client_wallet","key":{"client_id":"17","currency":"RUB"}}}')
logged compose down --volumes
