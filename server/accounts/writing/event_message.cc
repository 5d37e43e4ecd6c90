#include "server/accounts/writing/event_message.h"

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "saldo/v1/account_event.pb.h"
#include "server/accounts/types/attributes.h"

namespace saldo::accounts {
std::string MessageWithoutIds(const v1::NewEvent& event, const Posting& posting,
                              std::string_view request_id) {
  v1::AccountEvent message;
  *message.mutable_account() = event.account();
  *message.mutable_attributes() = event.attributes();
  message.set_side(event.side());
  message.set_amount(posting.amount.ToString(posting.type->scale));
  const int64_t micros = absl::ToUnixMicros(posting.occurred_at);
  message.mutable_occurred_at()->set_seconds(micros / 1'000'000);
  message.mutable_occurred_at()->set_nanos(static_cast<int32_t>(micros % 1'000'000) * 1000);
  message.set_info(posting.info);
  message.set_request_id(std::string(request_id));
  std::string bytes;
  // Room for what AppendIds adds.
  bytes.reserve(message.ByteSizeLong() + 64);
  message.AppendToString(&bytes);
  return bytes;
}

void AppendIds(const EventIds& ids, const WrittenPosting& written, std::string* message) {
  v1::AccountEvent rest;
  rest.set_batch_id(ids.batch_id);
  rest.set_ordinal(ids.ordinal);
  rest.set_subaccount_id(written.subaccount_id);
  if (written.balance_after.has_value()) {
    rest.set_balance_after(written.balance_after->ToString(written.scale));
  }
  rest.AppendToString(message);
}

std::string MessageKey(const Posting& posting) {
  std::string key = absl::StrCat(posting.type->name, "/", posting.key);
  std::replace(key.begin() + static_cast<std::ptrdiff_t>(posting.type->name.size()), key.end(),
               keys::kSeparator, '/');
  return key;
}

}  // namespace saldo::accounts
