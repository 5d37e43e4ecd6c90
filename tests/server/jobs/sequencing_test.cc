#include "server/jobs/sequencing.h"

#include <algorithm>
#include <catch2/catch.hpp>
#include <map>
#include <optional>
#include <random>
#include <set>
#include <string>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "tests/support/test_env.h"

namespace saldo::jobs {
namespace {

VisibleBatch Batch(int64_t id, int32_t messages = 1) {
  return {
      .batch_id = id, .created_at = absl::UnixEpoch(), .messages = messages, .message_bytes = 8};
}

// "id@seq+messages_before" of each, in order.
std::string Text(const std::vector<SequencedBatch>& batches) {
  return absl::StrJoin(batches, " ", [](std::string* out, const SequencedBatch& one) {
    absl::StrAppend(out, one.batch.batch_id, "@", one.seq, "+", one.messages_before);
  });
}

struct Step {
  uint64_t xmin;                             // what the snapshot says
  std::vector<std::pair<int64_t, int>> see;  // batch id, messages
  uint64_t xid;                              // of the transaction that stores the pass; 0: none
  const char* taken;
  const char* gaps;
  bool awaits_bound = false;  // a hole is new
};

void Check(Sequencing& sequencing, const std::vector<Step>& steps) {
  for (size_t i = 0; i < steps.size(); ++i) {
    INFO("step " << i);
    Observation observation{.xmin = steps[i].xmin, .batches = {}};
    for (const auto& [id, messages] : steps[i].see)
      observation.batches.push_back(Batch(id, messages));
    CHECK(Text(sequencing.Take(observation)) == steps[i].taken);
    CHECK(absl::StrJoin(sequencing.Gaps(), " ") == steps[i].gaps);
    CHECK(sequencing.awaits_bound() == steps[i].awaits_bound);
    if (steps[i].xid != 0) sequencing.BoundGaps(steps[i].xid);
  }
}

TEST_CASE("batches get their seq in the order of their ids, and gaps are waited for") {
  Sequencing sequencing;
  Check(sequencing, {
                        // xmin, batches seen,    stored by, taken,              gaps
                        {100, {}, 0, "", ""},
                        {101, {{1, 2}}, 102, "1@1+0", ""},
                        {103, {{2, 0}, {3, 5}}, 104, "2@2+2 3@3+2", ""},
                        {105, {{6, 1}}, 110, "6@4+7", "4 5"},  // two transactions still run
                        {109, {}, 0, "", "4 5"},               // one that may be theirs runs
                        {109, {{5, 1}}, 112, "5@5+8", "4"},    // one of them has committed
                        {109, {{8, 1}}, 113, "8@6+9", "4 7"},  // a new one is noted later
                        {110, {{9, 1}}, 114, "9@7+10", "7"},   // 4 must have rolled back
                        {112, {}, 0, "", "7"},                 // 7 may be of 112
                        {113, {{7, 3}, {10, 1}}, 115, "7@8+11 10@9+14", ""},  // it was
                    });
  CHECK(sequencing.last_seq() == 9);
  CHECK(sequencing.last_message() == 15);
  CHECK(sequencing.scanned_to() == 10);
}

TEST_CASE("a gap waits for its transaction, though the snapshot's end is below it") {
  Sequencing sequencing;
  // Batch 2 is of xid 100; batch 1 of xid 101, which runs on. Nothing above 100 has ended, so the
  // snapshot that shows batch 2 ends at 101, and later ones may begin there.
  Check(sequencing, {
                        {101, {{2, 1}}, 102, "2@1+0", "1"},
                        {101, {}, 0, "", "1"},
                        {101, {{1, 1}}, 103, "1@2+1", ""},
                    });
}

TEST_CASE("stored gaps are waited for until all that ran at the restart have ended") {
  Sequencing sequencing(7, 70, 10, {4, 6}, 200);
  Check(sequencing, {
                        {199, {}, 0, "", "4 6"},
                        {199, {{4, 1}, {12, 2}}, 203, "4@8+70 12@9+71", "6 11"},
                        {200, {}, 204, "", "11"},
                        {202, {}, 0, "", "11"},
                        {203, {}, 205, "", ""},
                    });
}

TEST_CASE("gaps that were not bounded yet are never given up") {
  Sequencing sequencing;
  Check(sequencing, {{10, {{2, 1}}, 0, "2@1+0", "1"}, {1'000'000, {}, 0, "", "1"}});
}

TEST_CASE("all ids of a hole are kept as gaps, unless it is too wide") {
  Sequencing narrow, wide;
  CHECK(narrow.Take({.xmin = 10, .batches = {Batch(Sequencing::kHoleMax + 1)}}).size() == 1);
  CHECK(narrow.Gaps().size() == Sequencing::kHoleMax);
  CHECK(wide.Take({.xmin = 10, .batches = {Batch(Sequencing::kHoleMax + 2)}}).empty());
  CHECK(wide.Gaps().empty());
  CHECK(wide.scanned_to() == 0);
}

TEST_CASE("batches after a wide hole wait until all that ran when it was noticed have ended") {
  Sequencing sequencing;
  Check(sequencing, {
                        // xmin, batches seen,    stored by, taken,              gaps, hole is new
                        {10, {{1, 1}}, 11, "1@1+0", ""},
                        {12, {{50'000, 1}}, 0, "", "", true},
                        {900, {{50'000, 1}}, 950, "", "", true},  // the bound was not known yet
                        {949, {{50'000, 1}, {50'001, 1}}, 0, "", ""},  // one that may be in it runs
                        {950,
                         {{50'000, 1}, {50'001, 1}, {50'003, 1}},
                         951,
                         "50000@2+1 50001@3+2 50003@4+3",
                         "50002"},
                        {951, {}, 952, "", ""},
                    });
}

TEST_CASE("a batch that appears in a wide hole gets its seq before those after it") {
  Sequencing sequencing;
  SECTION("in the midst of it") {
    Check(sequencing, {
                          {10, {{100'000, 1}}, 20, "", "", true},
                          {19, {{50'000, 2}, {100'000, 1}}, 0, "", ""},  // 1 to 49,999 are a hole
                          {20,
                           {{50'000, 2}, {60'000, 1}, {100'000, 1}},
                           21,
                           "50000@1+0 60000@2+2 100000@3+3",
                           ""},
                      });
  }
  SECTION("near its beginning") {
    Check(sequencing, {
                          {10, {{100'000, 1}}, 20, "", "", true},
                          {19, {{3, 1}, {100'000, 1}}, 22, "3@1+0", "1 2"},  // the rest still waits
                          {20, {{100'000, 1}}, 23, "100000@2+1", "1 2"},
                          {22, {{2, 1}}, 24, "2@3+2", ""},
                      });
  }
  SECTION("so that no wide part is left") {
    Check(sequencing, {{10, {{30'000, 1}}, 20, "", "", true}});
    const auto taken = sequencing.Take({.xmin = 19, .batches = {Batch(15'000), Batch(30'000)}});
    CHECK(Text(taken) == "15000@1+0 30000@2+1");
    CHECK(sequencing.Gaps().size() == 29'998);
  }
}

TEST_CASE("of two wide holes each is waited for") {
  Sequencing sequencing;
  const std::vector<std::pair<int64_t, int>> both = {{50'000, 1}, {100'000, 1}};
  Check(sequencing,
        {
            {10, both, 20, "", "", true},
            {20, both, 30, "50000@1+0", "", true},  // of the second only the first's bound is known
            {29, {{100'000, 1}}, 0, "", ""},
            {29, {{80'000, 1}, {100'000, 1}}, 0, "", ""},
            {30, {{80'000, 1}}, 31, "80000@2+1", ""},  // a look that does not reach the end
            {31, {{100'000, 1}, {130'000, 1}}, 40, "100000@3+2", "", true},
            {40, {{130'000, 1}}, 41, "130000@4+3", ""},
        });
  CHECK(sequencing.scanned_to() == 130'000);
}

TEST_CASE("a wide hole is noticed anew after a restart") {
  Sequencing sequencing(1, 1, 5, {}, 20);
  Check(sequencing, {{25, {{50'000, 1}}, 30, "", "", true}});
  sequencing = Sequencing(1, 1, 5, {}, 31);
  Check(sequencing, {
                        {40, {{50'000, 1}}, 41, "", "", true},
                        {40, {{50'000, 1}}, 0, "", ""},
                        {41, {{50'000, 1}}, 42, "50000@2+1", ""},
                    });
}

// PostgreSQL as far as the sequencer sees it: xids, a sequence of batch ids, snapshots; and the
// sequencer's own transactions in it, which may fail or whose process may die.
class World {
 public:
  explicit World(uint64_t seed) : random_(seed) {}

  void RandomStep(size_t running_max) {
    const int choice = Pick(100);
    if (choice < 25 && running_.size() < running_max) {
      Begin();
    } else if (choice < 75) {
      if (!running_.empty()) Advance(Pick(static_cast<int>(running_.size())));
    } else if (choice < 80) {
      End(NextXid());  // of someone who writes no batch
    } else if (choice < 85) {
      LoseIds();
    } else if (choice < 88) {
      Load();  // another process takes over
    } else {
      Pass();
    }
  }

  // Everyone ends, and the sequencer goes on until it has nothing left to do.
  void Settle() {
    while (!running_.empty()) Advance(Pick(static_cast<int>(running_.size())));
    for (int idle = 0; idle < 2; ++idle) {
      if (Pass()) idle = -1;
    }
  }

  void Check() const {
    CHECK(sequencing_.Gaps().empty());
    std::map<int64_t, int64_t> seq_of;
    int64_t before = 0;
    for (size_t i = 0; i < table_.size(); ++i) {
      const SequencedBatch& row = table_[i];
      REQUIRE(row.seq == static_cast<int64_t>(i) + 1);
      REQUIRE(row.messages_before == before);
      before += row.batch.messages;
      REQUIRE(seq_of.emplace(row.batch.batch_id, row.seq).second);
      REQUIRE(committed_.count(row.batch.batch_id) == 1);
    }
    REQUIRE(table_.size() == committed_.size());
    CHECK(sequencing_.last_message() == before);
    for (const auto& [later, earlier] : depends_) REQUIRE(seq_of.at(earlier) < seq_of.at(later));
  }

  size_t committed() const { return committed_.size(); }
  int out_of_order() const { return out_of_order_; }
  // Batches that were committed after one beyond the hole that they are in.
  int in_wide_holes() const { return in_wide_holes_; }

 private:
  struct Running {
    int number;
    std::optional<int> waits_for;  // holds a row lock that this one needs before its batch
    std::optional<int64_t> after;  // the batch of that one, when it committed
    uint64_t xid = 0;
    int64_t batch = 0;
  };
  struct Stored {
    int64_t last_seq = 0, last_message = 0, scanned_to = 0;
    std::vector<int64_t> gaps;
  };

  int Pick(int below) { return std::uniform_int_distribution<int>(0, below - 1)(random_); }
  uint64_t NextXid() {
    in_progress_.insert(next_xid_);
    return next_xid_++;
  }
  void End(uint64_t xid) {
    in_progress_.erase(xid);
    ended_max_ = std::max(ended_max_, xid);
  }

  // A crash loses some ids; a restored backup, or writers that find nothing to write, many.
  void LoseIds() {
    next_batch_ += Pick(2) == 0 ? Sequencing::kHoleMax / 4 * (3 + Pick(6)) : Pick(33);
  }

  void Begin() {
    Running one{.number = ++numbers_, .waits_for = {}, .after = {}};
    if (!running_.empty() && Pick(3) == 0)
      one.waits_for = running_[Pick(static_cast<int>(running_.size()))].number;
    running_.push_back(one);
  }

  void Advance(int at) {
    Running& one = running_[at];
    if (one.xid == 0) {
      one.xid = NextXid();
    } else if (one.batch == 0) {
      if (!one.waits_for.has_value()) one.batch = next_batch_++;
    } else {
      Finish(at);
    }
  }

  void Finish(int at) {
    const Running one = running_[at];
    running_.erase(running_.begin() + at);
    const bool commits = Pick(5) != 0;
    End(one.xid);
    if (commits) {
      if (!committed_.empty() && committed_.rbegin()->first > one.batch) ++out_of_order_;
      if (InWideHole(one.batch)) ++in_wide_holes_;
      committed_[one.batch] = Pick(4);
      if (one.after.has_value()) depends_.emplace_back(one.batch, *one.after);
    }
    for (Running& other : running_) {
      if (other.waits_for != one.number) continue;
      other.waits_for.reset();
      if (commits) other.after = one.batch;
    }
  }

  // Whether those committed on either side are both far away and parted by too wide a hole.
  bool InWideHole(int64_t batch) const {
    constexpr int64_t kFar = Sequencing::kHoleMax / 2;
    const auto after = committed_.upper_bound(batch);
    if (after == committed_.end() || after->first - batch <= kFar) return false;
    const int64_t before = after == committed_.begin() ? 0 : std::prev(after)->first;
    return batch - before > kFar && after->first - before > Sequencing::kHoleMax + 1;
  }

  Observation Observe(size_t limit) const {
    Observation seen{.xmin = ended_max_ + 1, .batches = {}};
    if (!in_progress_.empty()) seen.xmin = std::min(seen.xmin, *in_progress_.begin());
    for (const int64_t gap : sequencing_.Gaps()) {
      const auto found = committed_.find(gap);
      if (found != committed_.end()) seen.batches.push_back(Batch(gap, found->second));
    }
    auto next = committed_.upper_bound(sequencing_.scanned_to());
    for (size_t i = 0; i < limit && next != committed_.end(); ++i, ++next)
      seen.batches.push_back(Batch(next->first, next->second));
    return seen;
  }

  void Load() {
    const uint64_t xid = NextXid();
    End(xid);
    sequencing_ =
        Sequencing(stored_.last_seq, stored_.last_message, stored_.scanned_to, stored_.gaps, xid);
  }

  // As Sequencer::Pass. True when it changed anything.
  bool Pass() {
    const Observation observation = Observe(size_t{1} + static_cast<size_t>(Pick(6)));
    const std::vector<int64_t> gaps = sequencing_.Gaps();
    const std::vector<SequencedBatch> taken = sequencing_.Take(observation);
    if (taken.empty() && sequencing_.Gaps() == gaps && !sequencing_.awaits_bound()) return false;
    // Others go on between the look and its commit.
    for (int i = Pick(4); i > 0 && !running_.empty(); --i)
      Advance(Pick(static_cast<int>(running_.size())));
    const uint64_t xid = NextXid();
    const int fate = Pick(20);
    if (fate != 0) {
      table_.insert(table_.end(), taken.begin(), taken.end());
      stored_ = {sequencing_.last_seq(), sequencing_.last_message(), sequencing_.scanned_to(),
                 sequencing_.Gaps()};
    }
    End(xid);
    // Rolled back, or committed but the process died before it heard of it.
    if (fate <= 1) {
      Load();
    } else {
      sequencing_.BoundGaps(xid);
    }
    return true;
  }

  std::mt19937_64 random_;
  uint64_t next_xid_ = 3;
  uint64_t ended_max_ = 2;
  std::set<uint64_t> in_progress_;
  int64_t next_batch_ = 1;
  int numbers_ = 0;
  std::vector<Running> running_;
  std::map<int64_t, int> committed_;  // batch id -> messages
  std::vector<std::pair<int64_t, int64_t>> depends_;
  int out_of_order_ = 0;
  int in_wide_holes_ = 0;
  Sequencing sequencing_;
  Stored stored_;
  std::vector<SequencedBatch> table_;
};

TEST_CASE("over random histories every committed batch gets one seq, in the order of changes") {
  size_t committed = 0;
  int out_of_order = 0;
  int in_wide_holes = 0;
  for (int history = 0; history < 300; ++history) {
    const uint64_t seed = testing::Seed() + history;
    INFO("SALDO_TEST_SEED=" << testing::Seed() << ", history " << history);
    World world(seed);
    const size_t running_max = 1 + seed % 20;
    for (int step = 0; step < 400; ++step) world.RandomStep(running_max);
    world.Settle();
    world.Check();
    committed += world.committed();
    out_of_order += world.out_of_order();
    in_wide_holes += world.in_wide_holes();
  }
  // The histories were worth looking at.
  CHECK(committed > 5'000);
  CHECK(out_of_order > 500);
  CHECK(in_wide_holes > 30);
}

}  // namespace
}  // namespace saldo::jobs
