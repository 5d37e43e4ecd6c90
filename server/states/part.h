// Changes of states in the transactions of the ledger's writer.
#pragma once

#include <cstddef>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "common/observability/metrics.h"
#include "server/accounts/writing/part.h"
#include "server/keys/keyed_types.h"
#include "server/states/rules.h"

namespace saldo::states {

// What a request changes, no state twice.
struct StateChanges final : accounts::Attachment {
  // `changes` were checked by `its_types`; `its_request_id` is as the caller gave it.
  StateChanges(const accounts::WritePart& its_part,
               std::shared_ptr<const keys::KeyedTypes> its_types, std::string its_request_id,
               std::vector<Change> its_changes);
  std::string Content() const override;
  size_t Bytes() const override;

  const std::shared_ptr<const keys::KeyedTypes> types;
  const std::string request_id;
  const std::vector<Change> changes;
};

// The versions of a state grow from batch to batch, so a batch changes it at most once: another
// change waits for the next batch, unless the version that it expects is wrong already.
class StatesPart final : public accounts::WritePart {
 public:
  // `registry` outlives it.
  explicit StatesPart(metrics::Registry& registry);

  std::string_view name() const override { return "states"; }
  std::unique_ptr<accounts::PartBatch> Begin(
      absl::Span<const accounts::Attachment* const> attachments) const override;

  struct Metrics {
    metrics::Counter& puts;
    metrics::Counter& deletes;
    metrics::Counter& conflicts;
  };

 private:
  const Metrics metrics_;
};

}  // namespace saldo::states
