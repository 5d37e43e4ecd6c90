// Which shard owns what: each shard has a range of hashes, and together they cover all hashes
// exactly once. Pure.
#pragma once

#include <cstddef>
#include <cstdint>
#include <limits>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/types/span.h"

namespace saldo::shards {

// The name of the only shard where none is configured.
inline constexpr char kOnlyShard[] = "0";

// Both ends belong to it.
struct Range {
  uint64_t first = 0;
  uint64_t last = std::numeric_limits<uint64_t>::max();

  bool operator==(const Range&) const = default;
};

// "8000000000000000-ffffffffffffffff".
std::string ToString(Range range);

// The values of the attributes that a thing is sharded by, in the order of its key, as one text.
// The name of the thing's type is no part of it, so all that belongs to one client is together.
std::string ShardingKey(absl::Span<const std::string_view> values);

// The first 64 bits of the SHA-1, the first byte highest.
uint64_t HashOf(std::string_view sharding_key);

// A shard as it is written in a configuration: from and to have 1 to 16 hexadecimal digits; the
// rest is 0s in `from` and fs in `to`, so "00" to "7f" is the lower half.
struct ShardSpec {
  std::string name;
  std::string from;
  std::string to;
};

class ShardMap {
 public:
  // One shard that owns everything.
  ShardMap();
  // INVALID_ARGUMENT says which shards leave a gap or overlap, or whose name is bad or taken. A
  // name has 1 to 32 of a-z, 0-9, _ and -.
  static absl::StatusOr<ShardMap> Make(const std::vector<ShardSpec>& specs);

  // At least one. Shards are numbered as listed; the first is the home of all that is not sharded.
  size_t size() const { return shards_.size(); }
  size_t Of(std::string_view sharding_key) const;
  size_t OfHash(uint64_t hash) const;
  const std::string& name(size_t shard) const { return shards_[shard].name; }
  Range range(size_t shard) const { return shards_[shard].range; }
  std::optional<size_t> Find(std::string_view name) const;

 private:
  struct Shard {
    std::string name;
    Range range;
  };

  absl::Status CheckCoverage() const;
  std::vector<size_t> InOrder() const;

  std::vector<Shard> shards_;
  // Sorted by the range's start, for the search.
  std::vector<size_t> order_;
};

}  // namespace saldo::shards
