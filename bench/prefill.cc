#include "bench/prefill.h"

#include "absl/strings/str_cat.h"
#include "absl/strings/substitute.h"
#include "absl/time/time.h"
#include "common/base/call_context.h"

namespace saldo::bench {
namespace {

constexpr absl::Duration kTimeout = absl::Minutes(2);

// $0 topic, $1 count, $2 keys, $3 bytes of a payload. The traceparent is what an untraced call
// leaves: valid, and not sampled. 7919 and the number of keys have no
// common divisor, so every key comes equally often.
constexpr const char* kMessages =
    "SET LOCAL statement_timeout = '2min';"
    "SELECT pg_current_xact_id();"  // before any batch id, as the sequencer wants it
    "CREATE TEMP TABLE filled ON COMMIT DROP AS SELECT nextval('batch_id_seq') AS id, i, "
    "convert_to((i::bigint * 7919 % $2 + 1)::text, 'UTF8') AS key FROM generate_series(1, $1) AS i;"
    "SELECT extend_partitions(parent, (SELECT max(id) FROM filled), 1) FROM partitioned_tables;"
    "INSERT INTO batches (batch_id, messages, message_bytes) "
    "  SELECT id, 1, length(key) + $3 FROM filled ORDER BY id;"
    "INSERT INTO outbox (batch_id, ordinal, topic, key, payload, type, traceparent) "
    "  SELECT id, 1, '$0', key, substring(decode(repeat(md5(i::text), $3 / 16 + 1), 'hex') FOR $3),"
    "  'hablof.proto.v1.PackageEvent', "
    "  '00-' || md5(i::text) || '-' || substring(md5((-i)::text) FOR 16) || '-00' "
    "  FROM filled ORDER BY id;";
constexpr const char* kSequences =
    "INSERT INTO sequenced_batches (seq, batch_id, created_at, messages, message_bytes, "
    "messages_before) SELECT i, id, clock_timestamp(), 1, length(key) + $3, i - 1 FROM filled "
    "ORDER BY i;"
    "UPDATE sequencer SET last_seq = $1, last_message = $1, scanned_to = $1;";

absl::Status Fill(postgres::Connection& connection, const std::string& topic, int64_t count,
                  const std::string& script) {
  return connection.ExecuteScript(CallContext::WithTimeout(kTimeout),
                                  absl::Substitute(script, topic, count, kKeys, kPayloadBytes));
}

}  // namespace

absl::Status PrefillSequenced(postgres::Connection& connection, const std::string& topic,
                              int64_t count) {
  return Fill(connection, topic, count, absl::StrCat(kMessages, kSequences));
}

absl::Status PrefillCommitted(postgres::Connection& connection, const std::string& topic,
                              int64_t count) {
  return Fill(connection, topic, count, kMessages);
}

}  // namespace saldo::bench
