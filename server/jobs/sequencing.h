// The pure part of the sequencer: which batches get which seq, and which ids are still waited for.
//
// Batch ids come from a sequence inside transactions, so they become visible out of order: an id
// below the highest visible one may belong to a transaction that still runs, or to one that rolled
// back. Such ids are gaps. A gap is given up once every transaction that had an xid when it was
// noticed has ended: its own was among them, for a transaction has its xid before it takes a batch
// id. The xid of any transaction that begins after that bounds theirs. (A snapshot's own xmax does
// not: it is one past the highest xid that has ended, and transactions above it may run.)
//
// A hole too wide to be kept as gaps is waited for as a whole, by the same rule: nothing after it
// gets a seq until every transaction that may have an id in it has ended. What it then still lacks
// was rolled back or wrote nothing. That is rare, and delays the batches after it by the rest of
// the longest transaction that was running.
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
  // More ids than this between two visible batches are not kept as gaps, but waited for as a whole:
  // transactions that wrote nothing have taken them, say, or a backup was restored.
  static constexpr int64_t kHoleMax = 20'000;

  Sequencing() = default;
  // As stored by the pass before, perhaps of another process; `xid` is that of a transaction that
  // began later.
  Sequencing(int64_t last_seq, int64_t last_message, int64_t scanned_to,
             const std::vector<int64_t>& gaps, uint64_t xid);

  // Gives every batch of the observation its seq, in the order of ids, and moves on; or as far as
  // a hole that has to be waited for.
  std::vector<SequencedBatch> Take(const Observation& observation);
  // To be told after Take, before the next: the xid of a transaction that began after the
  // observation was made. Gaps and the hole that it noted are kept until then.
  void BoundGaps(uint64_t xid);
  // A hole was noticed that BoundGaps has not been told of, though Take may have given out nothing.
  bool awaits_bound() const { return hole_end_ > scanned_to_ && hole_bound_ == 0; }

  int64_t last_seq() const { return last_seq_; }
  // Messages of all sequenced batches.
  int64_t last_message() const { return last_message_; }
  int64_t scanned_to() const { return scanned_to_; }
  std::vector<int64_t> Gaps() const;

 private:
  // Moves on to a batch; the ids before it become gaps. False when they are a hole to be waited
  // for.
  bool ScanTo(int64_t batch_id, uint64_t xmin);

  int64_t last_seq_ = 0;
  int64_t last_message_ = 0;
  int64_t scanned_to_ = 0;
  std::map<int64_t, uint64_t> gaps_;  // id -> what its transaction's xid is below; 0: not yet known
  // The first batch after the last wide hole, and what the xids of all transactions that took lower
  // ids are below; 0: not yet known. Not stored: after a restart the hole is noticed anew.
  int64_t hole_end_ = 0;
  uint64_t hole_bound_ = 0;
};

}  // namespace saldo::jobs
