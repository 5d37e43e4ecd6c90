// Variables: unknown ones, those of Kubernetes, and secrets from files.
#include <catch2/catch.hpp>

#include "absl/strings/str_cat.h"
#include "tests/common/config/fixture.h"

namespace saldo::config::test {
namespace {

Loaded FromEnv(std::vector<std::string> env) {
  return LoadSample({.env = std::move(env), .args = {}});
}

}  // namespace

TEST_CASE(
    "Unknown variables of ours are faults, sorted by name; those of others are not looked at") {
  CHECK(FromEnv({"SALDO_GRPC_PROT=1", "PATH=/bin", "SALDOX=1", "SALDO_A_B_C=1", "SALDO_GRPC=1"})
            .result.faults ==
        Lines{"env SALDO_A_B_C: unknown variable",
              "env SALDO_GRPC: grpc: not a value but a section, expected one of its keys",
              "env SALDO_GRPC_PROT: unknown variable, did you mean SALDO_GRPC_PORT?"});
}

TEST_CASE("A program can leave variables to others") {
  Sources sources{.env = {"SALDO_TEST_SEED=1", "SALDO_TSET=1"}, .args = {}};
  sources.program.ignored_env = {"SALDO_TEST_"};
  CHECK(LoadSample(sources).result.faults == Lines{"env SALDO_TSET: unknown variable"});
}

TEST_CASE("Service links of Kubernetes are warnings") {
  const std::vector<std::string> links = {
      "SALDO_PORT=tcp://10.0.0.1:8082",    "SALDO_PORT_8082_TCP=tcp://10.0.0.1:8082",
      "SALDO_PORT_8082_TCP_ADDR=10.0.0.1", "SALDO_PORT_8082_TCP_PORT=8082",
      "SALDO_PORT_8082_TCP_PROTO=tcp",     "SALDO_SERVER_SERVICE_HOST=10.0.0.1",
      "SALDO_SERVICE_HOST=10.0.0.1",       "SALDO_SERVICE_PORT=8082",
      "SALDO_SERVICE_PORT_GRPC=8082",
  };
  const Loaded loaded = FromEnv(links);
  CHECK(loaded.result.faults == Lines{});
  CHECK(loaded.result.run);
  REQUIRE(loaded.result.warnings.size() == links.size());
  CHECK(loaded.result.warnings[0] ==
        "env SALDO_PORT: ignored; Kubernetes sets such variables for services (enableServiceLinks: "
        "false turns that off)");
}

TEST_CASE(
    "A slip in the name of a port is no service link, a link in place of a port is explained") {
  CHECK(FromEnv({"SALDO_GRCP_PORT=9000"}).result.faults ==
        Lines{"env SALDO_GRCP_PORT: unknown variable, did you mean SALDO_GRPC_PORT?"});
  CHECK(FromEnv({"SALDO_GRPC_PORT=tcp://10.0.0.1:1"}).result.faults ==
        Lines{"env SALDO_GRPC_PORT: grpc.port: got \"tcp://10.0.0.1:1\", expected a whole number "
              "from 0 to 65535; Kubernetes sets such variables for services (enableServiceLinks: "
              "false turns that off)"});
}

TEST_CASE("A secret comes from a file, less its last newline") {
  const TempFolder folder;
  const std::string name = "SALDO_POSTGRES_DSN_FILE=";
  const auto dsn_of = [&](const std::string& content) {
    const Loaded loaded = FromEnv({name + folder.Write("dsn", content)});
    CHECK(loaded.result.faults == Lines{});
    return loaded.config.dsn;
  };
  CHECK(dsn_of("s3cret") == "s3cret");
  CHECK(dsn_of("s3cret\n") == "s3cret");
  CHECK(dsn_of("s3cret\r\n") == "s3cret");
  CHECK(dsn_of("s3cret\n\n") == "s3cret\n");
  CHECK(dsn_of(" s3cret ") == " s3cret ");
}

TEST_CASE("Faults of a secret's file") {
  const TempFolder folder;
  const std::string file = folder.Write("dsn", "s3cret\n");
  const std::string where = "env SALDO_POSTGRES_DSN_FILE: postgres.dsn: ";
  CHECK(FromEnv({"SALDO_POSTGRES_DSN=a", "SALDO_POSTGRES_DSN_FILE=" + file}).result.faults ==
        Lines{where + "given together with SALDO_POSTGRES_DSN, expected one of them"});
  CHECK(FromEnv({"SALDO_POSTGRES_DSN_FILE=" + file + ".no"}).result.faults ==
        Lines{where + "cannot read " + file + ".no: No such file or directory"});
  CHECK(FromEnv({"SALDO_POSTGRES_DSN_FILE=" + folder.path()}).result.faults ==
        Lines{where + "cannot read " + folder.path() + ": Is a directory"});
  CHECK(FromEnv({"SALDO_POSTGRES_DSN_FILE=" + folder.Write("empty", "\n")}).result.faults ==
        Lines{where + "got 0 bytes (not shown), expected a secret text of 1 to 100 bytes"});
  CHECK(FromEnv({"SALDO_POSTGRES_DSN_FILE=" + folder.Write("large", std::string(65537, 'x'))})
            .result.faults == Lines{where + "cannot read " + folder.path() +
                                    "/large: the file is larger than 65536 bytes"});
  // Only secrets have such a variable.
  CHECK(FromEnv({"SALDO_KAFKA_TOPIC_FILE=" + file}).result.faults ==
        Lines{"env SALDO_KAFKA_TOPIC_FILE: unknown variable, did you mean SALDO_KAFKA_TOPIC?"});
}

TEST_CASE("The file < the environment < flags, key by key") {
  const Loaded loaded = LoadSample({.yaml = "grpc: {port: 1, workers: 1, drain_timeout: 1s}\n",
                                    .env = {"SALDO_GRPC_WORKERS=2", "SALDO_GRPC_DRAIN_TIMEOUT=2s"},
                                    .args = {"--grpc.drain_timeout=3s"}});
  REQUIRE(loaded.result.faults == Lines{});
  CHECK(loaded.config.port == 1);
  CHECK(loaded.config.workers == 2);
  CHECK(loaded.config.drain_timeout == absl::Seconds(3));
  CHECK(loaded.config.message_bytes_max == 4 * kMiB);
}

TEST_CASE("A bad value is a fault even where a later source has a good one") {
  const Loaded loaded = LoadSample(
      {.yaml = "grpc: {port: bad}\n", .env = {"SALDO_GRPC_PORT=2"}, .args = {"--grpc.port=3"}});
  CHECK(loaded.result.faults ==
        Lines{"saldo.yaml:1: grpc.port: got \"bad\", expected a whole number from 0 to 65535"});
}

}  // namespace saldo::config::test
