#include "cli/stack/stack_parts.h"

#include <csignal>
#include <cstdio>
#include <filesystem>
#include <system_error>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/time/clock.h"
#include "cli/stack/stack_shards.h"
#include "common/base/call_context.h"
#include "common/base/status_macros.h"
#include "common/devstack/loopback.h"
#include "common/kafka/admin.h"

namespace saldo::cli {
namespace {

namespace fs = std::filesystem;

// Where a user would look first; others are taken when these are in use.
constexpr int kPostgresPort = 25432;
constexpr int kKafkaPort = 9092;
constexpr int kPrometheusPort = 9090;
constexpr int kJaegerPort = 16686;

constexpr int kTopicPartitions = 3;

constexpr absl::Duration kPoll = absl::Milliseconds(50);
constexpr absl::Duration kProbeTimeout = absl::Seconds(2);
constexpr absl::Duration kStartTimeout = absl::Seconds(60);
constexpr absl::Duration kReminderInterval = absl::Seconds(5);
constexpr absl::Duration kKafkaTimeout = absl::Seconds(10);
constexpr absl::Duration kPingTimeout = absl::Seconds(1);
constexpr absl::Duration kMigrateTimeout = absl::Minutes(5);
constexpr absl::Duration kStopGrace = absl::Seconds(20);

template <typename... Values>
void Say(const absl::FormatSpec<Values...>& format, const Values&... values) {
  absl::FPrintF(stderr, "stack: %s\n", absl::StrFormat(format, values...));
}

// The path as a user in this folder would type it.
std::string Shorter(const std::string& path) {
  std::error_code error;
  const std::string relative = fs::relative(path, error).string();
  return error || relative.empty() || relative.size() > path.size() ? path : relative;
}

// The log of the last start moves aside, so that each log shows one start.
void KeepOldLog(const std::string& path) {
  std::error_code ignored;
  if (fs::exists(path, ignored)) fs::rename(path, path + ".old", ignored);
}

absl::Status EndedByItself(const devstack::ChildProcess& child) {
  return absl::InternalError(absl::StrCat(child.name(), " ended by itself with ",
                                          child.exit()->ToString(), "; the end of ",
                                          Shorter(child.log_file()), ":\n", child.LogTail()));
}

// A JVM that ends in order on SIGTERM has this exit code.
bool EndedAsAsked(const devstack::ChildExit& exit) {
  return exit.ok() || exit.signal == SIGTERM || exit.code == 128 + SIGTERM;
}

}  // namespace

std::string Stack::LogFile(const std::string& name) const {
  return absl::StrCat(options_.dir, "/log/", name, ".log");
}

absl::Status Stack::Step(const std::string& what, absl::FunctionRef<absl::Status()> work) const {
  if (interrupt_->stopped()) return absl::CancelledError("interrupted");
  Say("%s ...", what);
  const absl::Time begin = absl::Now();
  const absl::Status status = work();
  if (status.ok()) Say("%s: done in %.1f s", what, absl::ToDoubleSeconds(absl::Now() - begin));
  if (status.ok() || absl::IsCancelled(status)) return status;
  return {status.code(), absl::StrCat("cannot ", what, ": ", status.message())};
}

absl::Status Stack::Start() {
  SALDO_RETURN_IF_ERROR(TakeFolder());
  SALDO_RETURN_IF_ERROR(ChoosePorts());
  if (options_.postgres.empty()) {
    SALDO_RETURN_IF_ERROR(Step("start PostgreSQL", [this] { return StartPostgres(); }));
  } else {
    dsn_ = options_.postgres;
  }
  if (!options_.kafka.empty()) {
    brokers_ = options_.kafka;
  } else if (options_.embedded_broker) {
    SALDO_RETURN_IF_ERROR(
        Step("start the MOCK broker (not durable)", [this] { return StartMockBroker(); }));
  } else {
    SALDO_RETURN_IF_ERROR(Step("start Kafka", [this] { return StartKafka(); }));
  }
  SALDO_RETURN_IF_ERROR(Step("create the topics", [this] { return CreateTopics(); }));
  SALDO_RETURN_IF_ERROR(
      Step(options_.shards == 1 ? "migrate the database" : "migrate the databases",
           [this] { return Migrate(); }));
  if (options_.jaeger) {
    SALDO_RETURN_IF_ERROR(Step("start Jaeger", [this] { return StartJaeger(); }));
  }
  AddPrograms();
  for (Program& program : programs_) {
    SALDO_RETURN_IF_ERROR(
        Step(absl::StrCat("start ", program.name), [&] { return StartProgram(program); }));
  }
  if (options_.rules.empty()) return absl::OkStatus();
  return Step("start Prometheus", [this] { return StartPrometheus(); });
}

absl::Status Stack::TakeFolder() {
  SALDO_RETURN_IF_ERROR(devstack::MakeFolder(options_.dir + "/log"));
  absl::StatusOr<devstack::FolderLock> lock = devstack::FolderLock::Take(options_.dir);
  if (!lock.ok()) {
    return absl::FailedPreconditionError(
        absl::StrCat("the stack runs in this folder already: ", lock.status().message(),
                     "; stop that one first, or use another --dir"));
  }
  lock_.emplace(*std::move(lock));
  return absl::OkStatus();
}

absl::Status Stack::ChoosePorts() {
  for (int* port : {&ports_.grpc, &ports_.server_status, &ports_.server_metrics,
                    &ports_.retranslator_status, &ports_.retranslator_metrics}) {
    if (options_.free_ports) {
      SALDO_ASSIGN_OR_RETURN(*port, devstack::FreePort());
      continue;
    }
    SALDO_ASSIGN_OR_RETURN(const int free, devstack::FreePortNear(*port));
    if (free != *port) {
      return absl::FailedPreconditionError(
          absl::StrCat("port ", *port,
                       " of 127.0.0.1 is in use by another program, and Saldo needs "
                       "it: stop that program first, or use --free-ports"));
    }
  }
  return absl::OkStatus();
}

void Stack::AddPrograms() {
  const auto add = [this](const char* name, int status_port, int metrics_port) -> Program& {
    return programs_.emplace_back(
        Program{name,
                {DatabaseFlag(), absl::StrCat("--status.port=", status_port),
                 absl::StrCat("--metrics.port=", metrics_port), "--status.address=127.0.0.1",
                 "--metrics.address=127.0.0.1", "--log.format=console"},
                status_port,
                nullptr});
  };
  Program& server = add("saldo-server", ports_.server_status, ports_.server_metrics);
  server.arguments.push_back(absl::StrCat("--grpc.port=", ports_.grpc));
  server.arguments.emplace_back("--grpc.address=127.0.0.1");
  add("saldo-retranslator", ports_.retranslator_status, ports_.retranslator_metrics)
      .arguments.push_back("--kafka.brokers=" + brokers_);
}

absl::Status Stack::StartPostgres() {
  devstack::PostgresOptions options;
  options.dir = options_.dir + "/postgres";
  options.log_file = LogFile("postgres");
  options.interrupt = interrupt_;
  SALDO_ASSIGN_OR_RETURN(options.port, devstack::FreePortNear(kPostgresPort));
  KeepOldLog(options.log_file);
  SALDO_ASSIGN_OR_RETURN(postgres_, devstack::PostgresCluster::Start(std::move(options)));
  return CreateDatabases();
}

absl::Status Stack::CreateDatabases() {
  const auto count = static_cast<size_t>(options_.shards);
  std::vector<std::string> dsns;
  for (size_t i = 0; i < count; ++i) {
    const std::string name = DatabaseName(i, count);
    SALDO_ASSIGN_OR_RETURN(
        const std::string found,
        postgres_->Query("postgres", "SELECT 1 FROM pg_database WHERE datname = '" + name + "'"));
    if (found.empty()) SALDO_RETURN_IF_ERROR(postgres_->CreateDatabase(name));
    dsns.push_back(postgres_->tcp_dsn(name));
  }
  dsn_ = dsns[0];
  if (count == 1) return absl::OkStatus();
  shards_ = EqualShards(dsns);
  shards_file_ = absl::StrCat(options_.dir, "/shards-", count, ".yaml");
  return devstack::WriteFile(shards_file_, ShardsYaml(shards_));
}

std::string Stack::DatabaseFlag() const {
  return shards_.empty() ? "--postgres.dsn=" + dsn_ : "--config=" + shards_file_;
}

absl::Status Stack::StartKafka() {
  if (const absl::Status installed = devstack::CheckKafkaInstalled(); !installed.ok()) {
    return absl::NotFoundError(absl::StrCat(
        installed.message(), "; --broker=embedded does without Kafka, --kafka=HOST:PORT uses one"));
  }
  devstack::KafkaOptions options;
  options.dir = options_.dir + "/kafka";
  options.log_file = LogFile("kafka");
  options.interrupt = interrupt_;
  SALDO_ASSIGN_OR_RETURN(options.port, devstack::FreePortNear(kKafkaPort));
  KeepOldLog(options.log_file);
  SALDO_ASSIGN_OR_RETURN(kafka_, devstack::KafkaBroker::Start(std::move(options)));
  brokers_ = kafka_->bootstrap_servers();
  return absl::OkStatus();
}

absl::Status Stack::StartMockBroker() {
  const std::string address_file = options_.dir + "/mock-broker.address";
  std::error_code ignored;
  fs::remove(address_file, ignored);
  devstack::ChildOptions options;
  options.name = "mock-broker";
  SALDO_ASSIGN_OR_RETURN(const std::string self, devstack::SiblingProgram("saldo"));
  options.argv = {self, "stack", "mock-broker", "--address-file=" + address_file};
  options.log_file = LogFile("mock-broker");
  KeepOldLog(options.log_file);
  SALDO_ASSIGN_OR_RETURN(mock_broker_, devstack::ChildProcess::Start(std::move(options)));
  const absl::Time deadline = absl::Now() + kStartTimeout;
  while (absl::Now() < deadline && !interrupt_->stopped()) {
    brokers_ = devstack::ReadFile(address_file).value_or("");
    if (!brokers_.empty()) return absl::OkStatus();
    if (mock_broker_->Wait(kPoll).ok()) return EndedByItself(*mock_broker_);
  }
  if (interrupt_->stopped()) return absl::CancelledError("interrupted");
  return absl::DeadlineExceededError("it does not write its address");
}

// So that `saldo tail` finds them before the first event.
absl::Status Stack::CreateTopics() const {
  kafka::ConnectionOptions connection;
  connection.brokers = brokers_;
  SALDO_ASSIGN_OR_RETURN(const std::unique_ptr<kafka::Admin> admin,
                         kafka::Admin::Create(connection));
  const absl::Time deadline = absl::Now() + kKafkaTimeout;
  absl::Status answer;
  do {
    if (interrupt_->stopped()) return absl::CancelledError("interrupted");
    answer = admin->Ping(CallContext::WithTimeout(kPingTimeout));
  } while (!answer.ok() && absl::Now() < deadline);
  if (!answer.ok()) {
    return absl::UnavailableError(
        absl::StrCat("no Kafka answers on ", brokers_, ": ", std::string(answer.message())));
  }
  // The mock cluster makes topics by itself, and knows no such request.
  if (mock_broker_ != nullptr) return absl::OkStatus();
  for (const char* name : kTopics) {
    kafka::NewTopic topic;
    topic.name = name;
    topic.partitions = kTopicPartitions;
    const absl::Status created = admin->CreateTopic(topic, CallContext::WithTimeout(kKafkaTimeout));
    if (!created.ok() && !absl::IsAlreadyExists(created)) return created;
  }
  return absl::OkStatus();
}

absl::Status Stack::Migrate() {
  SALDO_ASSIGN_OR_RETURN(const std::string self, devstack::SiblingProgram("saldo"));
  devstack::ChildOptions options;
  options.name = "saldo-migrate";
  options.argv = {self, "migrate", "up",
                  shards_.empty() ? DatabaseFlag() : "--shards.file=" + shards_file_};
  return devstack::RunCommand(std::move(options), kMigrateTimeout, interrupt_).status();
}

absl::Status Stack::StartProgram(Program& program) {
  devstack::ChildOptions options;
  options.name = program.name;
  SALDO_ASSIGN_OR_RETURN(const std::string path, devstack::SiblingProgram(program.name));
  options.argv = {path};
  options.argv.insert(options.argv.end(), program.arguments.begin(), program.arguments.end());
  // Of the standard variables the one that wins, whatever is set here.
  if (jaeger_ != nullptr)
    options.env = {{"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", jaeger_->otlp_endpoint()}};
  options.log_file = LogFile(program.name);
  KeepOldLog(options.log_file);
  SALDO_ASSIGN_OR_RETURN(program.child, devstack::ChildProcess::Start(std::move(options)));
  return AwaitAnswer(program);
}

absl::Status Stack::StartJaeger() {
  devstack::JaegerOptions options;
  options.dir = options_.dir + "/jaeger";
  options.log_file = LogFile("jaeger");
  options.interrupt = interrupt_;
  SALDO_ASSIGN_OR_RETURN(options.port, devstack::FreePortNear(kJaegerPort));
  KeepOldLog(options.log_file);
  SALDO_ASSIGN_OR_RETURN(jaeger_, devstack::JaegerServer::Start(std::move(options)));
  return absl::OkStatus();
}

absl::Status Stack::StartPrometheus() {
  devstack::PrometheusOptions options;
  options.dir = options_.dir + "/prometheus";
  options.log_file = LogFile("prometheus");
  options.interrupt = interrupt_;
  SALDO_ASSIGN_OR_RETURN(options.port, devstack::FreePortNear(kPrometheusPort));
  options.targets = {{"saldo-server", ports_.server_metrics},
                     {"saldo-retranslator", ports_.retranslator_metrics}};
  options.rule_files = {options_.rules + "/*.yml"};
  KeepOldLog(options.log_file);
  SALDO_ASSIGN_OR_RETURN(prometheus_, devstack::PrometheusServer::Start(std::move(options)));
  return absl::OkStatus();
}

absl::Status Stack::AwaitAnswer(const Program& program) const {
  const absl::Time begin = absl::Now();
  absl::Time remind = begin + kReminderInterval;
  std::string last;
  while (absl::Now() - begin < kStartTimeout) {
    if (interrupt_->stopped()) return absl::CancelledError("interrupted");
    const auto answer = devstack::HttpGet(program.status_port, "/ready", kProbeTimeout);
    if (answer.ok() && answer->code == 200 && program.child->running()) return absl::OkStatus();
    last = answer.ok() ? absl::StrCat("it answers ", answer->code, ": ",
                                      std::string(absl::StripAsciiWhitespace(answer->body)))
                       : std::string(answer.status().message());
    if (program.child->Wait(kPoll).ok()) return EndedByItself(*program.child);
    SALDO_RETURN_IF_ERROR(Check());
    if (absl::Now() < remind) continue;
    Say("waiting for %s on http://127.0.0.1:%d/ready; %s", program.name, program.status_port, last);
    remind += kReminderInterval;
  }
  return absl::DeadlineExceededError(absl::StrCat(
      program.name, " is not ready after ", absl::FormatDuration(kStartTimeout), " (", last,
      "); the end of ", Shorter(program.child->log_file()), ":\n", program.child->LogTail()));
}

absl::Status Stack::Check() const {
  std::vector<const devstack::ChildProcess*> children;
  if (postgres_ != nullptr) children.push_back(postgres_->process());
  if (kafka_ != nullptr) children.push_back(kafka_->process());
  if (mock_broker_ != nullptr) children.push_back(mock_broker_.get());
  if (jaeger_ != nullptr) children.push_back(jaeger_->process());
  for (const Program& program : programs_) children.push_back(program.child.get());
  if (prometheus_ != nullptr) children.push_back(prometheus_->process());
  for (const devstack::ChildProcess* child : children) {
    if (child != nullptr && !child->running()) return EndedByItself(*child);
  }
  return absl::OkStatus();
}

void Stack::Stop() {
  const auto stop = [](const char* name, const devstack::ChildProcess* child, auto how) {
    if (child == nullptr || !child->running()) return;
    Say("stop %s ...", name);
    how();
    Say("stop %s: %s", name, EndedAsAsked(*child->exit()) ? "done" : child->exit()->ToString());
  };
  if (prometheus_ != nullptr)
    stop("Prometheus", prometheus_->process(), [&] { prometheus_->Stop(); });
  for (Program& program : programs_) {
    stop(program.name, program.child.get(), [&] { program.child->Stop(kStopGrace); });
  }
  if (jaeger_ != nullptr) stop("Jaeger", jaeger_->process(), [&] { jaeger_->Stop(); });
  stop("the mock broker", mock_broker_.get(), [&] { mock_broker_->Stop(kStopGrace); });
  if (kafka_ != nullptr) stop("Kafka", kafka_->process(), [&] { kafka_->Stop(); });
  if (postgres_ != nullptr) stop("PostgreSQL", postgres_->process(), [&] { postgres_->Stop(); });
  programs_.clear();
  lock_.reset();
}

std::string Stack::FirstCalls() const {
  const std::string self = Shorter(devstack::SiblingProgram("saldo").value_or("saldo"));
  const std::string tail = absl::StrCat("  ", self, " tail ");
  const std::string from = absl::StrCat(" --from-beginning --kafka=", brokers_, "\n");
  const std::string call = absl::StrCat(
      "  ", self, " call",
      options_.free_ports ? absl::StrCat(" --address=127.0.0.1:", ports_.grpc) : "", " ");
  // Another request id and title each time: what is repeated writes nothing and makes no event.
  const std::string now = absl::FormatTime("%Y%m%dT%H%M%S", absl::Now(), absl::LocalTimeZone());
  constexpr absl::string_view kWallet =
      R"("account":{"type":"client_wallet","key":{"client_id":"17","currency":"RUB"}})";
  return absl::StrCat(
      "The ledger: follow the events of wallets, pay 100 RUB into one, ask for its balance.\n\n",
      tail, kWalletTopic, from, call, "WriteEvents '{\"requestId\":\"", now, "\",\"events\":[{",
      kWallet, R"(,"attributes":{"source":"card"},"side":"SIDE_CREDIT","amount":"100"}]}')", "\n",
      call, "GetBalance '{", kWallet, "}'\n",
      "\nPackages: follow the events, create one, update it.\n\n", tail, kPackageTopic, from, call,
      "CreatePackageV1 ",
      R"('{"Title":"box","Material":"cardboard","MaximumVolume":1000,"Reusable":true}')", "\n",
      call, R"(UpdatePackageV1 '{"PackageID":1,"Title":"box of )", now, "\"}'\n",
      shards_.empty() ? OperatorCalls(self) : ShardCalls(self, call, now),
      jaeger_ == nullptr ? "" : TraceCalls());
}

