#include "server/jobs/sequencing.h"

#include <algorithm>

namespace saldo::jobs {

Sequencing::Sequencing(int64_t last_seq, int64_t last_message, int64_t scanned_to,
                       const std::vector<int64_t>& gaps, uint64_t xid)
    : last_seq_(last_seq), last_message_(last_message), scanned_to_(scanned_to) {
  for (const int64_t gap : gaps) gaps_[gap] = xid;
}

std::vector<SequencedBatch> Sequencing::Take(const Observation& observation) {
  std::vector<SequencedBatch> sequenced;
  sequenced.reserve(observation.batches.size());
  for (const VisibleBatch& batch : observation.batches) {
    sequenced.push_back({++last_seq_, last_message_, batch});
    last_message_ += batch.messages;
    gaps_.erase(batch.batch_id);
  }
  for (auto gap = gaps_.begin(); gap != gaps_.end();) {
    const bool ended = gap->second != 0 && gap->second <= observation.xmin;
    gap = ended ? gaps_.erase(gap) : std::next(gap);
  }
  for (const VisibleBatch& batch : observation.batches) {
    if (batch.batch_id <= scanned_to_) continue;
    NoteGaps(scanned_to_ + 1, batch.batch_id);
    scanned_to_ = batch.batch_id;
  }
  return sequenced;
}

void Sequencing::BoundGaps(uint64_t xid) {
  for (auto& [id, bound] : gaps_) {
    if (bound == 0) bound = xid;
  }
}

void Sequencing::NoteGaps(int64_t from, int64_t to) {
  const bool too_wide = to - from > 2 * kHoleMax;
  for (int64_t id = from; id < to; ++id) {
    if (too_wide && id == from + kHoleMax) id = to - kHoleMax;
    gaps_.emplace_hint(gaps_.end(), id, 0);
  }
}

std::vector<int64_t> Sequencing::Gaps() const {
  std::vector<int64_t> ids;
  ids.reserve(gaps_.size());
  for (const auto& [id, bound] : gaps_) ids.push_back(id);
  return ids;
}

}  // namespace saldo::jobs
