#include "server/states/extension.h"

#include <utility>
#include <vector>

#include "common/base/status_macros.h"
#include "server/accounts/writing/fingerprint.h"
#include "server/states/rules.h"

namespace saldo::states {

absl::Status StateExtension::Extend(const v1::WriteEventsRequest& request, size_t shard,
                                    accounts::WriteRequest* checked) const {
  if (request.states().empty()) return absl::OkStatus();
  std::shared_ptr<const keys::KeyedTypes> types = types_(shard);
  if (types == nullptr) return absl::UnavailableError("the types of states are not loaded yet");
  SALDO_ASSIGN_OR_RETURN(std::vector<Change> changes,
                         CheckStates(request, *types, map_, shard, *checked));
  accounts::Attach(std::make_shared<StateChanges>(part_, std::move(types), request.request_id(),
                                                  std::move(changes)),
                   checked);
  return absl::OkStatus();
}

}  // namespace saldo::states
