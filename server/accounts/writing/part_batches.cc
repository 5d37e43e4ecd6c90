#include "server/accounts/writing/part_batches.h"

#include <algorithm>

#include "common/base/status_macros.h"

namespace saldo::accounts {

PartBatches::PartBatches(absl::Span<const WriteRequest* const> requests) {
  for (const WriteRequest* request : requests) {
    for (const auto& attachment : request->attachments) {
      auto entry = std::find_if(entries_.begin(), entries_.end(),
                                [&](const Entry& e) { return e.part == &attachment->part; });
      if (entry == entries_.end())
        entry = entries_.insert(entry, Entry{.part = &attachment->part, .attachments = {}});
      entry->attachments.push_back(attachment.get());
    }
  }
  std::sort(entries_.begin(), entries_.end(),
            [](const Entry& a, const Entry& b) { return a.part->name() < b.part->name(); });
  for (Entry& entry : entries_) entry.batch = entry.part->Begin(entry.attachments);
}

absl::StatusOr<int> PartBatches::Read(postgres::Transaction& tx) {
  int statements = 0;
  for (Entry& entry : entries_) {
    SALDO_ASSIGN_OR_RETURN(entry.statements, entry.batch->Read(tx));
    statements += entry.statements;
  }
  return statements;
}

absl::Status PartBatches::TakeResults(absl::Span<postgres::Result> results) {
  for (Entry& entry : entries_) {
    if (entry.statements == 0) continue;
    const auto count = static_cast<size_t>(entry.statements);
    SALDO_RETURN_IF_ERROR(entry.batch->TakeResults(results.subspan(0, count)));
    results.remove_prefix(count);
  }
  return absl::OkStatus();
}

absl::StatusOr<Turn> PartBatches::Check(const WriteRequest& request) const {
  Turn turn = Turn::kNow;
  for (const auto& attachment : request.attachments) {
    SALDO_ASSIGN_OR_RETURN(const Turn its, BatchOf(*attachment).Check(*attachment));
    if (its == Turn::kNextBatch) turn = its;
  }
  return turn;
}

void PartBatches::Accept(const WriteRequest& request, const Written& written,
                         std::string_view traceparent) {
  for (const auto& attachment : request.attachments)
    BatchOf(*attachment).Accept(*attachment, written, traceparent);
}

absl::Status PartBatches::Write(postgres::Transaction& tx, int64_t batch_id,
                                std::vector<outbox::Message>* messages) {
  for (Entry& entry : entries_) SALDO_RETURN_IF_ERROR(entry.batch->Write(tx, batch_id, messages));
  return absl::OkStatus();
}

void PartBatches::Committed() {
  for (Entry& entry : entries_) entry.batch->Committed();
}

PartBatch& PartBatches::BatchOf(const Attachment& attachment) const {
  return *std::find_if(entries_.begin(), entries_.end(), [&](const Entry& entry) {
            return entry.part == &attachment.part;
          })->batch;
}

}  // namespace saldo::accounts
