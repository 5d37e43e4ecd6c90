#include "server/config.h"

#include <catch2/catch.hpp>
#include <string>
#include <vector>

#include "common/config/load.h"

namespace saldo::server {
namespace {

config::LoadResult Load(std::vector<const char*> flags, ServerConfig* server) {
  flags.insert(flags.begin(), "saldo-server");
  const char* const no_environment[] = {nullptr};
  return config::Load({.name = "saldo-server"}, static_cast<int>(flags.size()), flags.data(),
                      no_environment, [&](config::Binder& binder) { Bind(binder, *server); });
}

TEST_CASE("the dsn alone is required") {
  ServerConfig server;
  const config::LoadResult without = Load({}, &server);
  CHECK_FALSE(without.run);
  REQUIRE(without.faults.size() == 1);
  CHECK(without.faults[0].find("postgres.dsn") == 0);
  REQUIRE(Load({"--postgres.dsn=host=db"}, &server).run);
  CHECK(server.postgres.connection.dsn == "host=db");
  CHECK(server.grpc.port == 8082);
  CHECK(server.metrics.port == 9100);
  CHECK(server.status.port == 8000);
  CHECK(server.postgres.max_connections >= server.grpc.calls.worker_threads);
}

TEST_CASE("the keys of every part bind") {
  ServerConfig server;
  const config::LoadResult result =
      Load({"--postgres.dsn=x", "--postgres.max_connections=5", "--postgres.acquire_timeout=1500ms",
            "--postgres.statement_timeout=7s", "--postgres.connect_timeout=3s",
            "--postgres.max_lifetime=10m", "--postgres.idle_in_transaction_timeout=9s",
            "--postgres.start_timeout=0s", "--grpc.port=1", "--grpc.worker_threads=4",
            "--metrics.port=2", "--status.port=3", "--log.format=console", "--packages.topic=t",
            "--ledger.types_file=f", "--ledger.time_zone=Europe/Moscow",
            "--jobs.sequencer.enabled=false", "--jobs.partitions.enabled=false"},
           &server);
  INFO((result.faults.empty() ? "" : result.faults[0]));
  REQUIRE(result.run);
  CHECK(server.postgres.max_connections == 5);
  CHECK(server.postgres.acquire_timeout == absl::Milliseconds(1500));
  CHECK(server.postgres.connection.statement_timeout == absl::Seconds(7));
  CHECK(server.postgres.connection.connect_timeout == absl::Seconds(3));
  CHECK(server.postgres.max_lifetime == absl::Minutes(10));
  CHECK(server.postgres.connection.idle_in_transaction_timeout == absl::Seconds(9));
  CHECK(server.database_start_timeout == absl::ZeroDuration());
  CHECK(server.grpc.port == 1);
  CHECK(server.metrics.port == 2);
  CHECK(server.status.port == 3);
  CHECK(server.log.format == log::Format::kConsole);
  CHECK(server.packages.topic == "t");
  CHECK(server.ledger.ledger.types_file == "f");
  CHECK(server.ledger.ledger.time_zone == "Europe/Moscow");
  CHECK_FALSE(server.jobs.sequencer_enabled);
  CHECK_FALSE(server.jobs.partitions_enabled);
}

TEST_CASE("workers that would only wait for a connection are a fault") {
  ServerConfig server;
  const config::LoadResult result = Load(
      {"--postgres.dsn=x", "--postgres.max_connections=4", "--grpc.worker_threads=9"}, &server);
  CHECK_FALSE(result.run);
  REQUIRE(result.faults.size() == 1);
  CHECK(result.faults[0].find("grpc.worker_threads") != std::string::npos);
}

}  // namespace
}  // namespace saldo::server
