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
    if (batch.batch_id > scanned_to_ && !ScanTo(batch.batch_id, observation.xmin)) break;
    sequenced.push_back({++last_seq_, last_message_, batch});
    last_message_ += batch.messages;
    gaps_.erase(batch.batch_id);
  }
  for (auto gap = gaps_.begin(); gap != gaps_.end();) {
    const bool ended = gap->second != 0 && gap->second <= observation.xmin;
    gap = ended ? gaps_.erase(gap) : std::next(gap);
  }
  return sequenced;
}

bool Sequencing::ScanTo(int64_t batch_id, uint64_t xmin) {
  int64_t from = scanned_to_ + 1;
  const bool ended = hole_bound_ != 0 && hole_bound_ <= xmin;
  if (ended) from = std::max(from, hole_end_);
  if (batch_id - from > kHoleMax) {
    // Below the known end, its bound holds.
    if (batch_id > hole_end_) {
      hole_end_ = batch_id;
      hole_bound_ = 0;
    }
    return false;
  }
  for (int64_t id = from; id < batch_id; ++id) gaps_.emplace_hint(gaps_.end(), id, 0);
  scanned_to_ = batch_id;
  return true;
}

void Sequencing::BoundGaps(uint64_t xid) {
  for (auto& [id, bound] : gaps_) {
    if (bound == 0) bound = xid;
  }
  if (hole_bound_ == 0) hole_bound_ = xid;
}

std::vector<int64_t> Sequencing::Gaps() const {
  std::vector<int64_t> ids;
  ids.reserve(gaps_.size());
  for (const auto& [id, bound] : gaps_) ids.push_back(id);
  return ids;
}

}  // namespace saldo::jobs
