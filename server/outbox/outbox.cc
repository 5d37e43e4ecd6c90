#include "server/outbox/outbox.h"

#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "common/base/status_macros.h"
#include "common/base/strings.h"
#include "common/observability/trace.h"

namespace saldo::outbox {
namespace {

#define SALDO_OUTBOX_BATCH "INSERT INTO batches (batch_id, messages, message_bytes) "
// Arrays are unnested in a list of columns, where their rows stream: unnest in FROM stores all of
// them first.
#define SALDO_OUTBOX_ROWS                                                                       \
  "INSERT INTO outbox (batch_id, ordinal, topic, key, payload, type, traceparent) "             \
  "SELECT batch.batch_id, m.ordinal, m.topic, m.key, m.payload, m.type, nullif(m.traceparent, " \
  "'') "                                                                                        \
  "FROM batch, (SELECT generate_series(1, $1) AS ordinal, unnest($3::text[]) AS topic, "        \
  "unnest($4::bytea[]) AS key, unnest($5::bytea[]) AS payload, unnest($6::text[]) AS type, "    \
  "unnest($7::text[]) AS traceparent) AS m"

// The transaction's id is taken before the batch's: the sequencer relies on it to tell a
// transaction that still runs from one that rolled back, by looking at snapshots. MATERIALIZED
// keeps that order.
constexpr postgres::Statement kAppend{
    "outbox.append",
    "WITH tx AS MATERIALIZED (SELECT pg_current_xact_id() AS xid), "
    "batch AS (" SALDO_OUTBOX_BATCH
    "SELECT nextval('batch_id_seq'), $1, $2 FROM tx WHERE tx.xid IS NOT NULL RETURNING "
    "batch_id) " SALDO_OUTBOX_ROWS};
constexpr postgres::Statement kAppendAs{
    "outbox.append_as", "WITH batch AS (" SALDO_OUTBOX_BATCH
                        "VALUES ($8, $1, $2) RETURNING batch_id) " SALDO_OUTBOX_ROWS};

#undef SALDO_OUTBOX_BATCH
#undef SALDO_OUTBOX_ROWS

// The parameters of both but for the batch id.
absl::StatusOr<postgres::Params> ParamsOf(absl::Span<const Message> messages) {
  const std::string current = trace::CurrentTraceparent();
  std::vector<std::string_view> topics, types, traceparents;
  std::vector<postgres::Bytes> keys, payloads;
  int64_t bytes = 0;
  for (const Message& message : messages) {
    const size_t size = message.key.size() + message.payload.size();
    if (size > kMaxMessageBytes) {
      return absl::InvalidArgumentError(absl::StrCat("a message of ", size, " bytes for topic ",
                                                     AsAbsl(message.topic),
                                                     " is over the limit of ", kMaxMessageBytes));
    }
    topics.push_back(message.topic);
    types.push_back(message.type);
    traceparents.push_back(message.traceparent.empty() ? current : message.traceparent);
    keys.push_back({message.key});
    payloads.push_back({message.payload});
    bytes += static_cast<int64_t>(size);
  }
  return postgres::Params::Of(static_cast<int32_t>(messages.size()), bytes, topics, keys, payloads,
                              types, traceparents);
}

}  // namespace

absl::Status Outbox::Append(postgres::Transaction& tx, absl::Span<const Message> messages) const {
  SALDO_ASSIGN_OR_RETURN(const postgres::Params params, ParamsOf(messages));
  return tx.DeferParams(kAppend, params);
}

absl::Status Outbox::AppendAs(postgres::Transaction& tx, int64_t batch_id,
                              absl::Span<const Message> messages) const {
  SALDO_ASSIGN_OR_RETURN(postgres::Params params, ParamsOf(messages));
  params.Add(batch_id);
  return tx.DeferParams(kAppendAs, params);
}

}  // namespace saldo::outbox
