// Transfers between shards. The payer's shard is debited first, with the amount in transit and a
// row that says so; then the payee's is credited, or refuses for good; last the payer's is settled
// or refunded. Every step is one transaction of one shard, done once however often it is tried, so
// whoever comes by may go on from where the last one stopped.
#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "absl/base/thread_annotations.h"
#include "absl/functional/any_invocable.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "saldo/v1/wallet_service.pb.h"
#include "server/wallets/core.h"

namespace saldo::wallets {

class TransferDriver {
 public:
  struct Outcome {
    v1::TransferState state = v1::TRANSFER_STATE_DEBITED;
    std::string refund_reason;
  };
  using Done = absl::AnyInvocable<void(Outcome)>;

  // `core` outlives the driver.
  explicit TransferDriver(WalletCore& core) : core_(core) {}

  // Takes a debited transfer as far as it goes now. `done` gets the state that it has reached:
  // TRANSFER_STATE_DEBITED when a shard is away or busy, and a later try goes on. `caller` stays
  // valid until `done`, which is called once, by any thread, and must not block.
  void Drive(TransferRow transfer, const Caller& caller, Done done);

  // The steps one by one. The payee's: empty when it was credited, else why it was refused for
  // good; an error leaves it open.
  using Decided = absl::AnyInvocable<void(absl::StatusOr<std::string> refused_reason)>;
  void Decide(const TransferRow& transfer, const Caller& caller, Decided decided);
  // The payer's: settled, or refunded when there is a reason.
  void End(const TransferRow& transfer, const std::string& refund_reason, const Caller& caller,
           absl::AnyInvocable<void(absl::Status)> ended);

 private:
  // The payee's shard has decided already: asks it what. DATA_LOSS when it was about another
  // transfer: one of the two databases has come back from a backup.
  void AskDecision(const TransferRow& transfer, const Caller& caller, Decided decided);
  void Refuse(const TransferRow& transfer, const std::string& reason, const Caller& caller,
              Decided decided);

  // Why one stays as it is: while a shard is away that is so for many, so only some are logged.
  // Those that people have to decide are told apart from those that merely wait.
  void LogLeft(const char* at, const TransferRow& transfer, const absl::Status& status);

  WalletCore& core_;
  absl::Mutex mutex_;
  struct LogLimit {
    absl::Time again_at = absl::InfinitePast();
    int64_t unlogged = 0;
  };
  LogLimit waiting_ ABSL_GUARDED_BY(mutex_);
  LogLimit undecidable_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace saldo::wallets
