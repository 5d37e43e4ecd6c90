// What subscribers hear of an event. Pure.
#pragma once

#include <string>
#include <string_view>

#include "saldo/v1/account_service.pb.h"
#include "server/accounts/writing/request.h"

namespace saldo::accounts {

// A serialised saldo.v1.AccountEvent that lacks what the writer adds.
std::string MessageWithoutIds(const v1::NewEvent& event, const Posting& posting,
                              std::string_view request_id);

// What the writer adds, appended to such a message: Protobuf merges concatenated messages. A
// message of another type has these fields under the same numbers.
struct EventIds {
  int64_t batch_id;
  int32_t ordinal;
};
void AppendIds(const EventIds& ids, const WrittenPosting& written, std::string* message);

// The account, "client_wallet/17/RUB": Kafka keeps the order of messages with one key.
std::string MessageKey(const Posting& posting);

}  // namespace saldo::accounts
