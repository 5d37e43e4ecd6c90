// From what a user types to the sharding key. Pure.
#pragma once

#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "cli/shard/store.h"

namespace saldo::cli::shard {

// The type of this name, which may be written KIND:NAME where two kinds share it. A usage error
// says what there is.
absl::StatusOr<KeyedType> FindType(const std::vector<KeyedType>& types, const std::string& wanted);

// The values of the type's sharding attributes out of KEY=VALUE texts, in the order of the key, as
// servers write them. Other attributes of the key may be there, and need not. A usage error names
// what is missing, unknown, given twice or no value.
absl::StatusOr<std::vector<std::string>> ShardingValues(const KeyedType& type,
                                                        absl::Span<const std::string> pairs);

}  // namespace saldo::cli::shard
