// The YAML file: where faults lie, what is unknown, what is not YAML.
#include <catch2/catch.hpp>

#include "absl/strings/str_cat.h"
#include "tests/common/config/fixture.h"

namespace saldo::config::test {
namespace {

Lines FaultsOf(const std::string& yaml) { return LoadSample({.yaml = yaml}).result.faults; }

}  // namespace

TEST_CASE("Faults of the file carry its name, line and key") {
  struct Row {
    std::string yaml;
    Lines faults;
  };
  const std::vector<Row> table = {
      {"# a comment\n\ngrpc:\n  # another\n  prot: 1\n",
       {"saldo.yaml:5: grpc.prot: unknown key, did you mean grpc.port?"}},
      {"port: 1\n", {"saldo.yaml:1: port: unknown key, did you mean grpc.port?"}},
      {"grcp:\n  port: 1\n  more: 2\n", {"saldo.yaml:1: grcp: unknown key, did you mean grpc?"}},
      {"grpc:\n  quite_another_thing: 1\n",
       {"saldo.yaml:2: grpc.quite_another_thing: unknown key"}},
      {"grpc:\n  port: 1\n  workers: 2\n  port: 3\n",
       {"saldo.yaml:4: grpc.port: given twice, first on line 2"}},
      {"grpc:\n  port: 1\nlog_format: json\ngrpc:\n  port: 2\n",
       {"saldo.yaml:4: grpc: given twice, first on line 1"}},
      {"grpc: 5\n", {"saldo.yaml:1: grpc: got \"5\", expected a section of keys"}},
      {"grpc: [1]\n", {"saldo.yaml:1: grpc: got a list, expected a section of keys"}},
      {"grpc:\n  port:\n",
       {"saldo.yaml:2: grpc.port: got no value, expected a whole number from 0 to 65535"}},
      {"grpc:\n  port: ~\n",
       {"saldo.yaml:2: grpc.port: got no value, expected a whole number from 0 to 65535"}},
      {"kafka:\n  topic: null\n",
       {"saldo.yaml:2: kafka.topic: got no value, expected a text of 1 to 20 bytes"}},
      {"grpc:\n  port: {a: 1}\n",
       {"saldo.yaml:2: grpc.port: got a section, expected a whole number from 0 to 65535"}},
      {"grpc:\n  port: [1]\n",
       {"saldo.yaml:2: grpc.port: got a list, expected a whole number from 0 to 65535"}},
      {"grpc:\n  port: \"1\"\n",
       {"saldo.yaml:2: grpc.port: got \"1\", expected a whole number from 0 to 65535, without "
        "quotes"}},
      {"grpc:\n  reflection: 'true'\n",
       {"saldo.yaml:2: grpc.reflection: got \"true\", expected true or false, without quotes"}},
      {"kafka:\n  topic: !!binary aGk=\n",
       {"saldo.yaml:2: kafka.topic: got \"aGk=\", YAML tags are not supported"}},
      {"kafka:\n  topic: \"a\\0b\"\n",
       {"saldo.yaml:2: kafka.topic: got \"a\\000b\", expected a text of 1 to 20 bytes, without a "
        "zero byte"}},
      {"? [a, b]\n: 1\n", {"saldo.yaml:1: a key must be a plain word"}},
      {"- 1\n", {"saldo.yaml:1: got a list, expected a section of keys"}},
      {"grpc: {port: 1}\n---\ngrpc: {port: 2}\n",
       {"saldo.yaml:3: a second document, expected one"}},
  };
  for (const Row& row : table) {
    CAPTURE(row.yaml);
    CHECK(FaultsOf(row.yaml) == row.faults);
  }
}

TEST_CASE("What is not YAML is one fault with its line, and the other sources are still checked") {
  const Loaded loaded = LoadSample(
      {.yaml = "grpc:\n  port: [1\nkafka: }\n", .env = {"SALDO_GRPC_PORT=x"}, .args = {}});
  REQUIRE(loaded.result.faults.size() == 2);
  CHECK_THAT(loaded.result.faults[0], Catch::StartsWith("saldo.yaml:3: not valid YAML: "));
  CHECK(loaded.result.faults[1] ==
        "env SALDO_GRPC_PORT: grpc.port: got \"x\", expected a whole number from 0 to 65535");
}

TEST_CASE("Tabs, deep nesting and endless aliases are refused, not followed") {
  CHECK(FaultsOf("grpc:\n\tport: 1\n").size() == 1);
  CHECK(FaultsOf("grpc: " + std::string(100000, '[')).size() == 1);
  CHECK(FaultsOf("grpc: &a\n  port: *a\n").size() == 1);
}

TEST_CASE("Anchors may repeat a value, empty files and sections say nothing") {
  const Loaded anchors = LoadSample({.yaml = "kafka:\n  topic: &t shared\npostgres:\n  dsn: *t\n"});
  CHECK(anchors.result.faults == Lines{});
  CHECK(anchors.config.dsn == "shared");
  CHECK(FaultsOf("# nothing\n") == Lines{});
  CHECK(FaultsOf("grpc:\n  # port: 1\nkafka:\n") == Lines{});
}

TEST_CASE("A file that cannot be read is a fault") {
  const TempFolder folder;
  const std::string missing = folder.path() + "/missing.yaml";
  CHECK(LoadSample({.env = {"SALDO_CONFIG=" + missing}, .args = {}}).result.faults ==
        Lines{missing + ": cannot read the configuration file: No such file or directory"});
  CHECK(LoadSample({.args = {"--config", folder.path()}}).result.faults ==
        Lines{folder.path() + ": cannot read the configuration file: Is a directory"});
  const std::string large = folder.Write("large.yaml", "#" + std::string(1 << 20, 'x'));
  CHECK(
      LoadSample({.args = {"--config", large}}).result.faults ==
      Lines{large + ": cannot read the configuration file: the file is larger than 1048576 bytes"});
}

TEST_CASE("An unreadable file leaves open what it would have given") {
  std::string name;
  const auto bind = [&](Binder& b) { b.String("name", &name, {.min = 1, .max = 9}, ""); };
  CHECK(LoadWith({.yaml = "a: b: c"}, bind).faults.size() == 1);
  CHECK(LoadWith({.yaml = "# empty"}, bind).faults ==
        Lines{"name: not given, expected a text of 1 to 9 bytes; set it in the file, with "
              "SALDO_NAME or with --name"});
}

TEST_CASE("The flag names the file before the variable does") {
  const TempFolder folder;
  const std::string by_env = folder.Write("env.yaml", "grpc: {port: 1, workers: 1}\n");
  const std::string by_flag = folder.Write("flag.yaml", "grpc: {port: 2}\n");
  CHECK(LoadSample({.env = {"SALDO_CONFIG=" + by_env}, .args = {}}).config.port == 1);
  const Loaded both =
      LoadSample({.env = {"SALDO_CONFIG=" + by_env}, .args = {"--config", by_flag}});
  CHECK(both.config.port == 2);
  CHECK(both.config.workers == -1);
  CHECK(LoadSample({.env = {"SALDO_CONFIG="}, .args = {}}).result.run);
}

TEST_CASE("a file of its own is filled from YAML alone") {
  Sample config;
  const auto load = [&config](const std::string& yaml) {
    config = Sample();
    return LoadText("own.yaml", yaml, [&config](Binder& b) { Bind(b, config); });
  };
  CHECK(load("grpc: {port: 7}") == Lines{});
  CHECK(config.port == 7);
  CHECK(load("") == Lines{});
  CHECK(load("grpc: {port: x, workers: 3, prot: 1}") ==
        Lines{"own.yaml:1: grpc.port: got \"x\", expected a whole number from 0 to 65535",
              "own.yaml:1: grpc.prot: unknown key, did you mean grpc.port?"});
  CHECK(config.workers == 3);
  CHECK(load("grpc: [").size() == 1);

  const TempFolder folder;
  const std::string path = folder.Write("own.yaml", "grpc: {port: 8}");
  CHECK(LoadFile(path, [&config](Binder& b) { Bind(b, config); }) == Lines{});
  CHECK(config.port == 8);
  CHECK(LoadFile(folder.path() + "/none", [&config](Binder& b) { Bind(b, config); }).size() == 1);
}

TEST_CASE("a file of its own is checked as a whole") {
  int low = 0;
  int high = 9;
  const auto bind = [&](Binder& b) {
    b.Int("low", &low, {.min = 0, .max = 9}, "");
    b.Int("high", &high, {.min = 0, .max = 9}, "");
    b.Check([&] {
      return low <= high ? absl::OkStatus() : absl::InvalidArgumentError("low is above high");
    });
  };
  CHECK(LoadText("own.yaml", "{low: 2, high: 1}", bind) == Lines{"low is above high"});
}

TEST_CASE("a part of another program's configuration leaves the rest alone") {
  Sample config;
  const TempFolder folder;
  const auto load = [&](const std::string& yaml, std::vector<const char*> env = {}) {
    config = Sample();
    env.push_back(nullptr);
    Lines faults = LoadPart(folder.Write("saldo.yaml", yaml), env.data(), [&config](Binder& b) {
      b.Section("grpc", [&config](Binder& grpc) {
        grpc.Int("port", &config.port, {.min = 1, .max = 65535}, "");
      });
      b.List(
          "shards", &config.shards, {.min = 0, .max = 3},
          [](Binder& item, Shard& shard) { Bind(item, shard); }, "");
    });
    for (std::string& fault : faults) fault = fault.substr(fault.find("saldo.yaml"));
    return faults;
  };
  CHECK(load("{grpc: {port: 7, workers: x}, log: {level: loud}, shards: [{name: a, dsn: d}]}",
             {"SALDO_SHARDS_0_DSN=e", "SALDO_SHARDS_FILE=f", "SALDO_GRPC_WORKERS=x"}) == Lines{});
  CHECK(config.port == 7);
  REQUIRE(config.shards.size() == 1);
  CHECK(config.shards[0].dsn == "e");
  CHECK(load("{grpc: {port: 0}, shards: [{name: a, dns: d}]}").size() >= 2);
  CHECK(load("{shards: [{name: a, dsn: d, dns: d}]}") ==
        Lines{"saldo.yaml:1: shards.0.dns: unknown key, did you mean shards.0.dsn?"});
  CHECK(LoadPart(folder.path() + "/none", nullptr, [](Binder&) {}).size() == 1);
}

}  // namespace saldo::config::test
