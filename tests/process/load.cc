#include "process/load.h"

#include <algorithm>
#include <utility>

#include <fmt/format.h>

#include "base/assert.h"
#include "base/prng.h"
#include "process/process_cluster.h"
#include "process/raw_client.h"
#include "process/rebuild_log.h"
#include "proto/etcd/rpc_kv.pb.h"

namespace cairn::process {
namespace {

using sim::HistoryOp;
using sim::OpKind;
using sim::OpOutcome;

constexpr std::uint64_t kKeys = 16;
// While a restarted member applies a long log again; etcd's rule, and its code.
constexpr std::string_view kBusy = "Unknown: etcdserver: too many requests";

template <class Response>
Response parse(ByteView bytes) {
    Response response;
    CAIRN_ASSERT(response.ParseFromArray(bytes.data(), static_cast<int>(bytes.size())));
    return response;
}

template <class Response>
void fill(HistoryOp& op, ByteView bytes) {
    auto response = parse<Response>(bytes);
    op.revision = response.header().revision();
    response.clear_header();
    op.body = response.SerializeAsString();
}

// How a call goes over the wire, and how its answer is read.
struct CallForm {
    wire::MethodId method;
    void (*fill)(HistoryOp& op, ByteView bytes);
};

CallForm form_of(const HistoryOp& op) {
    if (op.kind != OpKind::kWrite) {
        return {wire::MethodId::kKvRange, &fill<etcdserverpb::RangeResponse>};
    }
    if (op.command == command::PUT) {
        return {wire::MethodId::kKvPut, &fill<etcdserverpb::PutResponse>};
    }
    if (op.command == command::DELETE_RANGE) {
        return {wire::MethodId::kKvDeleteRange, &fill<etcdserverpb::DeleteRangeResponse>};
    }
    return {wire::MethodId::kKvTxn, &fill<etcdserverpb::TxnResponse>};
}

bool is_acknowledged_write(const HistoryOp& op) {
    return op.kind == OpKind::kWrite && op.outcome == OpOutcome::kDone;
}

}  // namespace

sim::Time now() {
    return static_cast<sim::Time>(
        std::chrono::nanoseconds(Clock::now().time_since_epoch()).count());
}

// One client.
class Load::Worker {
  public:
    Worker(Load& load, const std::vector<std::string>& endpoints, const LoadOptions& options,
           std::uint64_t id)
        : load_(load),
          client_(endpoints, id, options.request_timeout),
          prng_(Prng(options.seed).split(fmt::format("client {}", id))),
          id_(id),
          tag_(id << 32U),
          pause_max_(options.pause_max),
          padding_bytes_max_(options.padding_bytes_max) {}

    void write_until_stopped() {
        while (!load_.stopping_) {
            write();
            pause();
        }
    }

    void read_until_stopped() {
        while (!load_.stopping_) {
            read(prng_.next() % 4 == 0 ? OpKind::kSerialRead : OpKind::kLinearRead,
                 prng_.next() % 4 == 0 ? std::string("k/") : any_key());
            pause();
        }
    }

  private:
    void write();
    void put(const std::string& key);
    void remove(const std::string& key);
    void compare_and_put(const std::string& key);
    void remove_and_mark(const std::string& key);
    std::optional<etcdserverpb::RangeResponse> read(OpKind kind, const std::string& key);
    void call(HistoryOp& op);
    void call_write(command::CommandKind command, std::string request);

    std::string any_key() { return fmt::format("k/{:02}", prng_.next() % kKeys); }
    std::string value() {
        return tagged_value(++tag_, std::string(prng_.next() % padding_bytes_max_, '.'));
    }
    void pause() {
        const auto part = prng_.next() % static_cast<std::uint64_t>(pause_max_.count());
        std::this_thread::sleep_for(std::chrono::microseconds(part));
    }

