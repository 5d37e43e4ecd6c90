#include "cli/task/format.h"

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "common/base/strings.h"
#include "common/observability/text.h"

namespace saldo::cli::task {
namespace {

constexpr size_t kKeyShown = 40;
constexpr size_t kNoteShown = 80;

std::string TimeText(absl::Time time) {
  return absl::FormatTime("%Y-%m-%d %H:%M:%S UTC", time, absl::UTCTimeZone());
}

// One line of valid text, of at most `limit` bytes and a sign that there is more.
std::string Line(const std::string& text, size_t limit) {
  std::string line(text::CutUtf8(text, limit));
  for (char& c : line) {
    if (static_cast<unsigned char>(c) < ' ' || c == '\x7f') c = ' ';
  }
  return line.size() < text.size() ? line + "..." : line;
}

// The moment that the state is about.
absl::Time Moment(const Task& task) {
  if (task.finished_at.has_value()) return *task.finished_at;
  return task.state == "running" ? task.started_at.value_or(task.run_at) : task.run_at;
}

// What the last run said.
const std::string& Note(const Task& task) {
  return task.state == "waiting" || task.state == "failed" ? task.last_error : task.result;
}

// Rows of cells, each column as wide as its widest cell.
std::string Table(const std::vector<std::vector<std::string>>& rows) {
  std::vector<size_t> widths(rows[0].size());
  const auto width = [](const std::string& cell) {
    return text::CountUtf8(cell).value_or(cell.size());
  };
  for (const auto& row : rows) {
    for (size_t i = 0; i < row.size(); ++i) widths[i] = std::max(widths[i], width(row[i]));
  }
  std::string table;
  for (const auto& row : rows) {
    std::string line;
    for (size_t i = 0; i < row.size(); ++i) {
      if (i > 0) line += "  ";
      line += row[i] + std::string(widths[i] - width(row[i]), ' ');
    }
    line.erase(line.find_last_not_of(' ') + 1);
    absl::StrAppend(&table, line, "\n");
  }
  return table;
}

}  // namespace

std::string KindsText(const std::vector<Kind>& kinds) {
  std::vector<std::vector<std::string>> rows = {
      {"kind", "schedule (UTC)", "attempts", "timeout", "what it does"}};
  for (const Kind& kind : kinds) {
    rows.push_back({kind.kind, kind.schedule.empty() ? "-" : kind.schedule,
                    absl::StrCat(kind.max_attempts), absl::FormatDuration(kind.timeout),
                    Line(kind.about, kNoteShown)});
  }
  return Table(rows);
}

std::string TasksText(const std::vector<Task>& tasks) {
  if (tasks.empty()) return "no tasks\n";
  std::vector<std::vector<std::string>> rows = {
      {"id", "kind", "key", "state", "attempts", "since / due at", "result or last error"}};
  for (const Task& task : tasks) {
    rows.push_back({absl::StrCat(task.id), task.kind, Line(task.key, kKeyShown), task.state,
                    absl::StrCat(task.attempts, "/", task.max_attempts), TimeText(Moment(task)),
                    Line(Note(task), kNoteShown)});
  }
  return Table(rows);
}

std::string TaskText(const Task& task) {
  std::vector<std::vector<std::string>> rows = {
      {"id", absl::StrCat(task.id)},
      {"kind", task.kind},
      {"key", Line(task.key, task.key.size())},
      {"state", task.state},
      {"attempts", absl::StrCat(task.attempts, " of ", task.max_attempts)},
      {"added at", TimeText(task.created_at)},
      {"not before", TimeText(task.run_at)}};
  if (task.started_at.has_value()) rows.push_back({"began at", TimeText(*task.started_at)});
  if (task.finished_at.has_value()) rows.push_back({"finished at", TimeText(*task.finished_at)});
  const auto add = [&rows](const char* name, const std::string& text) {
    if (!text.empty()) rows.push_back({name, Line(text, text.size())});
  };
  add("runner", task.runner);
  add("payload", task.payload);
  add("result", task.result);
  add("last error", task.last_error);
  return Table(rows);
}

}  // namespace saldo::cli::task
