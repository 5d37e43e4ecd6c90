// What subscribers hear of a change. Pure.
#pragma once

#include <cstdint>
#include <string_view>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "hablof/proto/v1/package_event.pb.h"
#include "server/outbox/outbox.h"
#include "server/packages/rules.h"

namespace saldo::packages {

struct Change {
  int64_t event_id;
  hablof::proto::v1::EventType type;
  absl::Time made;
};

// The message about `change`; `package` is as it left it, or was before it was removed. `topic`
// outlives the message.
absl::StatusOr<outbox::Message> EventMessage(std::string_view topic, const Change& change,
                                             const Package& package);

}  // namespace saldo::packages
