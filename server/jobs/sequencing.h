// The pure part of the sequencer: which batches get which seq, and which ids are still waited for.
//
// Batch ids come from a sequence inside transactions, so they become visible out of order: an id
// below the highest visible one may belong to a transaction that still runs, or to one that rolled
// back. Such ids are gaps. A gap is given up once every transaction that had an xid when it was
// noticed has ended: its own was among them, for a transaction has its xid before it takes a batch
// id. The xid of any transaction that begins after that bounds theirs. (A snapshot's own xmax does
// not: it is one past the highest xid that has ended, and transactions above it may run.)
#pragma once

#include <cstdint>
#include <map>
#include <vector>

#include "absl/time/time.h"

namespace saldo::jobs {

struct VisibleBatch {
  int64_t batch_id;
  absl::Time created_at;
  int32_t messages;
  int64_t message_bytes;
};

// What one look at the database showed: all batches above Sequencing::scanned_to (or the first of
// them, complete up to the last), and those of Sequencing::Gaps() that are there now, all by one
// snapshot.
struct Observation {
  uint64_t xmin;                      // every transaction below has ended
  std::vector<VisibleBatch> batches;  // by batch_id
};

struct SequencedBatch {
  int64_t seq;
  int64_t messages_before;
  VisibleBatch batch;
};

class Sequencing {
 public:
  // So many ids between two visible batches are more than can be in flight: after a restored
  // backup, say. Only as many as this at either end are then waited for.
  static constexpr int64_t kHoleMax = 10'000;

  Sequencing() = default;
  // As stored by the pass before, perhaps of another process; `xid` is that of a transaction that
  // began later.
  Sequencing(int64_t last_seq, int64_t last_message, int64_t scanned_to,
             const std::vector<int64_t>& gaps, uint64_t xid);

  // Gives every batch of the observation its seq, in the order of ids, and moves on.
  std::vector<SequencedBatch> Take(const Observation& observation);
  // To be told after Take, before the next: the xid of a transaction that began after the
  // observation was made. Gaps that it noted are kept until then.
  void BoundGaps(uint64_t xid);

  int64_t last_seq() const { return last_seq_; }
  // Messages of all sequenced batches.
  int64_t last_message() const { return last_message_; }
  int64_t scanned_to() const { return scanned_to_; }
  std::vector<int64_t> Gaps() const;

 private:
  void NoteGaps(int64_t from, int64_t to);

  int64_t last_seq_ = 0;
  int64_t last_message_ = 0;
  int64_t scanned_to_ = 0;
  std::map<int64_t, uint64_t> gaps_;  // id -> what its transaction's xid is below; 0: not yet known
};

}  // namespace saldo::jobs