    Load& load_;
    RawClient client_;
    Prng prng_;
    const std::uint64_t id_;
    std::uint64_t tag_;
    const std::chrono::microseconds pause_max_;
    const std::size_t padding_bytes_max_;
};

void Load::Worker::write() {
    const auto roll = prng_.next() % 100;
    const auto key = any_key();
    if (roll < 60) {
        put(key);
    } else if (roll < 75) {
        remove(key);
    } else if (roll < 90) {
        compare_and_put(key);
    } else {
        remove_and_mark(key);
    }
}

void Load::Worker::put(const std::string& key) {
    etcdserverpb::PutRequest request;
    request.set_key(key);
    request.set_value(value());
    request.set_prev_kv(prng_.next() % 2 == 0);
    call_write(command::PUT, request.SerializeAsString());
}

void Load::Worker::remove(const std::string& key) {
    ++tag_;
    etcdserverpb::DeleteRangeRequest request;
    request.set_key(key);
    request.set_prev_kv(prng_.next() % 2 == 0);
    call_write(command::DELETE_RANGE, request.SerializeAsString());
}

void Load::Worker::compare_and_put(const std::string& key) {
    const auto seen = read(OpKind::kLinearRead, key);
    if (!seen.has_value()) {
        return;
    }
    etcdserverpb::TxnRequest request;
    auto& compare = *request.add_compare();
    compare.set_key(key);
    compare.set_target(etcdserverpb::Compare::MOD);
    compare.set_mod_revision(seen->kvs_size() > 0 ? seen->kvs(0).mod_revision() : 0);
    auto& put = *request.add_success()->mutable_request_put();
    put.set_key(key);
    put.set_value(value());
    request.add_failure()->mutable_request_range()->set_key(key);
    call_write(command::TXN, request.SerializeAsString());
}

// The mark makes a revision of it even when there was nothing to remove.
void Load::Worker::remove_and_mark(const std::string& key) {
    etcdserverpb::TxnRequest request;
    request.add_success()->mutable_request_delete_range()->set_key(key);
    auto& put = *request.add_success()->mutable_request_put();
    put.set_key(fmt::format("mark/{:02}", id_));
    put.set_value(value());
    call_write(command::TXN, request.SerializeAsString());
}

std::optional<etcdserverpb::RangeResponse> Load::Worker::read(OpKind kind, const std::string& key) {
    etcdserverpb::RangeRequest request;
    request.set_key(key);
    if (key.back() == '/') {
        request.set_range_end(key.substr(0, key.size() - 1) + '0');
    }
    request.set_serializable(kind == OpKind::kSerialRead);
    HistoryOp op;
    op.tag = ++tag_;
    op.kind = kind;
    op.request = request.SerializeAsString();
    call(op);
    if (op.outcome != OpOutcome::kDone) {
        return std::nullopt;
    }
    return parse<etcdserverpb::RangeResponse>(op.body);
}

void Load::Worker::call_write(command::CommandKind command, std::string request) {
    HistoryOp op;
    op.tag = tag_;
    op.kind = OpKind::kWrite;
    op.command = command;
    op.request = std::move(request);
    call(op);
}

void Load::Worker::call(HistoryOp& op) {
    const auto kind =
        op.kind == OpKind::kWrite ? client::CallKind::kWrite : client::CallKind::kRead;
    op.invoked = now();
    const CallForm form = form_of(op);
    const auto answer = client_.call(form.method, kind, op.request);
    op.returned = now();
    if (answer) {
        op.outcome = OpOutcome::kDone;
        form.fill(op, answer->view());
        return load_.record(op, {});
    }
    // A read that failed saw nothing; only a write's fate is a question.
    op.outcome = answer.error().maybe_applied ? OpOutcome::kOpen : OpOutcome::kNotApplied;
    load_.record(op, text_of(answer.error()));
}

Load::Load(const std::vector<std::string>& endpoints, const LoadOptions& options) {
    std::uint64_t id = options.client_id_first;
    for (const auto& endpoint : endpoints) {
        threads_.emplace_back([this, endpoint, options, id] {
            Worker(*this, {endpoint}, options, id).write_until_stopped();
        });
        ++id;
    }
    for (std::size_t i = 0; i < options.readers; ++i) {
        threads_.emplace_back([this, endpoints, options, id] {
            Worker(*this, endpoints, options, id).read_until_stopped();
        });
        ++id;
    }
}

Load::~Load() { stop(); }

void Load::record(HistoryOp op, const std::string& error) {
    const std::lock_guard guard(mutex_);
    if (is_acknowledged_write(op)) {
        ++writes_acknowledged_;
    }
    if (!error.empty()) {
        ++errors_[error];
    }
    history_.push_back(std::move(op));
}

bool Load::wait_for_write_since(sim::Time begin, std::chrono::seconds limit) {
    const auto found = [&] {
        const std::lock_guard guard(mutex_);
        for (auto op = history_.rbegin(); op != history_.rend() && op->returned >= begin; ++op) {
            if (is_acknowledged_write(*op) && op->invoked >= begin) {
                return true;
            }
        }
        return false;
    };
    return wait_until(found, limit);
}

std::chrono::nanoseconds Load::longest_standstill(sim::Time begin, sim::Time end) {
    std::vector<sim::Time> times{begin, end};
    {
        const std::lock_guard guard(mutex_);
        for (const auto& op : history_) {
            if (is_acknowledged_write(op) && op.returned > begin && op.returned < end) {
                times.push_back(op.returned);
            }
        }
    }
    std::sort(times.begin(), times.end());
    sim::Time longest = 0;
    for (std::size_t i = 1; i < times.size(); ++i) {
        longest = std::max(longest, times[i] - times[i - 1]);
    }
    return std::chrono::nanoseconds(longest);
}

std::size_t Load::writes_acknowledged() {
    const std::lock_guard guard(mutex_);
    return writes_acknowledged_;
}

std::map<std::string, std::size_t> Load::errors() {
    const std::lock_guard guard(mutex_);
    return errors_;
}

const std::vector<HistoryOp>& Load::stop() {
    stopping_ = true;
    for (auto& thread : threads_) {
        thread.join();
    }
    threads_.clear();
    return history_;
}

std::string text_of(const client::Error& error) {
    return fmt::format("{}: {}", wire::grpc_code_name(error.code), error.message);
}

bool is_excused(std::string_view text) {
    return text.starts_with("Unavailable: ") || text.starts_with("DeadlineExceeded: ") ||
           text == kBusy;
}

std::optional<std::string> refusal(const std::map<std::string, std::size_t>& errors) {
    std::optional<std::string> found;
    for (const auto& [text, count] : errors) {
        fmt::print("{:6} x {}\n", count, text);
        if (!is_excused(text)) {
            found = "a client was refused: " + text;
        }
    }
    return found;
}

}  // namespace cairn::process
