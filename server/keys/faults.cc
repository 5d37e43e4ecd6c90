#include "server/keys/faults.h"

#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"

namespace saldo::keys {

absl::Status ToStatus(absl::StatusCode code, const Faults& faults) {
  return faults.empty() ? absl::OkStatus() : absl::Status(code, absl::StrJoin(faults, "\n"));
}

Faults FaultsOf(const absl::Status& status) { return absl::StrSplit(status.message(), '\n'); }

}  // namespace saldo::keys
