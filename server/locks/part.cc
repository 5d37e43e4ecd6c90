#include "server/locks/part.h"

#include <set>
#include <tuple>

#include "common/base/status_macros.h"
#include "common/postgres/result.h"
#include "common/postgres/transaction.h"

namespace saldo::locks {
namespace {

using accounts::Attachment;
using accounts::Turn;

// type, key, token
using Name = std::tuple<std::string, std::string, int64_t>;

class LockTokensBatch final : public accounts::PartBatch {
 public:
  explicit LockTokensBatch(absl::Span<const Attachment* const> attachments) {
    std::set<Name> names;
    for (const Attachment* attachment : attachments) {
      for (const LockTokens::Token& token : TokensOf(*attachment)) names.insert(NameOf(token));
    }
    names_.assign(names.begin(), names.end());
  }

  absl::StatusOr<int> Read(postgres::Transaction& tx) override {
    std::vector<std::string> types, keys;
    std::vector<int64_t> tokens;
    for (const auto& [type, key, token] : names_) {
      types.push_back(type);
      keys.push_back(key);
      tokens.push_back(token);
    }
    return ReadGrants(tx, types, keys, tokens);
  }

  absl::Status TakeResults(absl::Span<postgres::Result> results) override {
    SALDO_ASSIGN_OR_RETURN(const std::vector<size_t> held, TakeGrants(results, names_.size()));
    for (const size_t index : held) held_.insert(names_[index]);
    return absl::OkStatus();
  }

  absl::StatusOr<Turn> Check(const Attachment& attachment) const override {
    for (const LockTokens::Token& token : TokensOf(attachment)) {
      if (held_.count(NameOf(token)) == 0) return LockLost(token.lock, token.token);
    }
    return Turn::kNow;
  }

  void Accept(const Attachment&, const accounts::Written&, std::string_view) override {}
  absl::Status Write(postgres::Transaction&, int64_t, std::vector<outbox::Message>*) override {
    return absl::OkStatus();
  }

 private:
  static const std::vector<LockTokens::Token>& TokensOf(const Attachment& attachment) {
    return static_cast<const LockTokens&>(attachment).tokens;
  }
  static Name NameOf(const LockTokens::Token& token) {
    return {token.lock.type->name, token.lock.key, token.token};
  }

  std::vector<Name> names_;  // in their order
  std::set<Name> held_;
};

}  // namespace

size_t LockTokens::Bytes() const {
  size_t bytes = sizeof *this;
  for (const Token& token : tokens) bytes += sizeof token + token.lock.key.size();
  return bytes;
}

std::unique_ptr<accounts::PartBatch> LockTokensPart::Begin(
    absl::Span<const Attachment* const> attachments) const {
  return std::make_unique<LockTokensBatch>(attachments);
}

}  // namespace saldo::locks
