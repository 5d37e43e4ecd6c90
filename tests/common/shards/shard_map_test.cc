// Ranges that cover all hashes exactly once, and the shard of a key.
#include "common/shards/shard_map.h"

#include <catch2/catch.hpp>

#include <algorithm>
#include <random>

#include "absl/strings/str_format.h"

namespace saldo::shards {
namespace {

constexpr uint64_t kLast = std::numeric_limits<uint64_t>::max();

std::string Refusal(const std::vector<ShardSpec>& specs) {
  const absl::StatusOr<ShardMap> map = ShardMap::Make(specs);
  if (map.ok()) return "accepted";
  CHECK(map.status().code() == absl::StatusCode::kInvalidArgument);
  return std::string(map.status().message());
}

}  // namespace

TEST_CASE("The hash is the first 64 bits of SHA-1") {
  // FIPS 180: the digests begin da39a3ee5e6b4b0d, a9993e364706816a and 84983e441c3bd26e.
  CHECK(HashOf("") == 0xda39a3ee5e6b4b0d);
  CHECK(HashOf("abc") == 0xa9993e364706816a);
  CHECK(HashOf("abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq") == 0x84983e441c3bd26e);
}

TEST_CASE("A sharding key joins the values in order") {
  CHECK(ShardingKey({}).empty());
  CHECK(ShardingKey({"17"}) == "17");
  CHECK(ShardingKey({"17", "RUB"}) == "17\x1fRUB");
  CHECK(ShardingKey({"", ""}) == "\x1f");
}

TEST_CASE("Without shards there is one that owns everything") {
  const ShardMap map;
  REQUIRE(map.size() == 1);
  CHECK(map.name(0) == kOnlyShard);
  CHECK(map.range(0) == Range{.first = 0, .last = kLast});
  CHECK(map.Of("anything") == 0);
  CHECK(map.Find("0") == 0u);
  CHECK(map.Find("1") == std::nullopt);
}

TEST_CASE("Ends are filled up with 0 and with f, and borders belong to their shard") {
  const auto map = ShardMap::Make({{"a", "00", "7f"}, {"b", "80", "bfff"}, {"c", "C", "F"}});
  REQUIRE(map.ok());
  CHECK(ToString(map->range(0)) == "0000000000000000-7fffffffffffffff");
  CHECK(ToString(map->range(1)) == "8000000000000000-bfffffffffffffff");
  CHECK(ToString(map->range(2)) == "c000000000000000-ffffffffffffffff");
  CHECK(map->OfHash(0) == 0);
  CHECK(map->OfHash(0x7fffffffffffffff) == 0);
  CHECK(map->OfHash(0x8000000000000000) == 1);
  CHECK(map->OfHash(0xbfffffffffffffff) == 1);
  CHECK(map->OfHash(0xc000000000000000) == 2);
  CHECK(map->OfHash(kLast) == 2);
  CHECK(map->Of("abc") == 1);  // a999...
  CHECK(map->Of("") == 2);     // da39...
}

TEST_CASE("Shards may be listed in any order, and the first stays the first") {
  const auto map = ShardMap::Make({{"high", "8", "f"}, {"low", "0", "7"}});
  REQUIRE(map.ok());
  CHECK(map->name(0) == "high");
  CHECK(map->OfHash(0) == 1);
  CHECK(map->OfHash(kLast) == 0);
  CHECK(map->Find("low") == 1u);
}

TEST_CASE("A shard may own a single hash") {
  const auto map = ShardMap::Make({{"a", "0", "0000000000000000"}, {"b", "0000000000000001", "f"}});
  REQUIRE(map.ok());
  CHECK(map->OfHash(0) == 0);
  CHECK(map->OfHash(1) == 1);
}

TEST_CASE("What does not cover the hashes exactly once is refused by name") {
  struct Case {
    std::vector<ShardSpec> specs;
    std::string refusal;
  };
  const std::string all = "; together the shards must own all of them";
  const std::vector<Case> cases = {
      {{}, "there must be at least one shard"},
      {{{"a", "0", "7f"}, {"b", "81", "ff"}},
       "no shard owns the hashes 8000000000000000-80ffffffffffffff, between shards \"a\" and "
       "\"b\"" +
           all},
      {{{"b", "81", "ff"}, {"a", "0", "7f"}},
       "no shard owns the hashes 8000000000000000-80ffffffffffffff, between shards \"a\" and "
       "\"b\"" +
           all},
      {{{"a", "1", "f"}},
       "no shard owns the hashes 0000000000000000-0fffffffffffffff, below shard \"a\"" + all},
      {{{"a", "0", "e"}},
       "no shard owns the hashes f000000000000000-ffffffffffffffff, above shard \"a\"" + all},
      {{{"a", "0", "80"}, {"b", "80", "f"}},
       "shards \"a\" and \"b\" both own the hashes 8000000000000000-80ffffffffffffff"},
      {{{"a", "0", "f"}, {"b", "4", "7"}},
       "shards \"a\" and \"b\" both own the hashes 4000000000000000-7fffffffffffffff"},
      {{{"a", "0", "f"}, {"b", "0", "f"}},
       "shards \"a\" and \"b\" both own the hashes 0000000000000000-ffffffffffffffff"},
      {{{"a", "0", "7"}, {"b", "7fffffffffffffff", "f"}},
       "shards \"a\" and \"b\" both own the hashes 7fffffffffffffff-7fffffffffffffff"},
      {{{"a", "8", "7"}}, "shard \"a\": from 8000000000000000 is above to 7fffffffffffffff"},
      {{{"a", "0", "7"}, {"a", "8", "f"}}, "two shards are named \"a\""},
      {{{"a", "", "f"}}, "shard \"a\": from is \"\", expected 1 to 16 hexadecimal digits"},
      {{{"a", "0", "0x7"}}, "shard \"a\": to is \"0x7\", expected 1 to 16 hexadecimal digits"},
      {{{"a", "00000000000000000", "f"}},
       "shard \"a\": from is \"00000000000000000\", expected 1 to 16 hexadecimal digits"},
      {{{"", "0", "f"}}, "a shard is named \"\", expected 1 to 32 of a-z, 0-9, _ and -"},
      {{{"A", "0", "f"}}, "a shard is named \"A\", expected 1 to 32 of a-z, 0-9, _ and -"},
      {{{std::string(33, 'a'), "0", "f"}},
       "a shard is named \"" + std::string(33, 'a') + "\", expected 1 to 32 of a-z, 0-9, _ and -"},
  };
  for (const Case& c : cases) CHECK(Refusal(c.specs) == c.refusal);
}

TEST_CASE("Random cuts: every hash has one shard; without one of its ends none has any") {
  const unsigned seed = std::random_device{}();
  INFO("seed " << seed);
  std::mt19937_64 random(seed);
  for (int round = 0; round < 200; ++round) {
    const size_t count = 1 + random() % 64;
    std::vector<uint64_t> starts = {0};
    while (starts.size() < count) starts.push_back(1 + random() % kLast);
    std::sort(starts.begin(), starts.end());
    starts.erase(std::unique(starts.begin(), starts.end()), starts.end());
    std::vector<ShardSpec> specs;
    for (size_t i = 0; i < starts.size(); ++i) {
      const uint64_t last = i + 1 < starts.size() ? starts[i + 1] - 1 : kLast;
      specs.push_back({.name = absl::StrFormat("s%d", i),
                       .from = absl::StrFormat("%016x", starts[i]),
                       .to = absl::StrFormat("%016x", last)});
    }
    std::shuffle(specs.begin(), specs.end(), random);
    const auto map = ShardMap::Make(specs);
    REQUIRE(map.ok());
    for (int i = 0; i < 100; ++i) {
      // Borders and their neighbours as often as anything.
      uint64_t hash = random();
      if (i % 2 == 0) hash = starts[random() % starts.size()] + random() % 3 - 1;
      const size_t owner = map->OfHash(hash);
      size_t owners = 0;
      for (size_t s = 0; s < map->size(); ++s) {
        const bool owns = map->range(s).first <= hash && hash <= map->range(s).last;
        owners += owns ? 1 : 0;
        CHECK(owns == (s == owner));
      }
      CHECK(owners == 1);
    }
    specs.erase(specs.begin() + static_cast<ptrdiff_t>(random() % specs.size()));
    CHECK_FALSE(ShardMap::Make(specs).ok());
  }
}

}  // namespace saldo::shards
