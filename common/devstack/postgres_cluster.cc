#include "common/devstack/postgres_cluster.h"

#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <cstdlib>
#include <filesystem>
#include <system_error>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/strings/string_view.h"
#include "absl/time/clock.h"
#include "common/base/status_macros.h"
#include "common/devstack/files.h"
#include "common/devstack/loopback.h"

namespace saldo::devstack {
namespace {

namespace fs = std::filesystem;

constexpr absl::Duration kPoll = absl::Milliseconds(10);
constexpr absl::Duration kCommandTimeout = absl::Seconds(60);
constexpr absl::Duration kStopGrace = absl::Seconds(30);
constexpr size_t kMaxSocketPath = 107;
constexpr int kPortTries = 3;
constexpr absl::string_view kServerUser = "postgres";

// The fields of /proc/<pid>/stat after the command's name: state, parent, ...
std::vector<std::string> ProcStat(pid_t pid) {
  const std::string text = ReadFile(absl::StrCat("/proc/", pid, "/stat")).value_or("");
  const size_t end = text.rfind(')');
  if (end == std::string::npos || end + 2 > text.size()) return {};
  return absl::StrSplit(text.substr(end + 2), ' ');
}

bool Gone(pid_t pid) {
  const std::vector<std::string> stat = ProcStat(pid);
  return stat.empty() || stat[0] == "Z" || stat[0] == "X";
}

std::vector<pid_t> ChildrenOf(pid_t parent) {
  std::vector<pid_t> children;
  std::error_code error;
  for (fs::directory_iterator entry("/proc", error); !error && entry != fs::directory_iterator();
       entry.increment(error)) {
    pid_t pid = 0;
    if (!absl::SimpleAtoi(entry->path().filename().string(), &pid)) continue;
    const std::vector<std::string> stat = ProcStat(pid);
    if (stat.size() > 1 && stat[1] == absl::StrCat(parent)) children.push_back(pid);
  }
  return children;
}

}  // namespace

std::string PostgresCluster::UserOrEmpty() const {
  return geteuid() == 0 ? std::string(kServerUser) : std::string();
}

absl::StatusOr<std::unique_ptr<PostgresCluster>> PostgresCluster::Start(PostgresOptions options) {
  if (access((options.bin_dir + "/postgres").c_str(), X_OK) != 0) {
    return absl::NotFoundError(
        absl::StrCat("there is no ", options.bin_dir,
                     "/postgres: install the package postgresql-15 (./dev run does it)"));
  }
  const bool any_port = options.port == 0;
  std::unique_ptr<PostgresCluster> cluster(new PostgresCluster(std::move(options)));
  SALDO_RETURN_IF_ERROR(cluster->Prepare());
  absl::Status started;
  for (int i = 0; i < kPortTries; ++i) {
    if (any_port) {
      SALDO_ASSIGN_OR_RETURN(cluster->options_.port, FreePort());
    }
    SALDO_RETURN_IF_ERROR(cluster->PlaceSocket());
    started = cluster->StartServer();
    // Only a port that somebody else took meanwhile is worth another try.
    const std::string log = started.ok() ? "" : cluster->server_->LogTail();
    if (started.ok() || !any_port || !absl::StrContains(log, "Address already in use")) break;
  }
  if (!started.ok()) return started;
  return cluster;
}

PostgresCluster::~PostgresCluster() {
  Stop(options_.durable ? StopMode::kFast : StopMode::kImmediate);
  if (own_socket_dir_) {
    std::error_code ignored;
    fs::remove_all(socket_dir_, ignored);
  }
}

absl::Status PostgresCluster::Prepare() {
  SALDO_RETURN_IF_ERROR(MakeFolder(options_.dir));
  SALDO_ASSIGN_OR_RETURN(options_.dir, AbsolutePath(options_.dir));
  data_dir_ = options_.dir + "/data";
  if (options_.log_file.empty()) options_.log_file = options_.dir + "/postgres.log";
  if (geteuid() == 0) {
    pass_private_folders_ = !EveryoneMayReach(options_.dir);
    SALDO_RETURN_IF_ERROR(GiveTo(options_.dir, std::string(kServerUser)));
  }
  std::error_code error;
  if (!fs::exists(data_dir_, error)) return InitData();
  SALDO_ASSIGN_OR_RETURN(const std::string version, ReadFile(data_dir_ + "/PG_VERSION"));
  if (absl::StripAsciiWhitespace(version) != "15") {
    return absl::FailedPreconditionError(absl::StrCat(data_dir_, " holds a cluster of PostgreSQL ",
                                                      absl::StripAsciiWhitespace(version),
                                                      ", not of 15: move it away"));
  }
  return absl::OkStatus();
}

// Into another folder first, so that an interrupted initdb leaves nothing that looks whole.
absl::Status PostgresCluster::InitData() {
  const std::string draft = data_dir_ + ".new";
  std::error_code error;
  fs::remove_all(draft, error);
  ChildOptions initdb;
  initdb.argv = {options_.bin_dir + "/initdb",
                 "-D",
                 draft,
                 "--no-sync",
                 "--auth=trust",
                 "--username=saldo",
                 "--encoding=UTF8",
                 "--locale=C.UTF-8",
                 "--no-instructions"};
  initdb.directory = "/";
  initdb.run_as = UserOrEmpty();
  initdb.pass_private_folders = pass_private_folders_;
  SALDO_RETURN_IF_ERROR(
      RunCommand(std::move(initdb), kCommandTimeout, options_.interrupt).status());
  fs::rename(draft, data_dir_, error);
  if (error) return absl::InternalError("cannot rename " + draft + ": " + error.message());
  return absl::OkStatus();
}

absl::Status PostgresCluster::PlaceSocket() {
  if (own_socket_dir_) return absl::OkStatus();
  const size_t length = absl::StrCat(options_.dir, "/.s.PGSQL.", options_.port).size();
  // Clients of other users cannot enter a private folder either.
  if (length <= kMaxSocketPath && !pass_private_folders_) {
    socket_dir_ = options_.dir;
    return absl::OkStatus();
  }
  char name[] = "/tmp/saldo-pg-XXXXXX";
  if (mkdtemp(name) == nullptr) return absl::ErrnoToStatus(errno, "mkdtemp");
  socket_dir_ = name;
  own_socket_dir_ = true;
  if (geteuid() == 0) return GiveTo(socket_dir_, std::string(kServerUser));
  return absl::OkStatus();
}

absl::Status PostgresCluster::StartServer() {
  std::map<std::string, std::string> settings = {{"listen_addresses", "127.0.0.1"},
                                                 {"port", absl::StrCat(options_.port)},
                                                 {"unix_socket_directories", socket_dir_},
                                                 {"max_connections", "200"},
                                                 {"log_line_prefix", "%m [%p] "}};
  if (!options_.durable) {
    settings["fsync"] = "off";
    settings["full_page_writes"] = "off";
  }
  for (const auto& [key, value] : options_.settings) settings[key] = value;
  ChildOptions child;
  child.name = "PostgreSQL";
  child.argv = {options_.bin_dir + "/postgres", "-D", data_dir_};
  for (const auto& [key, value] : settings) {
    child.argv.emplace_back("-c");
    child.argv.push_back(absl::StrCat(key, "=", value));
  }
  child.directory = "/";
  child.log_file = options_.log_file;
  child.run_as = UserOrEmpty();
  child.pass_private_folders = pass_private_folders_;
  // Immediate shutdown: the server takes its processes with it. SIGKILL would leave them behind.
  child.death_signal = SIGQUIT;
  server_.reset();
  SALDO_ASSIGN_OR_RETURN(server_, ChildProcess::Start(std::move(child)));
  if (absl::Status ready = AwaitReady(); !ready.ok()) {
    server_->Stop(kStopGrace, SIGQUIT);
    return ready;
  }
  return absl::OkStatus();
}

// The server writes its state on line 8 of postmaster.pid, beneath its pid on line 1.
absl::Status PostgresCluster::AwaitReady() {
  const absl::Time deadline = absl::Now() + options_.start_timeout;
  const std::string pid = absl::StrCat(server_->pid());
  while (absl::Now() < deadline) {
    if (options_.interrupt != nullptr && options_.interrupt->stopped()) {
      return absl::CancelledError("the start of PostgreSQL was interrupted");
    }
    const std::string text = ReadFile(data_dir_ + "/postmaster.pid").value_or("");
    const std::vector<absl::string_view> lines = absl::StrSplit(text, '\n');
    if (lines.size() >= 8 && lines[0] == pid && absl::StartsWith(lines[7], "ready")) {
      return absl::OkStatus();
    }
    if (absl::StatusOr<ChildExit> ended = server_->Wait(kPoll); ended.ok()) {
      return absl::UnavailableError(absl::StrCat("PostgreSQL ended with ", ended->ToString(),
                                                 "; the end of ", options_.log_file, ":\n",
                                                 server_->LogTail()));
    }
  }
  return absl::DeadlineExceededError(absl::StrCat("PostgreSQL is not ready after ",
                                                  absl::FormatDuration(options_.start_timeout),
                                                  "; see ", options_.log_file));
}

std::string PostgresCluster::dsn(const std::string& database) const {
  return absl::StrCat("host=", socket_dir_, " port=", options_.port, " dbname=", database,
                      " user=saldo");
}

std::string PostgresCluster::tcp_dsn(const std::string& database) const {
  return absl::StrCat("host=127.0.0.1 port=", options_.port, " dbname=", database, " user=saldo");
}

void PostgresCluster::Stop(StopMode mode) {
  if (server_ == nullptr || !server_->running()) return;
  const std::vector<pid_t> processes = ServerProcesses();
  const ChildExit ended = server_->Stop(kStopGrace, mode == StopMode::kFast ? SIGINT : SIGQUIT);
  // It had to be killed, and left its processes behind.
  if (ended.signal == SIGKILL) {
    for (pid_t pid : processes) kill(pid, SIGKILL);
  }
}

void PostgresCluster::Kill() {
  if (server_ == nullptr || !server_->running()) return;
  // Stopped first, so that it starts no new process between the listing and the kill.
  server_->Signal(SIGSTOP).IgnoreError();
  const std::vector<pid_t> processes = ServerProcesses();
  server_->Signal(SIGKILL).IgnoreError();
  for (pid_t pid : processes) kill(pid, SIGKILL);
  server_->Wait(absl::InfiniteDuration()).IgnoreError();
  // A process that still holds the shared memory makes the next start fail.
  const absl::Time deadline = absl::Now() + kStopGrace;
  runtime::StopSignal wait;
  while (!std::all_of(processes.begin(), processes.end(), Gone) && absl::Now() < deadline) {
    wait.WaitFor(kPoll);
  }
}

absl::Status PostgresCluster::Restart() {
  Stop();
  return StartServer();
}

std::vector<pid_t> PostgresCluster::ServerProcesses() const {
  return server_ == nullptr ? std::vector<pid_t>() : ChildrenOf(server_->pid());
}

// A backend calls itself "postgres: USER DATABASE CLIENT STATE", where CLIENT is "[local]" or
// "127.0.0.1(PORT)"; the server's own processes have no client.
std::vector<pid_t> PostgresCluster::BackendPids(const std::string& database) const {
  std::vector<pid_t> backends;
  if (!running()) return backends;
  for (pid_t pid : ServerProcesses()) {
    std::string title = ReadFile(absl::StrCat("/proc/", pid, "/cmdline")).value_or("");
    std::replace(title.begin(), title.end(), '\0', ' ');
    const std::vector<absl::string_view> words = absl::StrSplit(title, ' ', absl::SkipEmpty());
    if (words.size() < 4 || words[0] != "postgres:") continue;
    if (words[3] != "[local]" && !absl::StartsWith(words[3], "127.0.0.1(")) continue;
    if (database.empty() || words[2] == database) backends.push_back(pid);
  }
  return backends;
}

absl::Status PostgresCluster::CreateDatabase(const std::string& name, const std::string& from) {
  return Query("postgres", absl::StrCat("CREATE DATABASE \"", name, "\" TEMPLATE \"", from, "\""))
      .status();
}

absl::Status PostgresCluster::DropDatabase(const std::string& name) {
  return Query("postgres", absl::StrCat("DROP DATABASE IF EXISTS \"", name, "\" WITH (FORCE)"))
      .status();
}

absl::StatusOr<std::string> PostgresCluster::Query(const std::string& database,
                                                   const std::string& sql) const {
  ChildOptions psql;
  psql.argv = {options_.bin_dir + "/psql",
               "-X",
               "-q",
               "-A",
               "-t",
               "-v",
               "ON_ERROR_STOP=1",
               "-d",
               dsn(database),
               "-c",
               std::string(sql)};
  psql.env = {{"PGOPTIONS", "-c client_min_messages=warning"}};
  absl::StatusOr<std::string> rows =
      RunCommand(std::move(psql), kCommandTimeout, options_.interrupt);
  if (rows.ok() && !rows->empty() && rows->back() == '\n') rows->pop_back();
  return rows;
}

}  // namespace saldo::devstack
