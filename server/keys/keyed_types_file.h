// The types of locks and states in the types file: the lists `locks` and `states`, beside the
// account types, which others read. Described in docs/account-types.md. The lists are taken as a
// whole or not at all, and everything that is wrong with them is named (see faults.h).
#pragma once

#include <array>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "server/keys/keyed_types.h"

namespace saldo::keys {

inline constexpr std::string_view kAccountList = "types";
inline constexpr std::array<std::string_view, 2> kKeyedLists = {"locks", "states"};

struct TypesFile {
  std::string path;             // empty: `built_in` is the file
  std::string_view built_in{};  // outlives its users
};

// INVALID_ARGUMENT with the faults.
absl::StatusOr<std::vector<KeyedType>> ReadKeyedTypes(const TypesFile& file);
// The same for the content of a file; `name` stands for the file in faults.
absl::StatusOr<std::vector<KeyedType>> ParseKeyedTypes(const std::string& name,
                                                       const std::string& yaml);

}  // namespace saldo::keys
