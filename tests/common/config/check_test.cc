// Rules between keys, many faults at once, and mistakes in a description.
#include <catch2/catch.hpp>

#include "tests/common/config/fixture.h"

namespace saldo::config::test {

TEST_CASE("Every fault of every source is reported at once, in order") {
  const Loaded loaded = LoadSample({.yaml = "grpc:\n"
                                            "  port: 70000\n"
                                            "  drain_timeout: 5\n"
                                            "  colour: red\n"
                                            "kafka:\n"
                                            "  topic: ''\n",
                                    .env = {"SALDO_LOG_FORMAT=xml", "SALDO_TYPO=1"},
                                    .args = {"--tracing.sample_ratio=2", "--nothing"}});
  CHECK(
      loaded.result.faults ==
      Lines{"saldo.yaml:2: grpc.port: got \"70000\", expected a whole number from 0 to 65535",
            "saldo.yaml:3: grpc.drain_timeout: got \"5\", which has no unit (write 5ms, 5s or the "
            "like), expected a duration from 0s to 10m",
            "saldo.yaml:4: grpc.colour: unknown key",
            "saldo.yaml:6: kafka.topic: got \"\", expected a text of 1 to 20 bytes",
            "env SALDO_LOG_FORMAT: log_format: got \"xml\", expected one of json, console",
            "env SALDO_TYPO: unknown variable",
            "flag --tracing.sample_ratio: tracing.sample_ratio: got \"2\", expected a number from "
            "0 to 1",
            "flag --nothing: unknown flag"});
  CHECK_FALSE(loaded.result.run);
  CHECK(loaded.result.exit_code == 1);
  CHECK(loaded.result.output.empty());
}

TEST_CASE("Rules between keys run when each value is allowed alone") {
  int low = 1, high = 5, runs = 0;
  const auto bind = [&](Binder& binder) {
    binder.Section("pool", [&](Binder& b) {
      b.Int("low", &low, {.min = 0, .max = 9}, "");
      b.Int("high", &high, {.min = 0, .max = 9}, "");
      b.Check([&] {
        ++runs;
        return low <= high ? absl::OkStatus() : absl::InvalidArgumentError("low is above high");
      });
    });
  };
  CHECK(LoadWith({}, bind).run);
  CHECK(runs == 1);
  CHECK(LoadWith({.args = {"--pool.low=6"}}, bind).faults == Lines{"pool: low is above high"});
  CHECK(LoadWith({.args = {"--pool.low=x"}}, bind).faults.size() == 1);
  CHECK(runs == 2);
}

TEST_CASE("Mistakes in a description are faults of every load") {
  int number = 7;
  std::string text;
  const auto bind = [&](Binder& binder) {
    binder.Int("config", &number, {.min = 0, .max = 9}, "");
    binder.Int("Upper", &number, {.min = 0, .max = 9}, "");
    binder.Int("twice", &number, {.min = 0, .max = 9}, "");
    binder.Int("twice", &number, {.min = 0, .max = 9}, "");
    binder.Int("empty", &number, {.min = 9, .max = 0}, "");
    binder.Int("outside", &number, {.min = 0, .max = 5}, "");
    binder.Secret("key", &text, {.min = 0, .max = 5}, "");
    binder.String("key_file", &text, {.min = 0, .max = 5}, "");
  };
  CHECK(LoadWith({}, bind).faults ==
        Lines{"description: config: this key is a flag of its own",
              "description: Upper: not a word of a-z, 0-9 and _", "description: twice: bound twice",
              "description: empty: the range is empty",
              "description: twice: has the variable SALDO_TWICE, and so has twice",
              "description: key_file: has the variable SALDO_KEY_FILE, and so has key",
              "empty: the default is 7, expected a whole number from 9 to 0",
              "outside: the default is 7, expected a whole number from 0 to 5"});
}

}  // namespace saldo::config::test
