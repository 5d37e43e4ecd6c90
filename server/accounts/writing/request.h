// A request to write events, as the writer takes it, and what it answers.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/time/time.h"
#include "common/base/decimal.h"
#include "server/accounts/types/account_type.h"
#include "server/accounts/writing/part.h"

namespace saldo::accounts {

// Of a request's content: two requests with one id and one fingerprint are the same.
using Fingerprint = std::array<char, 16>;

// One event that is to be written.
struct Posting {
  const AccountType* type;  // one of WriteRequest::types
  std::string key;          // encoded, see attributes.h
  std::string attributes;   // the same
  bool is_credit = false;
  Decimal amount;
  absl::Time occurred_at;  // microseconds
  std::string info;
  // The message to subscribers but for what only the writer knows: the batch, ids and balance, see
  // AppendIds. Empty for none.
  std::string message;
  // What the message is, and its key; those of an AccountEvent by default.
  std::string_view message_type = "saldo.v1.AccountEvent";
  std::string message_key;
};

// An account that is made, with a limit of its own. ALREADY_EXISTS {ACCOUNT_EXISTS} when it is
// there.
struct Opening {
  const AccountType* type;  // keeps balances, has no auxiliary attributes
  std::string key;
  Decimal min_balance;
};

// An account that takes no more events. FAILED_PRECONDITION {ACCOUNT_NOT_EMPTY} when its balance is
// not zero.
struct Closing {
  const AccountType* type;  // keeps balances, has no auxiliary attributes
  std::string key;
};

struct WriteRequest {
  std::shared_ptr<const AccountTypes> types;
  std::string id;
  Fingerprint fingerprint{};
  bool balanced = false;
  bool dry_run = false;
  // May be empty where there is something else to write.
  std::vector<Posting> postings;
  std::vector<Opening> openings;
  std::vector<Closing> closings;
  std::vector<std::shared_ptr<const Attachment>> attachments;
};

struct WrittenPosting {
  int64_t subaccount_id = 0;  // 0 for a new one that a dry run would make
  std::optional<Decimal> balance_after;
  int scale = 0;  // for printing it
};

struct Written {
  int64_t batch_id = 0;  // 0 for a dry run
  int32_t first_ordinal = 0;
  std::vector<WrittenPosting> postings;
};

}  // namespace saldo::accounts
