// Lists of sections.
#include <catch2/catch.hpp>

#include "tests/common/config/fixture.h"

namespace saldo::config::test {
namespace {

const char kTwoShards[] =
    "shards:\n"
    "  - name: a\n"
    "    dsn: host=a\n"
    "  - name: b\n"
    "    pool:\n"
    "      connections: 7\n";

}  // namespace

TEST_CASE("A list of sections comes from the file, with defaults for what an item leaves out") {
  const Loaded loaded = LoadSample({.yaml = kTwoShards});
  REQUIRE(loaded.result.faults == Lines{});
  REQUIRE(loaded.config.shards.size() == 2);
  CHECK(loaded.config.shards[0].name == "a");
  CHECK(loaded.config.shards[0].dsn == "host=a");
  CHECK(loaded.config.shards[0].connections == 4);
  CHECK(loaded.config.shards[1].name == "b");
  CHECK(loaded.config.shards[1].connections == 7);
}

TEST_CASE("Variables and flags reach the items that are there") {
  const TempFolder folder;
  const Loaded loaded =
      LoadSample({.yaml = kTwoShards,
                  .env = {"SALDO_SHARDS_1_DSN_FILE=" + folder.Write("dsn", "host=file\n"),
                          "SALDO_SHARDS_0_POOL_CONNECTIONS=9"},
                  .args = {"--shards.0.name=flag"}});
  REQUIRE(loaded.result.faults == Lines{});
  CHECK(loaded.config.shards[0].name == "flag");
  CHECK(loaded.config.shards[0].connections == 9);
  CHECK(loaded.config.shards[1].dsn == "host=file");
  CHECK(LoadSample({.yaml = kTwoShards, .args = {"--shards.2.name=c"}}).result.faults.size() == 1);
}

TEST_CASE("Faults in lists name the item and its line") {
  CHECK(
      LoadSample({.yaml = "shards:\n"
                          "  - name: a\n"
                          "    nmae: b\n"
                          "  - pool: {connections: 0}\n"
                          "  - text\n",
                  .env = {},
                  .args = {}})
          .result.faults ==
      Lines{"saldo.yaml:3: shards.0.nmae: unknown key, did you mean shards.0.name?",
            "saldo.yaml:4: shards.1.pool.connections: got \"0\", expected a whole number from 1 "
            "to 100",
            "saldo.yaml:5: shards.2: got \"text\", expected a section of keys",
            "shards.1.name: not given, expected a text of 1 to 16 bytes; set it in the file, with "
            "SALDO_SHARDS_1_NAME or with --shards.1.name",
            "shards.2.name: not given, expected a text of 1 to 16 bytes; set it in the file, with "
            "SALDO_SHARDS_2_NAME or with --shards.2.name"});
  CHECK(LoadSample({.yaml = "shards: {name: a}\n"}).result.faults ==
        Lines{"saldo.yaml:1: shards: got a section, expected a list of sections"});
  CHECK(LoadSample({.yaml = "shards:\n"}).result.faults ==
        Lines{"saldo.yaml:1: shards: got no value, expected a list of sections"});
  CHECK(LoadSample({.yaml = "shards: [{}, {}, {}, {}]\n"}).result.faults ==
        Lines{"saldo.yaml:1: shards: got 4 items, expected 0 to 3 items"});
}

TEST_CASE(
    "A list that could not be read does not make the variables and flags of its items unknown") {
  for (const std::string yaml : {"shards: {a: b}\n", "shards: [}\n"}) {
    CAPTURE(yaml);
    CHECK(LoadSample({.yaml = yaml, .env = {"SALDO_SHARDS_0_DSN=x"}, .args = {"--shards.0.name=x"}})
              .result.faults.size() == 1);
  }
}

TEST_CASE("The default list stands unless the file gives another, which replaces it as a whole") {
  struct Item {
    std::string name = "new";
  };
  std::vector<Item> items = {{"first"}, {"second"}};
  const auto bind = [&](Binder& b) {
    b.List(
        "items", &items, {.min = 1, .max = 2},
        [](Binder& item, Item& i) { item.String("name", &i.name, {.min = 1, .max = 9}, ""); }, "");
  };
  CHECK(LoadWith({.env = {"SALDO_ITEMS_1_NAME=env"}, .args = {}}, bind).run);
  REQUIRE(items.size() == 2);
  CHECK(items[0].name == "first");
  CHECK(items[1].name == "env");
  CHECK(LoadWith({.yaml = "items: [{}]"}, bind).run);
  REQUIRE(items.size() == 1);
  CHECK(items[0].name == "new");
  CHECK(LoadWith({.yaml = "items: []"}, bind).faults ==
        Lines{"saldo.yaml:1: items: got 0 items, expected 1 to 2 items"});
  items.clear();
  CHECK(LoadWith({}, bind).faults == Lines{"items: got 0 items, expected 1 to 2 items"});
}

TEST_CASE("A key that another reader takes is left alone, and no other") {
  struct Item {
    std::string name = "new";
  };
  std::vector<Item> items;
  const auto bind = [&](Binder& b) {
    b.List(
        "items", &items, {.min = 0, .max = 2},
        [](Binder& item, Item& i) { item.String("name", &i.name, {.min = 1, .max = 9}, ""); }, "");
    b.Ignore("others");
  };
  CHECK(LoadText("f.yaml", "others: [{a: [1]}, 2]\nitems: [{name: a}]\n", bind) == Lines{});
  CHECK(items.size() == 1);
  CHECK(LoadText("f.yaml", "others:\n", bind) == Lines{});
  CHECK(LoadText("f.yaml", "other: 1\n", bind) == Lines{"f.yaml:1: other: unknown key"});
  CHECK(LoadText("f.yaml", "items: [{others: 1}]\n", bind) ==
        Lines{"f.yaml:1: items.0.others: unknown key"});
  CHECK(LoadText("f.yaml", "others: 1\nothers: 2\n", bind) ==
        Lines{"f.yaml:2: others: given twice, first on line 1"});
}

}  // namespace saldo::config::test
