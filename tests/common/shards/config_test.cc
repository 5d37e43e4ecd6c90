// The key `shards` and its rules with postgres.dsn.
#include "common/shards/config.h"

#include <catch2/catch.hpp>

#include "common/config/load.h"
#include "common/postgres/config.h"

namespace saldo::shards {
namespace {

struct Program {
  ShardsConfig shards;
  postgres::PoolOptions postgres;
};

std::vector<std::string> Load(const std::string& yaml, Program* program) {
  return config::LoadText("saldo.yaml", yaml, [&](config::Binder& binder) {
    binder.Section("postgres", [&](config::Binder& b) {
      postgres::Bind(b, program->postgres, postgres::Dsn::kOptional);
    });
    Bind(binder, program->shards, program->postgres.connection.dsn);
  });
}

std::vector<std::string> Faults(const std::string& yaml) {
  Program program;
  return Load(yaml, &program);
}

using Lines = std::vector<std::string>;

}  // namespace

TEST_CASE("Without the key there is one shard, at postgres.dsn") {
  Program program;
  REQUIRE(Load("postgres: {dsn: host=one}", &program) == Lines{});
  const auto databases = Resolve(program.shards, program.postgres.connection.dsn);
  REQUIRE(databases.ok());
  REQUIRE(databases->size() == 1);
  CHECK(databases->map.name(0) == "0");
  CHECK(databases->list[0].name == "0");
  CHECK(databases->list[0].dsn == "host=one");
}

TEST_CASE("Listed shards keep their order and their databases") {
  Program program;
  REQUIRE(Load("shards:\n"
               "  - {name: north, from: 80, to: ff, dsn: host=n}\n"
               "  - {name: south, from: 00, to: 7f, dsn: host=s}\n",
               &program) == Lines{});
  const auto databases = Resolve(program.shards, program.postgres.connection.dsn);
  REQUIRE(databases.ok());
  REQUIRE(databases->size() == 2);
  CHECK(databases->map.name(0) == "north");
  CHECK(databases->list[0].dsn == "host=n");
  CHECK(databases->list[1].name == "south");
  CHECK(databases->list[1].dsn == "host=s");
  CHECK(databases->map.OfHash(0) == 1);
}

TEST_CASE("A sole shard owns everything unless it says otherwise") {
  CHECK(Faults("shards: [{name: all, dsn: host=a}]") == Lines{});
}

TEST_CASE("Faults of shards are clear") {
  struct Case {
    std::string yaml;
    std::string fault;
  };
  const std::vector<Case> cases = {
      {"postgres: {max_connections: 4}",
       "postgres.dsn: not given; set it in the file, with SALDO_POSTGRES_DSN or with "
       "--postgres.dsn, or list the databases in shards"},
      {"postgres: {dsn: host=x}\nshards: [{name: a, dsn: host=a}]",
       "postgres.dsn: must not be given together with shards: each shard has its own dsn"},
      {"shards: [{name: a, to: 7f, dsn: host=a}, {name: b, from: 9, dsn: host=b}]",
       "shards: no shard owns the hashes 8000000000000000-8fffffffffffffff, between shards \"a\" "
       "and \"b\"; together the shards must own all of them"},
      {"shards: [{name: a, dsn: host=a}, {name: b, dsn: host=b}]",
       "shards: shards \"a\" and \"b\" both own the hashes 0000000000000000-ffffffffffffffff"},
      {"shards: [{name: a, to: 7, dsn: host=a}, {name: b, from: 8, dsn: host=a}]",
       "shards: \"b\" has the dsn of a shard before it; each has a database of its own"},
  };
  for (const Case& c : cases) CHECK(Faults(c.yaml) == Lines{c.fault});
  const Lines missing = Faults("shards: [{name: a}]");
  REQUIRE(missing.size() == 1);
  CHECK_THAT(missing[0], Catch::Contains("shards.0.dsn"));
}

}  // namespace saldo::shards
