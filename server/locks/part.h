// Lock tokens as conditions of the ledger's writes: checked in the transaction that writes, which
// holds on to the grants until it has committed.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "absl/types/span.h"
#include "server/accounts/writing/part.h"
#include "server/locks/store.h"

namespace saldo::locks {

// The grants that a request rests on. A mere condition: it does not make another request of it.
struct LockTokens final : accounts::Attachment {
  struct Token {
    LockName lock;
    int64_t token = 0;
  };

  LockTokens(const accounts::WritePart& its_part, std::vector<Token> its_tokens)
      : Attachment(its_part), tokens(std::move(its_tokens)) {}
  size_t Bytes() const override;

  const std::vector<Token> tokens;
};

class LockTokensPart final : public accounts::WritePart {
 public:
  std::string_view name() const override { return "locks"; }
  std::unique_ptr<accounts::PartBatch> Begin(
      absl::Span<const accounts::Attachment* const> attachments) const override;
};

}  // namespace saldo::locks
