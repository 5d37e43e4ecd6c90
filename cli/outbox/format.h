// What `saldo outbox` prints.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "cli/outbox/store.h"

namespace saldo::cli::outbox {

// For people. Several lines.
std::string StatusText(const Status& status);
// One JSON object and a newline. Times are RFC 3339 in UTC, ages are in seconds.
std::string StatusJson(const Status& status);

struct ShardStatus {
  std::string name;
  absl::StatusOr<Status> status;
};
// {"shards": [...]}: each with its name, its error or null, and its status or null.
std::string StatusJson(const std::vector<ShardStatus>& shards);

// A table, and a line that counts: `waiting` of them there are in all.
std::string DeadText(const std::vector<DeadLetter>& letters, int64_t waiting);

// `bytes` on one line: what is not printable ASCII, and the backslash, as \xNN. Cut to `limit`
// bytes, which "..." then shows.
std::string Printable(std::string_view bytes, size_t limit);

}  // namespace saldo::cli::outbox
