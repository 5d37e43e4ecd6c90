// The file of account types: YAML, described in docs/account-types.md. A file is taken as a whole
// or not at all, and everything that is wrong with it is named (see faults.h).
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "server/accounts/types/account_type.h"
#include "server/keys/definition.h"

namespace saldo::accounts {

using keys::kTypesMax;

// The types have no ids; keeps_balance says whether they have limits. INVALID_ARGUMENT with the
// faults.
absl::StatusOr<std::vector<AccountType>> ReadTypes(const std::string& path);
// The same for the content of a file; `name` stands for the file in faults.
absl::StatusOr<std::vector<AccountType>> ParseTypes(const std::string& name,
                                                    const std::string& yaml);

// The example that is used when no file is configured, for ParseTypes.
std::string_view DefaultTypesYaml();

// No type of a file may have the topic of one of the program's own types, whose events others
// expect there. INVALID_ARGUMENT with the faults.
absl::Status CheckTopics(const std::vector<AccountType>& types,
                         const std::vector<AccountType>& built_in);

// Events must be kept at least as long as the keys that make their writing idempotent: the answer
// to a repeated request is read from them.
absl::Status CheckRetention(const std::vector<AccountType>& types,
                            absl::Duration idempotency_retention);

}  // namespace saldo::accounts
