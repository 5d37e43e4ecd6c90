// Flags: both ways to write a value, switches, and what is none.
#include <catch2/catch.hpp>

#include "tests/common/config/fixture.h"

namespace saldo::config::test {
namespace {

Loaded FromFlags(std::vector<std::string> args) { return LoadSample({.args = std::move(args)}); }

}  // namespace

TEST_CASE("Values of flags") {
  CHECK(FromFlags({"--grpc.port=9"}).config.port == 9);
  CHECK(FromFlags({"--grpc.port", "9"}).config.port == 9);
  CHECK(FromFlags({"--grpc.workers", "-1"}).result.run);
  CHECK(FromFlags({"--kafka.topic=a=b"}).config.topic == "a=b");
  CHECK(FromFlags({"--kafka.topic=--x"}).config.topic == "--x");
  CHECK_FALSE(FromFlags({"--grpc.reflection=false"}).config.reflection);
  CHECK_FALSE(FromFlags({"--grpc.reflection", "false"}).config.reflection);
  CHECK(LoadSample({.yaml = "grpc: {reflection: false}", .args = {"--grpc.reflection"}})
            .config.reflection);
}

TEST_CASE("Faults of flags") {
  struct Row {
    std::vector<std::string> args;
    Lines faults;
  };
  const std::vector<Row> table = {
      {{"--grpc.prot=1"}, {"flag --grpc.prot: unknown flag, did you mean grpc.port?"}},
      {{"--grpc.prot", "1"}, {"flag --grpc.prot: unknown flag, did you mean grpc.port?"}},
      {{"--chek-config"}, {"flag --chek-config: unknown flag, did you mean check-config?"}},
      {{"--port=1"}, {"flag --port: unknown flag, did you mean grpc.port?"}},
      {{"--grpc=1"}, {"flag --grpc: not a value but a section, expected one of its keys"}},
      {{"--grpc.port"},
       {"flag --grpc.port: has no value, expected a whole number from 0 to 65535"}},
      {{"--grpc.port", "--grpc.workers=1"},
       {"flag --grpc.port: has no value, expected a whole number from 0 to 65535"}},
      {{"--grpc.port=1", "--grpc.port=2"}, {"flag --grpc.port: given twice"}},
      {{"--config=a", "--config=b"},
       {"flag --config: given twice",
        "b: cannot read the configuration file: No such file or directory"}},
      {{"--config"}, {"flag --config: has no value, expected a file"}},
      {{"--config="}, {"flag --config: has no value, expected a file"}},
      {{"--check-config=yes"}, {"flag --check-config: takes no value"}},
      {{"-p"}, {"unknown flag -p, flags start with --"}},
      {{"serve"}, {"unexpected argument \"serve\", expected flags only"}},
      {{"--", "--grpc.port=1"}, {"unexpected argument \"--grpc.port=1\", expected flags only"}},
  };
  for (const Row& row : table) {
    CAPTURE(row.args);
    const Loaded loaded = FromFlags(row.args);
    CHECK(loaded.result.faults == row.faults);
    CHECK_FALSE(loaded.result.run);
    CHECK(loaded.result.exit_code == 1);
  }
}

TEST_CASE("A program may take arguments besides flags") {
  Sources sources{.args = {"migrate", "--grpc.port", "9", "up", "--", "--x", "-y"}};
  sources.program.takes_arguments = true;
  const Loaded loaded = LoadSample(sources);
  CHECK(loaded.result.faults == Lines{});
  CHECK(loaded.config.port == 9);
  CHECK(loaded.result.arguments == Lines{"migrate", "up", "--x", "-y"});
}

TEST_CASE("A secret given to a wrong flag or with a fault is not shown") {
  const std::string secret = "hunter2-" + std::string(100, 'x');
  for (const std::string flag : {"--postgres.dsn=", "--postgres.dns="}) {
    const Loaded loaded = FromFlags({flag + secret});
    REQUIRE(loaded.result.faults.size() == 1);
    CHECK_THAT(loaded.result.faults[0], !Catch::Contains("hunter2"));
  }
}

}  // namespace saldo::config::test