std::string Stack::OperatorCalls(const std::string& self) const {
  const std::string database = absl::StrCat(" --postgres.dsn='", dsn_, "'\n");
  return absl::StrCat("\nFor operators: see what waits, and check that everything agrees.\n\n  ",
                      self, " outbox status", database, "  ", self, " verify", database);
}

std::string Stack::ShardCalls(const std::string& self, const std::string& call,
                              const std::string& now) const {
  const absl::StatusOr<shards::Databases> databases = shards::Resolve(shards_, "");
  if (!databases.ok()) return "";
  const std::string file = absl::StrCat(" --shards.file=", Shorter(shards_file_), "\n");
  std::string text = "\nThe shards: pay into a wallet of each, and see where they are.\n\n";
  for (size_t i = 0; i < databases->size(); ++i) {
    const int client = ClientOn(databases->map, i);
    absl::StrAppend(&text, call, "WriteEvents '{\"requestId\":\"", now, "-", shards_[i].name,
                    R"(","events":[{"account":{"type":"client_wallet","key":{"client_id":")",
                    client, R"(","currency":"RUB"}},"attributes":{"source":"card"},)",
                    R"("side":"SIDE_CREDIT","amount":"1"}]}')", "\n  ", self,
                    " shard which client_wallet client_id=", client, file);
  }
  return absl::StrCat(text, "  ", self, " shard status", file, "  ", self, " verify", file);
}

std::string Stack::TraceCalls() const {
  return absl::StrCat(
      "\nTraces: what the latest write to the ledger did, in microseconds.\n\n  curl -s '",
      jaeger_->url(),
      "/api/traces?service=saldo-server&operation=saldo.v1.AccountService/WriteEvents&limit=1"
      "&prettyPrint=true' | grep -E '\"(operationName|duration)\"'\n");
}

std::string Stack::DatabaseLines() const {
  if (shards_.empty()) return absl::StrCat("  PostgreSQL  psql '", dsn_, "'\n");
  std::string text;
  for (const shards::ShardConfig& shard : shards_) {
    absl::StrAppendFormat(&text, "  shard %-5s %s-%s, psql '%s'\n", shard.name, shard.from,
                          shard.to, shard.dsn);
  }
  return absl::StrCat(text, "  shards      ", Shorter(shards_file_), "\n");
}

std::string Stack::ObserverLines() const {
  if (prometheus_ == nullptr) return "";
  return absl::StrCat("  Prometheus  ", prometheus_->url(), "\n", "  Jaeger      ",
                      jaeger_ == nullptr ? "none: it could not be built, so nobody takes traces"
                                         : jaeger_->url() + "/api/traces?service=saldo-server",
                      "\n");
}

std::string Stack::Summary() const {
  return absl::StrFormat(
      "\nSaldo runs.\n"
      "  gRPC        127.0.0.1:%d\n"
      "  status      http://127.0.0.1:%d/ready and http://127.0.0.1:%d/ready\n"
      "  metrics     http://127.0.0.1:%d/metrics and http://127.0.0.1:%d/metrics\n"
      "%s%s"
      "  Kafka       %s%s\n"
      "  logs        %s/*.log\n"
      "\nTry it in other terminals.\n%s"
      "\nCtrl-C stops everything; the data stay in %s.\n",
      ports_.grpc, ports_.server_status, ports_.retranslator_status, ports_.server_metrics,
      ports_.retranslator_metrics, ObserverLines(), DatabaseLines(), brokers_,
      mock_broker_ != nullptr ? "  (librdkafka's MOCK cluster: in memory, NOT DURABLE)" : "",
      Shorter(options_.dir + "/log"), FirstCalls(), Shorter(options_.dir));
}

}  // namespace saldo::cli
