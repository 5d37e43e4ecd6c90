// What subscribers hear of a change. Pure.
#pragma once

#include <cstdint>
#include <string_view>

#include "server/outbox/outbox.h"
#include "server/states/rules.h"

namespace saldo::states {

// The message about `change`, whose type has a topic and outlives the message.
outbox::Message EventMessage(const Change& change, int64_t version, std::string_view request_id,
                             std::string_view traceparent);

}  // namespace saldo::states
