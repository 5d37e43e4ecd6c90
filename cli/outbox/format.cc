#include "cli/outbox/format.h"

#include <algorithm>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"
#include "absl/time/time.h"
#include "cli/output.h"
#include "common/base/strings.h"

namespace saldo::cli::outbox {
namespace {

constexpr size_t kGapsShown = 10;
constexpr size_t kKeyShown = 40;
constexpr size_t kErrorShown = 200;

std::string TimeText(absl::Time time) {
  return absl::FormatTime("%Y-%m-%d %H:%M:%S UTC", time, absl::UTCTimeZone());
}

std::string BacklogText(const Backlog& backlog) {
  if (backlog.batches == 0) return "nothing";
  std::string text = absl::StrCat(backlog.messages, " messages in ", backlog.batches, " batches");
  if (backlog.oldest.has_value())
    absl::StrAppendFormat(&text, ", the oldest for %.1f s", absl::ToDoubleSeconds(*backlog.oldest));
  return text;
}

std::string HoldersText(const Status& status, std::string_view lock) {
  std::string text;
  for (const LockHolder& holder : status.holders) {
    if (holder.lock != lock) continue;
    absl::StrAppend(&text, text.empty() ? "" : "; ", holder.application, " from ", holder.client,
                    ", connected since ", TimeText(holder.connected_at), " (PostgreSQL process ",
                    holder.pid, ")");
  }
  return text.empty() ? "NOBODY: none runs" : text;
}

std::string GapsText(const std::vector<int64_t>& gaps) {
  if (gaps.empty()) return "none";
  const size_t shown = std::min(gaps.size(), kGapsShown);
  return absl::StrCat(gaps.size(),
                      " batch ids: ", absl::StrJoin(gaps.begin(), gaps.begin() + shown, ", "),
                      shown < gaps.size() ? ", ..." : "");
}

std::string JsonTime(absl::Time time) {
  return Quoted(absl::FormatTime("%Y-%m-%dT%H:%M:%E6SZ", time, absl::UTCTimeZone()));
}

std::string JsonAge(const std::optional<absl::Duration>& age) {
  return age.has_value() ? absl::StrFormat("%.3f", absl::ToDoubleSeconds(*age)) : "null";
}

std::string JsonBacklog(const Backlog& backlog) {
  return absl::StrCat(R"({"batches": )", backlog.batches, R"(, "messages": )", backlog.messages,
                      R"(, "oldest_seconds": )", JsonAge(backlog.oldest), "}");
}

}  // namespace

std::string Printable(std::string_view bytes, size_t limit) {
  std::string text;
  for (const char c : bytes.substr(0, limit)) {
    if (c >= ' ' && c <= '~' && c != '\\') {
      text.push_back(c);
    } else {
      absl::StrAppendFormat(&text, "\\x%02x", static_cast<unsigned char>(c));
    }
  }
  if (bytes.size() > limit) text += "...";
  return text;
}

std::string StatusText(const Status& status) {
  std::string text;
  absl::StrAppend(&text, "sequenced      ", status.last_message, " messages in ", status.last_seq,
                  " batches\n");
  absl::StrAppend(&text, "unsequenced    ", BacklogText(status.unsequenced), "\n");
  absl::StrAppend(&text, "gaps           ", GapsText(status.gaps), "\n");
  absl::StrAppend(&text, "dead letters   ");
  if (status.dead_waiting == 0) {
    absl::StrAppend(&text, "none\n");
  } else {
    absl::StrAppendFormat(&text, "%d wait, the oldest for %.0f s: see `saldo outbox dead`\n",
                          status.dead_waiting,
                          absl::ToDoubleSeconds(status.dead_oldest.value_or(absl::ZeroDuration())));
  }
  absl::StrAppend(&text, "sequencer      ", HoldersText(status, "sequencer"), "\n");
  absl::StrAppend(&text, "relay          ", HoldersText(status, "relay"), "\n\n");

  std::vector<std::vector<std::string>> rows{{"consumer", "seq", "moved at", "waits for it"}};
  for (const Cursor& cursor : status.cursors) {
    rows.push_back({cursor.consumer, absl::StrCat(cursor.seq), TimeText(cursor.updated_at),
                    BacklogText(cursor.lag)});
  }
  absl::StrAppend(&text, Table(rows), "\n");

  rows = {{"partition", "from", "below", "size"}};
  for (const Partition& one : status.partitions) {
    rows.push_back({absl::StrCat(one.parent, "_", one.lower_bound), absl::StrCat(one.lower_bound),
                    absl::StrCat(one.upper_bound), BytesText(one.bytes)});
  }
  absl::StrAppend(&text, Table(rows));
  return text;
}

std::string StatusJson(const Status& status) {
  std::string json = absl::StrCat(
      R"({"last_seq": )", status.last_seq, R"(, "last_message": )", status.last_message,
      R"(, "scanned_to": )", status.scanned_to, R"(, "gaps": [)", absl::StrJoin(status.gaps, ", "),
      R"(], "unsequenced": )", JsonBacklog(status.unsequenced), R"(, "cursors": [)");
  absl::StrAppend(&json,
                  absl::StrJoin(status.cursors, ", ", [](std::string* out, const Cursor& one) {
                    absl::StrAppend(out, R"({"consumer": )", Quoted(one.consumer), R"(, "seq": )",
                                    one.seq, R"(, "updated_at": )", JsonTime(one.updated_at),
                                    R"(, "lag": )", JsonBacklog(one.lag), "}");
                  }));
  absl::StrAppend(&json, R"(], "dead_letters": {"waiting": )", status.dead_waiting,
                  R"(, "oldest_seconds": )", JsonAge(status.dead_oldest), R"(}, "locks": [)");
  absl::StrAppend(&json,
                  absl::StrJoin(status.holders, ", ", [](std::string* out, const LockHolder& one) {
                    absl::StrAppend(out, R"({"lock": )", Quoted(one.lock), R"(, "pid": )", one.pid,
                                    R"(, "application": )", Quoted(one.application),
                                    R"(, "client": )", Quoted(one.client), R"(, "connected_at": )",
                                    JsonTime(one.connected_at), "}");
                  }));
  absl::StrAppend(
      &json, R"(], "partitions": [)",
      absl::StrJoin(status.partitions, ", ", [](std::string* out, const Partition& one) {
        absl::StrAppend(out, R"({"parent": )", Quoted(one.parent), R"(, "lower_bound": )",
                        one.lower_bound, R"(, "upper_bound": )", one.upper_bound, R"(, "bytes": )",
                        one.bytes, "}");
      }));
  return json + "]}\n";
}

std::string StatusJson(const std::vector<ShardStatus>& shards) {
  const auto one = [](std::string* out, const ShardStatus& shard) {
    std::string status = shard.status.ok() ? StatusJson(*shard.status) : "null";
    absl::StripTrailingAsciiWhitespace(&status);
    absl::StrAppend(
        out, R"({"shard": )", Quoted(shard.name), R"(, "error": )",
        shard.status.ok() ? "null" : Quoted(std::string(shard.status.status().message())),
        R"(, "status": )", status, "}");
  };
  return absl::StrCat(R"({"shards": [)", absl::StrJoin(shards, ",\n", one), "]}\n");
}

std::string DeadText(const std::vector<DeadLetter>& letters, int64_t waiting) {
  if (letters.empty()) return "no dead letter waits\n";
  std::vector<std::vector<std::string>> rows{
      {"id", "message id", "topic", "key", "type", "attempts", "failed at", "payload", "error"}};
  for (const DeadLetter& one : letters) {
    rows.push_back({absl::StrCat(one.id), one.message_id, one.topic, Printable(one.key, kKeyShown),
                    one.type, absl::StrCat(one.attempts), TimeText(one.failed_at),
                    absl::StrCat(one.payload_bytes, " B"), Printable(one.error, kErrorShown)});
  }
  return absl::StrCat(Table(rows), "\n", letters.size(), " of ", waiting,
                      " that wait. `saldo outbox redrive ID` sends one anew.\n");
}

}  // namespace saldo::cli::outbox
