// What `saldo shard` prints.
#pragma once

#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "cli/shard/store.h"
#include "common/shards/shard_map.h"

namespace saldo::cli::shard {

struct Report {
  std::string name;
  shards::Range range;
  absl::StatusOr<Figures> figures;  // or why there are none
};

// A table for people.
std::string StatusText(const std::vector<Report>& reports);
// {"shards": [...]}
std::string StatusJson(const std::vector<Report>& reports);

struct Place {
  std::string shard;
  shards::Range range;
  uint64_t hash = 0;
};

std::string PlaceText(const Place& place);
std::string PlaceJson(const Place& place);

}  // namespace saldo::cli::shard
