#include "bench/stack.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "bench/harness.h"
#include "common/base/call_context.h"
#include "common/base/status_macros.h"
#include "common/devstack/files.h"
#include "common/devstack/loopback.h"
#include "common/schema/migrator.h"

namespace saldo::bench {
namespace {

constexpr absl::Duration kTimeout = absl::Minutes(2);
constexpr absl::Duration kReadyTimeout = absl::Seconds(60);
constexpr absl::Duration kProbeTimeout = absl::Seconds(1);
constexpr absl::Duration kPoll = absl::Milliseconds(20);
constexpr absl::Duration kStopGrace = absl::Seconds(30);

CallContext Call() { return CallContext::WithTimeout(kTimeout); }

}  // namespace

absl::Status Program::Check() const {
  if (child->running()) return absl::OkStatus();
  return absl::UnavailableError(absl::StrCat(child->name(), " ended with ",
                                             child->exit()->ToString(), "; the end of its log:\n",
                                             child->LogTail()));
}

absl::Status Program::Stop() {
  SALDO_RETURN_IF_ERROR(Check());
  const devstack::ChildExit exit = child->Stop(kStopGrace);
  if (exit.ok()) return absl::OkStatus();
  return absl::InternalError(absl::StrCat(child->name(), " stopped with ", exit.ToString(),
                                          "; the end of its log:\n", child->LogTail()));
}

absl::StatusOr<std::unique_ptr<Stack>> Stack::Start(const runtime::StopSignal& interrupt) {
  std::unique_ptr<Stack> stack(new Stack(interrupt));
  SALDO_RETURN_IF_ERROR(stack->StartServers());
  SALDO_RETURN_IF_ERROR(stack->MakeTemplate());
  return stack;
}

absl::Status Stack::StartServers() {
  devstack::PostgresOptions postgres;
  postgres.dir = dir_.File("postgres");
  postgres.interrupt = &interrupt_;
  // What an administrator sets first on a machine like this; checkpoints then do not fall into the
  // middle of a figure.
  postgres.settings = {
      {"shared_buffers", "512MB"}, {"max_wal_size", "4GB"}, {"checkpoint_timeout", "15min"}};
  SALDO_ASSIGN_OR_RETURN(postgres_, devstack::PostgresCluster::Start(std::move(postgres)));
  devstack::KafkaOptions kafka;
  kafka.dir = dir_.File("kafka");
  kafka.auto_create_topics = false;
  kafka.interrupt = &interrupt_;
  // Topics of a million messages come and go.
  kafka.properties = {{"log.segment.delete.delay.ms", "1000"}};
  SALDO_ASSIGN_OR_RETURN(kafka_, devstack::KafkaBroker::Start(std::move(kafka)));
  kafka::ConnectionOptions connection;
  connection.brokers = brokers();
  SALDO_ASSIGN_OR_RETURN(admin_, kafka::Admin::Create(connection));
  return absl::OkStatus();
}

absl::Status Stack::MakeTemplate() {
  SALDO_RETURN_IF_ERROR(postgres_->CreateDatabase("saldo_template"));
  SALDO_ASSIGN_OR_RETURN(const auto connection, Connect("saldo_template"));
  return schema::Up(*connection, Call(), schema::AllMigrations(), [](const auto&) {});
}

// Files are copied as they are, so that a copy holds exactly what was written, unread.
absl::Status Stack::CreateDatabase(const std::string& name, const std::string& from) {
  return postgres_
      ->Query("postgres",
              absl::StrCat("CREATE DATABASE ", name, " TEMPLATE ", from, " STRATEGY file_copy"))
      .status();
}

absl::StatusOr<std::unique_ptr<postgres::Connection>> Stack::Connect(
    const std::string& database) const {
  postgres::ConnectionOptions options;
  options.dsn = dsn(database);
  options.application_name = "saldo-bench";
  options.statement_timeout = kTimeout;
  return postgres::Connection::Open(options, Call());
}

absl::Status Stack::CreateTopic(const std::string& topic) {
  if (const absl::Status deleted = admin_->DeleteTopic(topic, Call());
      !deleted.ok() && !absl::IsNotFound(deleted)) {
    return deleted;
  }
  kafka::NewTopic made;
  made.name = topic;
  made.partitions = kPartitions;
  return admin_->CreateTopic(made, Call());
}

absl::StatusOr<Program> Stack::StartProgram(const std::string& name, const std::string& database,
                                            std::vector<std::string> arguments) {
  Program program;
  devstack::ChildOptions options;
  options.name = name;
  SALDO_ASSIGN_OR_RETURN(const std::string path, devstack::SiblingProgram(name));
  options.argv = {path, "--postgres.dsn=" + dsn(database), "--log.format=console",
                  "--status.address=127.0.0.1", "--metrics.address=127.0.0.1"};
  const auto add_port = [&](const char* flag, int* port) -> absl::Status {
    SALDO_ASSIGN_OR_RETURN(*port, devstack::FreePort());
    options.argv.push_back(absl::StrCat("--", flag, "=", *port));
    return absl::OkStatus();
  };
  SALDO_RETURN_IF_ERROR(add_port("status.port", &program.status_port));
  SALDO_RETURN_IF_ERROR(add_port("metrics.port", &program.metrics_port));
  if (name == "saldo-server") {
    SALDO_RETURN_IF_ERROR(add_port("grpc.port", &program.grpc_port));
    options.argv.emplace_back("--grpc.address=127.0.0.1");
  } else {
    options.argv.push_back("--kafka.brokers=" + brokers());
  }
  options.argv.insert(options.argv.end(), arguments.begin(), arguments.end());
  options.log_file = dir_.File(name + ".log");
  SALDO_ASSIGN_OR_RETURN(program.child, devstack::ChildProcess::Start(std::move(options)));
  return program;
}

absl::Status Stack::AwaitReady(const Program& program) const {
  const absl::Time deadline = absl::Now() + kReadyTimeout;
  while (absl::Now() < deadline) {
    SALDO_RETURN_IF_ERROR(program.Check());
    const auto answer = devstack::HttpGet(program.status_port, "/ready", kProbeTimeout);
    if (answer.ok() && answer->code == 200) return absl::OkStatus();
    if (interrupt_.stopped()) return absl::CancelledError("interrupted");
    program.child->Wait(kPoll).status().IgnoreError();
  }
  return absl::DeadlineExceededError(absl::StrCat(program.child->name(),
                                                  " is not ready; the end "
                                                  "of its log:\n",
                                                  program.child->LogTail()));
}

}  // namespace saldo::bench
