#include "server/states/event.h"

#include <algorithm>
#include <string>

#include "absl/strings/str_cat.h"
#include "saldo/v1/state_event.pb.h"
#include "server/keys/attributes.h"

namespace saldo::states {
namespace {

constexpr std::string_view kType = "saldo.v1.StateEvent";

// "import_state/17", as keys of account events are.
std::string MessageKey(const StateName& name) {
  std::string key = name.key;
  std::replace(key.begin(), key.end(), keys::kSeparator, '/');
  return absl::StrCat(name.type->name, "/", key);
}

}  // namespace

outbox::Message EventMessage(const Change& change, int64_t version, std::string_view request_id,
                             std::string_view traceparent) {
  v1::StateEvent event;
  event.set_type(change.name.type->name);
  keys::DecodeValues(change.name.type->key, change.name.key, event.mutable_key());
  event.set_version(version);
  event.set_deleted(!change.document.has_value());
  event.set_document(change.document.value_or(""));
  event.set_request_id(std::string(request_id));
  return {.topic = change.name.type->topic,
          .key = MessageKey(change.name),
          .payload = event.SerializeAsString(),
          .type = kType,
          .traceparent = std::string(traceparent)};
}

}  // namespace saldo::states
