// Each type of value: what it takes, from which source, and what it says of the rest.
#include <catch2/catch.hpp>

#include <limits>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "tests/common/config/fixture.h"

namespace saldo::config::test {
namespace {

struct Good {
  std::string key;
  std::string text;
  std::string yaml;  // as --print-config writes it
};

struct Bad {
  std::string key;
  std::string text;
  std::string problem;
};

std::string EnvOf(const std::string& key) {
  std::string name = "SALDO_";
  for (const char c : key) name += c == '.' ? '_' : static_cast<char>(std::toupper(c));
  return name;
}

std::string YamlOf(const std::string& key, const std::string& value) {
  const size_t dot = key.find('.');
  if (dot == std::string::npos) return absl::StrCat(key, ": ", value, "\n");
  return absl::StrCat(key.substr(0, dot), ":\n  ", key.substr(dot + 1), ": ", value, "\n");
}

const char kPort[] = "a whole number from 0 to 65535";
const char kTimeout[] = "a duration from 0s to 10m";
const char kSize[] = "a size from 1KiB to 64MiB";
const char kRatio[] = "a number from 0 to 1";

}  // namespace

TEST_CASE("Good values are taken from every source") {
  const std::vector<Good> table = {
      {"grpc.port", "0", "0"},
      {"grpc.port", "65535", "65535"},
      {"grpc.workers", "-1", "-1"},
      {"grpc.drain_timeout", "0s", "0s"},
      {"grpc.drain_timeout", "250ms", "250ms"},
      {"grpc.drain_timeout", "1.5s", "1.5s"},
      {"grpc.drain_timeout", "1m30s", "1m30s"},
      {"grpc.drain_timeout", "600s", "10m"},
      {"grpc.drain_timeout", "17us", "17us"},
      {"grpc.message_max", "1024", "1KiB"},
      {"grpc.message_max", "1025", "1025B"},
      {"grpc.message_max", "1025B", "1025B"},
      {"grpc.message_max", "64KiB", "64KiB"},
      {"grpc.message_max", "64MiB", "64MiB"},
      {"grpc.reflection", "false", "false"},
      {"tracing.sample_ratio", "0", "0"},
      {"tracing.sample_ratio", "1", "1"},
      {"tracing.sample_ratio", "0.001", "0.001"},
      {"tracing.sample_ratio", "1e-3", "0.001"},
      {"kafka.topic", "x", "\"x\""},
      {"kafka.topic", "8080", "\"8080\""},
      {"kafka.topic", "20-letters-precisely", "\"20-letters-precisely\""},
      {"log_format", "console", "\"console\""},
      {"postgres.dsn", "host=here", "<redacted>"},
  };
  for (const Good& row : table) {
    CAPTURE(row.key, row.text);
    const std::string line = absl::StrCat(row.key.substr(row.key.find('.') + 1), ": ", row.yaml);
    const Loaded from_file =
        LoadSample({.yaml = YamlOf(row.key, row.text), .args = {"--print-config"}});
    CHECK(from_file.result.faults == Lines{});
    const int at = row.key == "log_format" ? 1 : 2;
    CHECK_THAT(from_file.result.output,
               Catch::Contains(absl::StrCat(line, " # saldo.yaml:", at, "\n")));

    const Loaded from_env = LoadSample({.yaml = "",
                                        .env = {absl::StrCat(EnvOf(row.key), "=", row.text)},
                                        .args = {"--print-config"}});
    CHECK(from_env.result.faults == Lines{});
    CHECK_THAT(from_env.result.output,
               Catch::Contains(absl::StrCat(line, " # env ", EnvOf(row.key), "\n")));

    const Loaded from_flag =
        LoadSample({.args = {absl::StrCat("--", row.key), row.text, "--print-config"}});
    CHECK(from_flag.result.faults == Lines{});
    CHECK_THAT(from_flag.result.output, Catch::Contains(absl::StrCat(line, " # flag\n")));
  }
}

TEST_CASE("Bad values are refused by every source with the same words") {
  const std::vector<Bad> table = {
      {"grpc.port", "65536", absl::StrCat("got \"65536\", expected ", kPort)},
      {"grpc.port", "-1", absl::StrCat("got \"-1\", expected ", kPort)},
      {"grpc.port", "http", absl::StrCat("got \"http\", expected ", kPort)},
      {"grpc.port", "80.5", absl::StrCat("got \"80.5\", expected ", kPort)},
      {"grpc.port", "0x50", absl::StrCat("got \"0x50\", expected ", kPort)},
      {"grpc.port", "+80", absl::StrCat("got \"+80\", expected ", kPort)},
      {"grpc.port", "99999999999999999999",
       absl::StrCat("got \"99999999999999999999\", expected ", kPort)},
      {"grpc.drain_timeout", "250",
       absl::StrCat("got \"250\", which has no unit (write 250ms, 250s or the like), expected ",
                    kTimeout)},
      {"grpc.drain_timeout", "0",
       absl::StrCat("got \"0\", which has no unit (write 0ms, 0s or the like), expected ",
                    kTimeout)},
      {"grpc.drain_timeout", "1.5",
       absl::StrCat("got \"1.5\", which has no unit (write 1.5ms, 1.5s or the like), expected ",
                    kTimeout)},
      {"grpc.drain_timeout", "soon",
       absl::StrCat("got \"soon\", expected ", kTimeout, ", such as 250ms, 30s or 1h30m")},
      {"grpc.drain_timeout", "10 s",
       absl::StrCat("got \"10 s\", expected ", kTimeout, ", such as 250ms, 30s or 1h30m")},
      {"grpc.drain_timeout", "1d",
       absl::StrCat("got \"1d\", expected ", kTimeout, ", such as 250ms, 30s or 1h30m")},
      {"grpc.drain_timeout", "601s", absl::StrCat("got \"601s\", expected ", kTimeout)},
      {"grpc.drain_timeout", "-1s", absl::StrCat("got \"-1s\", expected ", kTimeout)},
      {"grpc.drain_timeout", "inf", absl::StrCat("got \"inf\", expected ", kTimeout)},
      {"grpc.message_max", "1023", absl::StrCat("got \"1023\", expected ", kSize)},
      {"grpc.message_max", "65MiB", absl::StrCat("got \"65MiB\", expected ", kSize)},
      {"grpc.message_max", "-4KiB", absl::StrCat("got \"-4KiB\", expected ", kSize)},
      {"grpc.message_max", "4MB",
       absl::StrCat("got \"4MB\", expected ", kSize,
                    ", as a whole number of B, KiB, MiB, GiB or TiB")},
      {"grpc.message_max", "1.5MiB",
       absl::StrCat("got \"1.5MiB\", expected ", kSize,
                    ", as a whole number of B, KiB, MiB, GiB or TiB")},
      {"grpc.message_max", "MiB",
       absl::StrCat("got \"MiB\", expected ", kSize,
                    ", as a whole number of B, KiB, MiB, GiB or TiB")},
      {"grpc.message_max", "9000000000TiB",
       absl::StrCat("got \"9000000000TiB\", expected ", kSize,
                    ", as a whole number of B, KiB, MiB, GiB or TiB")},
      {"grpc.reflection", "yes", "got \"yes\", expected true or false"},
      {"grpc.reflection", "1", "got \"1\", expected true or false"},
      {"grpc.reflection", "True", "got \"True\", expected true or false"},
      {"tracing.sample_ratio", "1.01", absl::StrCat("got \"1.01\", expected ", kRatio)},
      {"tracing.sample_ratio", "-0.1", absl::StrCat("got \"-0.1\", expected ", kRatio)},
      {"tracing.sample_ratio", "nan", absl::StrCat("got \"nan\", expected ", kRatio)},
      {"tracing.sample_ratio", "half", absl::StrCat("got \"half\", expected ", kRatio)},
      {"tracing.sample_ratio", "50%", absl::StrCat("got \"50%\", expected ", kRatio)},
      {"kafka.topic", "21-letters-precisely!",
       "got \"21-letters-precisely!\", expected a text of 1 to 20 bytes"},
      {"log_format", "JSON", "got \"JSON\", expected one of json, console"},
      {"postgres.dsn", std::string(101, 'x'),
       "got 101 bytes (not shown), expected a secret text of 1 to 100 bytes"},
  };
  for (const Bad& row : table) {
    CAPTURE(row.key, row.text);
    const int line = row.key == "log_format" ? 1 : 2;
    CHECK(LoadSample({.yaml = YamlOf(row.key, row.text)}).result.faults ==
          Lines{absl::StrCat("saldo.yaml:", line, ": ", row.key, ": ", row.problem)});
    // As a flag of its own a bool takes no other word than true and false.
    CHECK(LoadSample({.args = {absl::StrCat("--", row.key, "=", row.text)}}).result.faults ==
          Lines{absl::StrCat("flag --", row.key, ": ", row.key, ": ", row.problem)});
    CHECK(LoadSample({.env = {absl::StrCat(EnvOf(row.key), "=", row.text)}, .args = {}})
              .result.faults ==
          Lines{absl::StrCat("env ", EnvOf(row.key), ": ", row.key, ": ", row.problem)});
  }
}

TEST_CASE("Values reach the fields") {
  const Loaded loaded = LoadSample({.yaml = "grpc:\n"
                                            "  port: 9000\n"
                                            "  workers: 12\n"
                                            "  drain_timeout: 1m30s\n"
                                            "  message_max: 2MiB\n"
                                            "  reflection: false\n"
                                            "tracing: {sample_ratio: 0.5}\n"
                                            "kafka: {topic: t, brokers: [a:1, b:2]}\n"
                                            "postgres: {dsn: d}\n"
                                            "log_format: console\n",
                                    .env = {},
                                    .args = {}});
  REQUIRE(loaded.result.faults == Lines{});
  CHECK(loaded.result.run);
  CHECK(loaded.config.port == 9000);
  CHECK(loaded.config.workers == 12);
  CHECK(loaded.config.drain_timeout == absl::Seconds(90));
  CHECK(loaded.config.message_bytes_max == 2097152);
  CHECK_FALSE(loaded.config.reflection);
  CHECK(loaded.config.sample_ratio == 0.5);
  CHECK(loaded.config.topic == "t");
  CHECK(loaded.config.brokers == Lines{"a:1", "b:2"});
  CHECK(loaded.config.dsn == "d");
  CHECK(loaded.config.format == Format::kConsole);
}

TEST_CASE("Without any source the defaults stand") {
  const Loaded loaded = LoadSample({});
  REQUIRE(loaded.result.faults == Lines{});
  CHECK(loaded.result.run);
  CHECK(loaded.config.port == 8082);
  CHECK(loaded.config.drain_timeout == absl::Seconds(10));
  CHECK(loaded.config.brokers == Lines{"localhost:9092"});
}

TEST_CASE("A long or unprintable value is shown short and escaped") {
  const Loaded loaded =
      LoadSample({.yaml = "",
                  .env = {},
                  .args = {absl::StrCat("--kafka.topic=\x1b[31m", std::string(200, 'x'))}});
  CHECK(loaded.result.faults ==
        Lines{absl::StrCat("flag --kafka.topic: kafka.topic: got \"\\033[31m", std::string(75, 'x'),
                           "\"... (205 bytes), expected a text of 1 to 20 bytes")});
}

TEST_CASE("Lists of texts") {
  const auto brokers = [](const Sources& sources) {
    const Loaded loaded = LoadSample(sources);
    return loaded.result.faults.empty() ? loaded.config.brokers : loaded.result.faults;
  };
  const std::string expected = "expected a list of 1 to 3 texts";
  CHECK(brokers({.yaml = "kafka: {brokers: [\"a,b\"]}"}) == Lines{"a,b"});
  CHECK(brokers({.env = {"SALDO_KAFKA_BROKERS=a:1,b:2"}, .args = {}}) == Lines{"a:1", "b:2"});
  CHECK(brokers({.args = {"--kafka.brokers", "a:1"}}) == Lines{"a:1"});
  CHECK(brokers({.yaml = "kafka: {brokers: []}"}) ==
        Lines{"saldo.yaml:1: kafka.brokers: got a list, " + expected});
  CHECK(brokers({.yaml = "kafka: {brokers: a}"}) ==
        Lines{"saldo.yaml:1: kafka.brokers: got \"a\", " + expected});
  CHECK(brokers({.yaml = "kafka:\n  brokers:\n    - a\n    - [b]\n"}) ==
        Lines{"saldo.yaml:4: kafka.brokers: an item is not a plain text, " + expected});
  CHECK(brokers({.args = {"--kafka.brokers=a,b,c,d"}}) ==
        Lines{"flag --kafka.brokers: kafka.brokers: got \"a,b,c,d\", " + expected});
  CHECK(brokers({.env = {"SALDO_KAFKA_BROKERS=a,,b"}, .args = {}}) ==
        Lines{"env SALDO_KAFKA_BROKERS: kafka.brokers: got \"a,,b\", " + expected +
              ", each of 1 to 1024 bytes and without a zero byte"});
}

TEST_CASE("The range of a field's own type bounds its range") {
  int8_t small = 1;
  uint64_t large = std::numeric_limits<uint64_t>::max();
  const auto bind = [&](Binder& b) {
    b.Int("small", &small, {.min = 0, .max = 128}, "");
    b.Int("large", &large, {.min = 0, .max = 5}, "");
  };
  CHECK(LoadWith({}, bind).faults ==
        Lines{"description: small: the range does not fit the type of the field",
              "large: the default is 9223372036854775807, expected a whole number from 0 to 5"});
}

}  // namespace saldo::config::test
