#include "common/shards/shard_map.h"

#include <openssl/sha.h>

#include <algorithm>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "common/base/status_macros.h"

namespace saldo::shards {
namespace {

constexpr size_t kNameLengthMax = 32;
constexpr size_t kDigits = 16;
constexpr char kSeparator = '\x1f';

bool IsName(const std::string& name) {
  const auto allowed = [](char c) {
    return absl::ascii_islower(static_cast<unsigned char>(c)) ||
           absl::ascii_isdigit(static_cast<unsigned char>(c)) || c == '_' || c == '-';
  };
  return !name.empty() && name.size() <= kNameLengthMax &&
         std::all_of(name.begin(), name.end(), allowed);
}

std::string Hex(uint64_t value) { return absl::StrFormat("%016x", value); }

// `rest` stands for the digits that are not given.
absl::StatusOr<uint64_t> ParseEnd(const ShardSpec& spec, std::string_view key,
                                  const std::string& digits, char rest) {
  const auto is_digit = [](char c) { return absl::ascii_isxdigit(static_cast<unsigned char>(c)); };
  if (digits.empty() || digits.size() > kDigits ||
      !std::all_of(digits.begin(), digits.end(), is_digit)) {
    return absl::InvalidArgumentError(absl::StrFormat(
        "shard \"%s\": %s is \"%s\", expected 1 to 16 hexadecimal digits", spec.name, key, digits));
  }
  const std::string all = digits + std::string(kDigits - digits.size(), rest);
  return std::stoull(all, nullptr, 16);
}

}  // namespace

std::string ToString(Range range) { return absl::StrCat(Hex(range.first), "-", Hex(range.last)); }

std::string ShardingKey(absl::Span<const std::string_view> values) {
  std::string key;
  for (size_t i = 0; i < values.size(); ++i) {
    if (i > 0) key.push_back(kSeparator);
    key.append(values[i]);
  }
  return key;
}

uint64_t HashOf(std::string_view sharding_key) {
  unsigned char digest[SHA_DIGEST_LENGTH];
  SHA1(reinterpret_cast<const unsigned char*>(sharding_key.data()), sharding_key.size(), digest);
  uint64_t hash = 0;
  for (size_t i = 0; i < sizeof hash; ++i) hash = hash << 8 | digest[i];
  return hash;
}

ShardMap::ShardMap() : shards_{{.name = kOnlyShard, .range = {}}}, order_{0} {}

absl::StatusOr<ShardMap> ShardMap::Make(const std::vector<ShardSpec>& specs) {
  if (specs.empty()) return absl::InvalidArgumentError("there must be at least one shard");
  ShardMap map;
  map.shards_.clear();
  for (const ShardSpec& spec : specs) {
    if (!IsName(spec.name)) {
      return absl::InvalidArgumentError(
          absl::StrFormat("a shard is named \"%s\", expected 1 to %d of a-z, 0-9, _ and -",
                          spec.name, kNameLengthMax));
    }
    if (map.Find(spec.name).has_value()) {
      return absl::InvalidArgumentError(absl::StrFormat("two shards are named \"%s\"", spec.name));
    }
    Shard shard{.name = spec.name, .range = {}};
    SALDO_ASSIGN_OR_RETURN(shard.range.first, ParseEnd(spec, "from", spec.from, '0'));
    SALDO_ASSIGN_OR_RETURN(shard.range.last, ParseEnd(spec, "to", spec.to, 'f'));
    if (shard.range.last < shard.range.first) {
      return absl::InvalidArgumentError(absl::StrFormat("shard \"%s\": from %s is above to %s",
                                                        spec.name, Hex(shard.range.first),
                                                        Hex(shard.range.last)));
    }
    map.shards_.push_back(std::move(shard));
  }
  map.order_ = map.InOrder();
  SALDO_RETURN_IF_ERROR(map.CheckCoverage());
  return map;
}

std::vector<size_t> ShardMap::InOrder() const {
  std::vector<size_t> order(shards_.size());
  for (size_t i = 0; i < order.size(); ++i) order[i] = i;
  std::stable_sort(order.begin(), order.end(), [this](size_t a, size_t b) {
    return shards_[a].range.first < shards_[b].range.first;
  });
  return order;
}

absl::Status ShardMap::CheckCoverage() const {
  const auto none = [](uint64_t first, uint64_t last, const std::string& where) {
    return absl::InvalidArgumentError(absl::StrCat("no shard owns the hashes ",
                                                   ToString({first, last}), ", ", where,
                                                   "; together the shards must own all of them"));
  };
  const Shard& lowest = shards_[order_.front()];
  if (lowest.range.first != 0) {
    return none(0, lowest.range.first - 1, absl::StrFormat("below shard \"%s\"", lowest.name));
  }
  for (size_t i = 1; i < order_.size(); ++i) {
    const Shard& before = shards_[order_[i - 1]];
    const Shard& here = shards_[order_[i]];
    if (here.range.first <= before.range.last) {
      const Range both{here.range.first, std::min(here.range.last, before.range.last)};
      return absl::InvalidArgumentError(
          absl::StrFormat("shards \"%s\" and \"%s\" both own the hashes %s", before.name, here.name,
                          ToString(both)));
    }
    // No overflow: `here` begins above `before`'s end.
    if (here.range.first != before.range.last + 1) {
      return none(before.range.last + 1, here.range.first - 1,
                  absl::StrFormat("between shards \"%s\" and \"%s\"", before.name, here.name));
    }
  }
  const Shard& highest = shards_[order_.back()];
  if (highest.range.last != Range{}.last) {
    return none(highest.range.last + 1, Range{}.last,
                absl::StrFormat("above shard \"%s\"", highest.name));
  }
  return absl::OkStatus();
}

size_t ShardMap::Of(std::string_view sharding_key) const {
  return shards_.size() == 1 ? 0 : OfHash(HashOf(sharding_key));
}

size_t ShardMap::OfHash(uint64_t hash) const {
  const auto after = std::upper_bound(
      order_.begin(), order_.end(), hash,
      [this](uint64_t value, size_t shard) { return value < shards_[shard].range.first; });
  // The lowest shard begins at 0, so there is one before.
  return *(after - 1);
}

std::optional<size_t> ShardMap::Find(std::string_view name) const {
  for (size_t i = 0; i < shards_.size(); ++i) {
    if (shards_[i].name == name) return i;
  }
  return std::nullopt;
}

}  // namespace saldo::shards
