// The parts of other slices that the requests of one batch bring along.
#pragma once

#include <cstdint>
#include <memory>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "server/accounts/writing/part.h"
#include "server/accounts/writing/request.h"

namespace saldo::accounts {

class PartBatches {
 public:
  // One for each part that any of `requests` has an attachment for.
  explicit PartBatches(absl::Span<const WriteRequest* const> requests);

  // As the methods of PartBatch, for all of them.
  absl::StatusOr<int> Read(postgres::Transaction& tx);
  absl::Status TakeResults(absl::Span<postgres::Result> results);
  absl::StatusOr<Turn> Check(const WriteRequest& request) const;
  void Accept(const WriteRequest& request, const Written& written, std::string_view traceparent);
  absl::Status Write(postgres::Transaction& tx, int64_t batch_id,
                     std::vector<outbox::Message>* messages);
  void Committed();

 private:
  struct Entry {
    const WritePart* part;
    std::vector<const Attachment*> attachments;
    std::unique_ptr<PartBatch> batch = nullptr;
    int statements = 0;
  };
  PartBatch& BatchOf(const Attachment& attachment) const;

  std::vector<Entry> entries_;  // by name
};

}  // namespace saldo::accounts
