// --help, --version, --check-config and --print-config.
#include <catch2/catch.hpp>

#include <random>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "tests/common/config/fixture.h"

namespace saldo::config::test {

TEST_CASE("--print-config shows each value with its source, and no secret") {
  const TempFolder folder;
  const std::string file = folder.Write("dsn", "host=secret");
  const Loaded loaded =
      LoadSample({.yaml = "grpc:\n"
                          "  port: 9000\n"
                          "  message_max: 65536\n"
                          "shards:\n"
                          "  - name: a\n"
                          "    dsn: host=secret\n"
                          "  - name: \"b # \\\"\\n\"\n",
                  .env = {"SALDO_GRPC_WORKERS=3", "SALDO_POSTGRES_DSN_FILE=" + file},
                  .args = {"--log_format=console", "--print-config"}});
  REQUIRE(loaded.result.faults == Lines{});
  CHECK(loaded.result.exit_code == 0);
  CHECK_FALSE(loaded.result.run);
  CHECK(loaded.result.output ==
        "# The configuration of sample, with the source of each value.\n"
        "grpc:\n"
        "  port: 9000 # saldo.yaml:2\n"
        "  workers: 3 # env SALDO_GRPC_WORKERS\n"
        "  drain_timeout: 10s # default\n"
        "  message_max: 64KiB # saldo.yaml:3\n"
        "  reflection: true # default\n"
        "tracing:\n"
        "  sample_ratio: 0.25 # default\n"
        "kafka:\n"
        "  topic: \"events\" # default\n"
        "  brokers: [\"localhost:9092\"] # default\n"
        "postgres:\n"
        "  dsn: <redacted> # env SALDO_POSTGRES_DSN_FILE\n"
        "log_format: \"console\" # flag\n"
        "shards: # saldo.yaml:4\n"
        "  - name: \"a\" # saldo.yaml:5\n"
        "    dsn: <redacted> # saldo.yaml:6\n"
        "    pool:\n"
        "      connections: 4 # default\n"
        "  - name: \"b # \\\"\\x0a\" # saldo.yaml:7\n"
        "    dsn: \"\" # default\n"
        "    pool:\n"
        "      connections: 4 # default\n");
}

TEST_CASE("What --print-config writes is a configuration file with the same values") {
  const unsigned seed = std::random_device{}();
  CAPTURE(seed);
  std::mt19937 random(seed);
  const auto pick = [&](int from, int to) {
    return std::uniform_int_distribution<int>(from, to)(random);
  };
  const auto text = [&](int length_max) {
    std::string out;
    for (int length = pick(1, length_max); length > 0; --length) {
      out += static_cast<char>(pick(1, 127));
    }
    return out;
  };
  for (int round = 0; round < 100; ++round) {
    Sample given;
    given.port = static_cast<uint16_t>(pick(0, 65535));
    given.workers = pick(-1, 256);
    given.drain_timeout = absl::Nanoseconds(pick(0, 2'000'000'000));
    given.message_bytes_max = static_cast<size_t>(pick(1024, 64 << 20));
    given.reflection = pick(0, 1) == 1;
    given.sample_ratio = std::uniform_real_distribution<double>(0, 1)(random);
    given.topic = text(20);
    given.format = pick(0, 1) == 1 ? Format::kJson : Format::kConsole;
    given.brokers.clear();
    for (int count = pick(1, 3); count > 0; --count) given.brokers.push_back(text(30));
    given.dsn = "kept";
    for (int count = pick(0, 3); count > 0; --count)
      given.shards.push_back({.name = text(16), .dsn = "", .connections = pick(1, 100)});

    const auto bind = [](Sample& sample) {
      return [&sample](Binder& binder) { Bind(binder, sample); };
    };
    const LoadResult printed = LoadWith({.args = {"--print-config"}}, bind(given));
    REQUIRE(printed.faults == Lines{});
    CAPTURE(printed.output);
    const Loaded read =
        LoadSample({.yaml = printed.output, .env = {"SALDO_POSTGRES_DSN=kept"}, .args = {}});
    REQUIRE(read.result.faults == Lines{});
    const Sample& c = read.config;
    CHECK(c.port == given.port);
    CHECK(c.workers == given.workers);
    CHECK(c.drain_timeout == given.drain_timeout);
    CHECK(c.message_bytes_max == given.message_bytes_max);
    CHECK(c.reflection == given.reflection);
    CHECK(c.sample_ratio == given.sample_ratio);
    CHECK(c.topic == given.topic);
    CHECK(c.format == given.format);
    CHECK(c.brokers == given.brokers);
    CHECK(c.dsn == "kept");
    REQUIRE(c.shards.size() == given.shards.size());
    for (size_t i = 0; i < c.shards.size(); ++i) {
      CHECK(c.shards[i].name == given.shards[i].name);
      CHECK(c.shards[i].connections == given.shards[i].connections);
    }
  }
}

TEST_CASE("The placeholder of a secret is not taken for the secret") {
  CHECK(LoadSample({.yaml = "postgres:\n  dsn: <redacted>\n"}).result.faults ==
        Lines{"saldo.yaml:2: postgres.dsn: got the placeholder <redacted> of --print-config, "
              "expected the secret itself"});
}

TEST_CASE("--check-config says ok or what is wrong") {
  const Loaded good = LoadSample({.args = {"--check-config"}});
  CHECK(good.result.output == "ok\n");
  CHECK(good.result.exit_code == 0);
  CHECK_FALSE(good.result.run);
  const Loaded bad = LoadSample({.args = {"--check-config", "--grpc.port=x"}});
  CHECK(bad.result.output.empty());
  CHECK(bad.result.exit_code == 1);
  CHECK(bad.result.faults.size() == 1);
}

TEST_CASE("--version and --help answer even when something is wrong") {
  const Loaded version = LoadSample({.yaml = "bad: 1", .args = {"--version"}});
  CHECK(version.result.output == "sample 1.2.3\n");
  CHECK(version.result.exit_code == 0);
  CHECK_FALSE(version.result.run);
  for (const std::string flag : {"--help", "-h"}) {
    const Loaded help = LoadSample({.yaml = "bad: 1", .args = {"--x", flag}});
    CHECK(help.result.exit_code == 0);
    CHECK_FALSE(help.result.run);
    CHECK_THAT(help.result.output, Catch::StartsWith("sample: a sample\n\nUsage: sample "));
  }
}

TEST_CASE("--help lists each key with its type, unit, range, default and variable") {
  const std::string help = LoadSample({.args = {"--help"}}).result.output;
  CHECK_THAT(help, Catch::Contains("  --grpc.drain_timeout\n"
                                   "      How long a stop waits for running calls\n"
                                   "      a duration from 0s to 10m; default: 10s; env: "
                                   "SALDO_GRPC_DRAIN_TIMEOUT\n"));
  CHECK_THAT(help, Catch::Contains("a size from 1KiB to 64MiB; default: 4MiB; env: "
                                   "SALDO_GRPC_MESSAGE_MAX\n"));
  CHECK_THAT(help,
             Catch::Contains("one of json, console; default: \"json\"; env: SALDO_LOG_FORMAT\n"));
  CHECK_THAT(help, Catch::Contains("a secret text of 1 to 100 bytes; default: <redacted>; env: "
                                   "SALDO_POSTGRES_DSN or SALDO_POSTGRES_DSN_FILE\n"));
  CHECK_THAT(help, !Catch::Contains("default-secret"));
  CHECK_THAT(help, Catch::Contains("shards: list of 0 to 3 sections, given in the file; N counts "
                                   "from 0\n  Databases\n"));
  CHECK_THAT(help, Catch::Contains("  --shards.N.name\n      Name of the shard\n"
                                   "      a text of 1 to 16 bytes; default: none, required; env: "
                                   "SALDO_SHARDS_N_NAME\n"));
  for (const absl::string_view line : absl::StrSplit(help, '\n')) {
    CAPTURE(line);
    CHECK(line.size() <= 120);
  }
}

}  // namespace saldo::config::test
