#include "retranslator/outbox_reader.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "common/base/status_macros.h"

namespace saldo::retranslator {
namespace {

using postgres::Result;
using postgres::Statement;

// Any constant that no other advisory lock of ours uses; spells "relay".
constexpr int64_t kLockKey = 0x72656c6179;

constexpr Statement kTryLock{"relay.try_lock", "SELECT pg_try_advisory_lock($1)"};
// The planner has no statistics of a new partition, and would rather read its pages in bulk and
// sort them than walk along the primary key, which gives them in order.
constexpr Statement kWalkIndexes{"relay.walk_indexes",
                                 "SELECT set_config('enable_bitmapscan', 'off', false),"
                                 " set_config('enable_seqscan', 'off', false),"
                                 " set_config('enable_sort', 'off', false)"};
constexpr Statement kListen{"relay.listen", "LISTEN saldo_sequenced"};
constexpr Statement kCursor{"relay.cursor", "SELECT seq FROM cursors WHERE consumer = 'relay'"};
constexpr Statement kList{
    "relay.list",
    "SELECT seq, batch_id, created_at, messages, message_bytes FROM sequenced_batches "
    "WHERE seq > $1 ORDER BY seq LIMIT $2"};
// A range with its bounds as parameters is one walk along the primary key; a join with the list of
// batches is fifty times slower.
constexpr Statement kFetch{
    "relay.fetch",
    "SELECT batch_id, ordinal, topic, key, payload, type, traceparent, message_id FROM outbox "
    "WHERE batch_id >= $1 AND batch_id <= $2 ORDER BY batch_id, ordinal"};

using FetchedRows =
    postgres::Rows<int64_t, int32_t, std::string_view, std::string_view, std::string_view,
                   std::string_view, std::optional<std::string_view>,
                   std::optional<std::string_view>>;

// Ranges of ids that hold the wanted ones and not much else: ids are nearly dense, but one of a
// long transaction may lie far back.
struct Range {
  int64_t low;
  int64_t high;
};
std::vector<Range> RangesOf(const std::vector<const BatchList::Item*>& by_id) {
  constexpr int64_t kHoleMax = 64;
  std::vector<Range> ranges;
  for (const BatchList::Item* item : by_id) {
    if (ranges.empty() || item->batch_id - ranges.back().high > kHoleMax)
      ranges.push_back({item->batch_id, item->batch_id});
    ranges.back().high = item->batch_id;
  }
  return ranges;
}

}  // namespace

absl::StatusOr<bool> OutboxReader::TryLock(const CallContext& context) {
  SALDO_ASSIGN_OR_RETURN(Result result, connection_.Query(context, kTryLock, kLockKey));
  SALDO_ASSIGN_OR_RETURN(const auto row, std::move(result).One<bool>());
  return std::get<0>(row);
}

absl::Status OutboxReader::Prepare(const CallContext& context) {
  SALDO_RETURN_IF_ERROR(connection_.Queue(kWalkIndexes, {}));
  SALDO_RETURN_IF_ERROR(connection_.Queue(kListen, {}));
  return connection_.Flush(context).status();
}

absl::StatusOr<int64_t> OutboxReader::Cursor(const CallContext& context) {
  SALDO_ASSIGN_OR_RETURN(Result result, connection_.Query(context, kCursor));
  SALDO_ASSIGN_OR_RETURN(const auto row, std::move(result).One<int64_t>());
  return std::get<0>(row);
}

absl::StatusOr<BatchList> OutboxReader::List(const CallContext& context, int64_t after_seq,
                                             const ReadLimits& limits) {
  SALDO_ASSIGN_OR_RETURN(Result result, connection_.Query(context, kList, after_seq,
                                                          static_cast<int64_t>(limits.messages)));
  SALDO_ASSIGN_OR_RETURN(const auto rows,
                         (std::move(result).As<int64_t, int64_t, absl::Time, int32_t, int64_t>()));
  BatchList list;
  list.items.reserve(rows.size());
  for (const auto& [seq, batch_id, created_at, messages, bytes] : rows) {
    const bool over = list.messages + messages > static_cast<size_t>(limits.messages) ||
                      static_cast<int64_t>(list.bytes) + bytes > limits.bytes;
    if (over && !list.items.empty()) break;
    list.items.push_back({seq, batch_id, created_at, messages, bytes});
    list.messages += messages;
    list.bytes += bytes;
  }
  return list;
}

absl::StatusOr<std::shared_ptr<Chunk>> OutboxReader::Fetch(const CallContext& context,
                                                           const BatchList& list) {
  std::vector<const BatchList::Item*> by_id;
  by_id.reserve(list.items.size());
  for (const BatchList::Item& item : list.items) by_id.push_back(&item);
  std::sort(by_id.begin(), by_id.end(),
            [](const auto* a, const auto* b) { return a->batch_id < b->batch_id; });

  auto chunk = std::make_shared<Chunk>();
  chunk->rows.reserve(list.messages);
  chunk->bytes = list.bytes;
  auto wanted = by_id.begin();
  std::vector<Range> ranges = RangesOf(by_id);
  for (size_t next = 0; next < ranges.size();) {
    const size_t end = std::min(ranges.size(), next + postgres::Connection::kPipelineDepth);
    for (size_t i = next; i < end; ++i) {
      SALDO_RETURN_IF_ERROR(
          connection_.Queue(kFetch, postgres::Params::Of(ranges[i].low, ranges[i].high)));
    }
    next = end;
    SALDO_ASSIGN_OR_RETURN(std::vector<Result> results, connection_.Flush(context));
    for (Result& result : results) {
      SALDO_ASSIGN_OR_RETURN(
          FetchedRows fetched,
          (std::move(result)
               .As<int64_t, int32_t, std::string_view, std::string_view, std::string_view,
                   std::string_view, std::optional<std::string_view>,
                   std::optional<std::string_view>>()));
      const auto rows = std::make_shared<const FetchedRows>(std::move(fetched));
      for (const auto& [batch_id, ordinal, topic, key, payload, type, traceparent, message_id] :
           *rows) {
        while (wanted != by_id.end() && (*wanted)->batch_id < batch_id) ++wanted;
        // A batch of a range that was passed before, or that has no seq yet.
        if (wanted == by_id.end() || (*wanted)->batch_id != batch_id) continue;
        chunk->rows.push_back({(*wanted)->seq, batch_id, ordinal, (*wanted)->created_at, topic, key,
                               payload, type, traceparent, message_id});
      }
      chunk->memory.push_back(rows);
    }
  }
  const auto by_order = [](const OutboxRow& a, const OutboxRow& b) {
    return a.seq != b.seq ? a.seq < b.seq : a.ordinal < b.ordinal;
  };
  if (!std::is_sorted(chunk->rows.begin(), chunk->rows.end(), by_order)) {
    std::sort(chunk->rows.begin(), chunk->rows.end(), by_order);
  }
  size_t at = 0;
  for (const BatchList::Item& item : list.items) {
    const size_t first = at;
    while (at < chunk->rows.size() && chunk->rows[at].seq == item.seq) ++at;
    if (at - first != static_cast<size_t>(item.messages)) {
      return absl::DataLossError(absl::StrCat("batch ", item.batch_id, " has ", item.messages,
                                              " messages, but ", at - first, " are in the outbox"));
    }
    chunk->batches.push_back({item.seq, static_cast<uint32_t>(item.messages)});
  }
  return chunk;
}

}  // namespace saldo::retranslator
