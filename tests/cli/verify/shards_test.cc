// `saldo verify` on two shards, each a ledger that was written by a real writer.
#include <catch2/catch.hpp>
#include <string>
#include <vector>

#include "cli/verify/cross_shard.h"
#include "tests/cli/shard/two_shards.h"
#include "tests/cli/verify/verify_test_util.h"

namespace saldo::cli::verify {
namespace {

// Clients are where the SHA-1 of their ids says: 356a... for "1", b658... for "0", and so on.
struct Shards {
  Shards() {
    a.clients = {1, 3, 4};
    b.clients = {0, 2, 5, 6};
    a.Fill();
    b.Write("b");
    b.Sequence();
    b.Aggregate();
  }

  Outcome Check(std::vector<std::string> arguments = {}) const {
    arguments.push_back(file.option());
    return Verify(std::move(arguments));
  }

  TestLedger a, b;
  ShardsFile file{a.dsn(), b.dsn()};
};

// The part of the text from `begin` up to `end`.
std::string Part(const std::string& text, const std::string& begin, const std::string& end) {
  const size_t from = text.find(begin);
  REQUIRE(from != std::string::npos);
  return text.substr(from, text.find(end, from + begin.size()) - from);
}

}  // namespace

TEST_CASE("all shards are checked, alone and together") {
  Shards shards;
  Outcome outcome = shards.Check();
  INFO(outcome.text);
  CHECK(outcome.code == 0);
  const std::string a = Part(outcome.text, "shard a\n", "\nshard b\n");
  CHECK_THAT(a, Catch::Contains("events of wallet             93 events") &&
                    Catch::Contains("all 27 checks agree\n"));
  const std::string b = Part(outcome.text, "\nshard b\n", "all shards together\n");
  CHECK_THAT(b, Catch::Contains("events of wallet             30 events") &&
                    Catch::Contains("all 27 checks agree\n"));
  // Every third of 90 and of 30 requests is balanced, of two events each.
  CHECK_THAT(Part(outcome.text, "all shards together\n", "<end>"),
             Catch::Contains("ok     balanced of RUB              80 events") &&
                 Catch::EndsWith("all 57 checks of 2 shards agree\n"));
  outcome = shards.Check({"--json"});
  CHECK(outcome.code == 0);
  CHECK_THAT(
      outcome.text,
      Catch::StartsWith("{\"agrees\": true, \"stopped\": false, \"over_all_shards\": [\n") &&
          Catch::Contains("{\"check\": \"balanced\", \"asset\": \"RUB\", \"unit\": "
                          "\"events\", \"checked\": 80, \"wrong\": 0") &&
          Catch::Contains("{\"shard\": \"a\", \"error\": null, \"report\": {\"snapshot_at\"") &&
          Catch::Contains("{\"shard\": \"b\", \"error\": null"));
  // One of them is a part of the whole: nothing is said of the sum.
  outcome = shards.Check({"--shard=b"});
  CHECK(outcome.code == 0);
  CHECK(outcome.Has("shard b\n"));
  CHECK_FALSE(outcome.Has("shard a\n"));
  CHECK_FALSE(outcome.Has("all shards together"));
}

TEST_CASE("a difference is found on its shard, and in the sum") {
  Shards shards;
  shards.b.Query("UPDATE events SET amount = amount + 0.25 WHERE (batch_id, ordinal) = (1, 1)");
  Outcome outcome = shards.Check();
  INFO(outcome.text);
  CHECK(outcome.code == 1);
  CHECK(Part(outcome.text, "shard a\n", "\nshard b\n").find("WRONG") == std::string::npos);
  CHECK_THAT(Part(outcome.text, "\nshard b\n", "all shards together\n"),
             Catch::Contains("batch 1: its balanced events in RUB make 0.25, not 0"));
  CHECK(outcome.Has("over all shards balanced events make 0.25, not 0: shard a 0, shard b 0.25\n"));
  CHECK(outcome.Has(" of 57 checks of 2 shards found differences\n"));
  outcome = shards.Check({"--json"});
  CHECK(outcome.code == 1);
  CHECK_THAT(outcome.text, Catch::StartsWith("{\"agrees\": false"));
  CHECK(shards.Check({"--shard=a"}).code == 0);

  // Nothing more is checked after the first difference.
  shards.a.Query("UPDATE turnovers_day SET credit = credit + 1 WHERE day = '2024-11-02'");
  outcome = shards.Check({"--fail-fast"});
  CHECK(outcome.code == 1);
  CHECK(outcome.Has("\nstopped at the first difference\n"));
  CHECK_FALSE(outcome.Has("shard b"));
}

TEST_CASE("what is on the wrong shard is found") {
  Shards shards;
  CHECK_THAT(shards.Check().text,
             Catch::Contains("ok     account placement            8 accounts"));
  shards.a.Query("UPDATE accounts SET key = E'0\\x1fRUB' WHERE key = E'1\\x1fRUB' AND type_id = 2");
  for (const TestLedger* ledger : {&shards.a, &shards.b}) {
    ledger->Query(
        "INSERT INTO keyed_types (kind, name, key_attributes, sharding_attributes) VALUES "
        "('lock', 'import', '{shop string, client_id integer}', '{client_id}'), "
        "('state', 'job', '{name string}', '{name}')");
    ledger->Query("INSERT INTO locks (type, key) VALUES ('import', E's\\x1f1')");
    ledger->Query(
        "INSERT INTO states (type, key, version, document) VALUES ('job', '2', 1, '{}'), "
        "('gone', '1', 1, '{}')");
  }
  const Outcome outcome = shards.Check();
  INFO(outcome.text);
  CHECK(outcome.code == 1);
  const std::string a = Part(outcome.text, "shard a\n", "\nshard b\n");
  CHECK_THAT(a, Catch::Contains("1 difference, the first:\n       wallet{client_id=0, "
                                "currency=RUB} is here, and belongs on shard b\n") &&
                    Catch::Contains("ok     lock placement               1 locks") &&
                    Catch::Contains("WRONG  state placement              1 states") &&
                    Catch::Contains("job{name=2} is here, and belongs on shard b\n"));
  const std::string b = Part(outcome.text, "\nshard b\n", "all shards together\n");
  CHECK_THAT(b,
             Catch::Contains("ok     account placement ") &&
                 Catch::Contains("import{shop=s, client_id=1} is here, and belongs on shard a\n") &&
                 Catch::Contains("ok     state placement              1 states"));
}

TEST_CASE("a shard that cannot be checked does not keep the others from it") {
  Shards shards;
  const ShardsFile away(shards.a.dsn(), kNobody);
  Outcome outcome = Verify({away.option()});
  INFO(outcome.text);
  CHECK(outcome.code == 2);
  CHECK_THAT(Part(outcome.text, "shard a\n", "\nshard b\n"),
             Catch::Contains("all 27 checks agree\n"));
  CHECK(outcome.Has("could not be checked\n"));
  CHECK(outcome.Has("saldo verify: shard b: "));
  CHECK(outcome.Has("all 27 checks of 1 shards agree; 1 could not be checked\n"));
  CHECK_FALSE(outcome.Has("all shards together"));
  outcome = Verify({away.option(), "--json"});
  CHECK(outcome.code == 2);
  CHECK_THAT(outcome.text, Catch::Contains("{\"agrees\": false") &&
                               Catch::Contains("\"over_all_shards\": null") &&
                               Catch::Contains("\"report\": null}"));
  // A difference is what is known.
  shards.a.Query("UPDATE turnovers_day SET credit = credit + 1 WHERE day = '2024-11-02'");
  CHECK(Verify({away.option()}).code == 1);

  outcome = shards.Check({"--type=purse"});
  INFO(outcome.text);
  CHECK(outcome.code == 2);
  CHECK(outcome.Has("there is no account type 'purse'; there are fee, wallet"));
}

TEST_CASE("totals of shards may only cancel out") {
  const auto check = [](const std::string& a, const std::string& b) {
    const std::vector<CheckResult> results =
        CheckOverAll({{"a", {{"EUR", 3, "0"}, {"RUB", 2, a}}}, {"b", {{"RUB", 5, b}}}});
    REQUIRE(results.size() == 2);
    CHECK(results[0].type == "EUR");
    CHECK(results[0].finding.wrong == 0);
    CHECK(results[1].type == "RUB");
    CHECK(results[1].finding.checked == 7);
    return results[1].finding.first;
  };
  CHECK(check("5.25", "-5.25").empty());
  CHECK(check("5", "-4.75") ==
        "over all shards balanced events make 0.25, not 0: shard a 5, shard b -4.75");
  CHECK(check(std::string(30, '9'), "0").find("too much to add up") != std::string::npos);
  CHECK(CheckOverAll({{"a", {}}, {"b", {}}}).size() == 1);
}

}  // namespace saldo::cli::verify
