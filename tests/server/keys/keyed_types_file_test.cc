#include "server/keys/keyed_types_file.h"

#include <catch2/catch.hpp>
#include <string>
#include <vector>

#include "common/devstack/files.h"
#include "server/keys/faults.h"
#include "tests/support/test_env.h"

namespace saldo::keys {
namespace {

Faults FaultsIn(const std::string& yaml) {
  const auto types = ParseKeyedTypes("t.yaml", yaml);
  return types.ok() ? Faults{} : FaultsOf(types.status());
}

constexpr const char* kFile = R"yaml(
types: [{whatever: is there}, is for others]
locks:
  - name: client_lock
    key: [{name: client_id, kind: integer}, {name: area, max_length: 9}]
    sharding: [client_id]
states:
  - name: import_state
    key: [{name: source}]
  - name: client_lock
    key: [{name: a}, {name: b}]
    topic: A.Topic
    max_bytes: 2KiB
)yaml";

}  // namespace

TEST_CASE("every value of the types of locks and states is read") {
  const auto read = ParseKeyedTypes("t.yaml", kFile);
  REQUIRE(read.ok());
  const KeyedTypes types(*read);
  REQUIRE(types.all().size() == 3);
  const KeyedType* const lock = types.Find(KeyedKind::kLock, "client_lock");
  REQUIRE(lock != nullptr);
  CHECK(lock->kind == KeyedKind::kLock);
  CHECK(lock->key == std::vector<Attribute>{{"client_id", AttributeKind::kInteger, 64},
                                            {"area", AttributeKind::kString, 9}});
  CHECK(lock->sharding == std::vector<size_t>{0});
  CHECK(lock->redefinition == 0);
  CHECK(lock->ShardingKey("17\x1fmoscow") == "17");
  CHECK(lock->Describe("17\x1fmoscow") == "client_lock{client_id=17, area=moscow}");
  const KeyedType* const state = types.Find(KeyedKind::kState, "import_state");
  REQUIRE(state != nullptr);
  CHECK(state->topic.empty());
  CHECK(state->max_bytes == 65536);
  CHECK(state->sharding == std::vector<size_t>{0});
  const KeyedType* const same_name = types.Find(KeyedKind::kState, "client_lock");
  REQUIRE(same_name != nullptr);
  CHECK(same_name->topic == "A.Topic");
  CHECK(same_name->max_bytes == 2048);
  CHECK(same_name->sharding == std::vector<size_t>{0, 1});
  CHECK(types.Find(KeyedKind::kLock, "import_state") == nullptr);
}

TEST_CASE("a file needs neither locks nor states") {
  for (const char* const yaml : {"types: []\n", "locks: []\nstates: []\n", ""}) {
    const auto types = ParseKeyedTypes("t.yaml", yaml);
    REQUIRE(types.ok());
    CHECK(types->empty());
  }
}

TEST_CASE("every fault of a file is told at once, in the words of account types") {
  CHECK(FaultsIn("locks:\n"
                 "  - {name: Lock, key: [{name: 1a}, {name: b}, {name: b}]}\n"
                 "  - {name: a, key: [{name: id}], sharding: [di, id, id]}\n"
                 "  - {name: a, key: [{name: id}]}\n"
                 "states:\n"
                 "  - {key: [{name: id}], topic: a b}\n"
                 "  - {name: s, key: [{name: id}], topic: t}\n"
                 "  - {name: t, key: [{name: id}], topic: t}\n") ==
        Faults{"t.yaml: locks.0: name: got \"Lock\", expected a-z, 0-9 and _, first a letter, at "
               "most 63 of them",
               "t.yaml: locks.0: key.0.name: got \"1a\", expected a-z, 0-9 and _, first a letter, "
               "at most 63 of them",
               "t.yaml: locks.0: key.2.name: \"b\" is the name of another attribute",
               "t.yaml: locks.1 (a): sharding: \"di\" is not a key attribute",
               "t.yaml: locks.1 (a): sharding: \"id\" is given twice",
               "t.yaml: locks.2 (a): name: is that of locks.1 too",
               "t.yaml: states.0: name: is missing",
               "t.yaml: states.0: topic: got \"a b\", expected 1 to 249 letters, digits, '.', '_' "
               "and '-'",
               "t.yaml: states.2 (t): topic: t is that of states.1 too, and each type has its "
               "own"});
  CHECK(FaultsIn("locks: [{name: a, key: [{name: id}], topic: t, max_bytes: 1}]\n").size() == 2);
  CHECK(FaultsIn("locks: [{name: a, key: []}]\n").size() == 1);
  CHECK(FaultsIn("states: [{name: a, key: [{name: id}], max_bytes: 2MiB}]\n").size() == 1);
  CHECK(FaultsIn("lock: []\n").size() == 1);
  std::string long_key = "locks: [{name: a, key: [";
  for (int i = 0; i < 10; ++i) long_key += "{name: a" + std::to_string(i) + ", max_length: 256}, ";
  CHECK(FaultsIn(long_key + "]}]\n") ==
        Faults{"t.yaml: locks.0 (a): key: its values may have 2570 bytes together, more than 2500; "
               "lower max_length"});
}

TEST_CASE("a file is read from its path, or is the built-in one") {
  const testing::TempDir folder;
  const std::string path = folder.File("types.yaml");
  REQUIRE(devstack::WriteFile(path, kFile).ok());
  const auto from_path = ReadKeyedTypes({.path = path, .built_in = "locks: []"});
  REQUIRE(from_path.ok());
  CHECK(from_path->size() == 3);
  const auto built_in = ReadKeyedTypes({.path = "", .built_in = "locks: []"});
  REQUIRE(built_in.ok());
  CHECK(built_in->empty());
  CHECK(ReadKeyedTypes({.path = folder.File("none")}).status().code() ==
        absl::StatusCode::kInvalidArgument);
}

}  // namespace saldo::keys
