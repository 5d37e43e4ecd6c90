#include "server/accounts/types/config.h"

#include <algorithm>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"

namespace saldo::accounts {
namespace {

// The form alone; PostgreSQL knows which there are. An abbreviation or an offset such as "+03"
// would not follow the clock changes of a place.
bool IsTimeZone(const std::string& name) {
  if (name == "UTC") return true;
  return absl::ascii_isupper(static_cast<unsigned char>(name[0])) && absl::StrContains(name, "/") &&
         std::all_of(name.begin(), name.end(), [](char c) {
           return absl::ascii_isalnum(static_cast<unsigned char>(c)) || c == '/' || c == '_' ||
                  c == '-' || c == '+';
         });
}

}  // namespace

void Bind(config::Binder& binder, LedgerConfig& config) {
  binder.String("types_file", &config.types_file, {.min = 0, .max = 4096},
                "YAML file of the account types, read again on SIGHUP; none for a built-in "
                "example");
  binder.String("time_zone", &config.time_zone, {.min = 1, .max = 64},
                "Where the accounting day begins: UTC or Region/City; fixed at the first start");
  binder.Duration("idempotency_retention", &config.idempotency_retention,
                  {.min = absl::Hours(1), .max = absl::Hours(7 * 24)},
                  "How long request ids are remembered at least");
  binder.Check([&config] {
    if (IsTimeZone(config.time_zone)) return absl::OkStatus();
    return absl::InvalidArgumentError("time_zone must be UTC or a Region/City");
  });
}

}  // namespace saldo::accounts
