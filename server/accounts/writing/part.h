// How other slices take part in the writer's transactions. A request brings attachments; the part
// that each belongs to checks it under its own row locks, and writes its rows together with the
// request's events, both or neither.
//
//   struct LockTokens : Attachment { ... };
//   class LockTokensBatch : public PartBatch { ... };
//   class LockTokensPart : public WritePart { ... };
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "common/postgres/result.h"
#include "common/postgres/transaction.h"
#include "server/outbox/outbox.h"

namespace saldo::accounts {

class WritePart;
struct Written;

// What a request brings for one part. Immutable: a request may be tried more than once, from the
// writer's thread.
struct Attachment {
  explicit Attachment(const WritePart& its_part) : part(its_part) {}
  virtual ~Attachment() = default;
  // What makes two requests with one id different; nothing for a mere condition.
  virtual std::string Content() const { return ""; }
  // Memory that it holds, roughly: the writer's queue and batches are bounded.
  virtual size_t Bytes() const { return 0; }

  const WritePart& part;
};

// Whether a request can be decided in this batch.
enum class Turn {
  kNow,
  // It needs what an earlier request of the same batch changes to be committed first.
  kNextBatch,
};

// One try to commit one batch, for one part. Made anew for each try.
class PartBatch {
 public:
  virtual ~PartBatch() = default;

  // Leaves its locks and reads to the first round trip (`tx.Defer`), and answers how many
  // statements they are. Takes rows in one and the same order each time, by one statement a table.
  virtual absl::StatusOr<int> Read(postgres::Transaction& tx) = 0;
  // The answers to them, in their order. Not called when there are none.
  virtual absl::Status TakeResults(absl::Span<postgres::Result> results) = 0;

  // Whether a request may do what its attachment says, in the order of requests. Changes nothing:
  // the request may still be rejected by another rule. A status that is not OK rejects it.
  virtual absl::StatusOr<Turn> Check(const Attachment& attachment) const = 0;
  // The request is accepted: later checks see what it changes, and Write writes it.
  virtual void Accept(const Attachment& attachment, const Written& written,
                      std::string_view traceparent) = 0;

  // Leaves its rows to the second round trip, and adds its messages. Not called when no request was
  // accepted.
  virtual absl::Status Write(postgres::Transaction& tx, int64_t batch_id,
                             std::vector<outbox::Message>* messages) = 0;
  // What was accepted is in the database now. To count it.
  virtual void Committed() {}
};

// Outlives the writer. Thread-safe.
class WritePart {
 public:
  virtual ~WritePart() = default;
  // Parts lock their rows in the order of their names.
  virtual std::string_view name() const = 0;
  // `attachments` are those of the batch's requests for this part; they outlive the result.
  virtual std::unique_ptr<PartBatch> Begin(
      absl::Span<const Attachment* const> attachments) const = 0;
};

}  // namespace saldo::accounts
