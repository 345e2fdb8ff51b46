// The checker of real runs: that it accepts what is right, and finds each kind of wrong.
#include "process/rebuild_log.h"

#include "catch.h"

#include "sim/model.h"

namespace cairn::process {
namespace {

using etcdserverpb::RangeResponse;
using sim::HistoryOp;
using sim::OpKind;
using sim::OpOutcome;

// A store that is right by definition, and the clients' notes about it.
class FakeRun {
  public:
    FakeRun() { note_state(); }

    // Carries out and answers. Each op takes the next ten nanoseconds.
    HistoryOp& put(std::uint64_t tag, const std::string& key) {
        return write(tag, command::PUT, put_request(tag, key));
    }
    HistoryOp& remove(std::uint64_t tag, const std::string& key) {
        etcdserverpb::DeleteRangeRequest request;
        request.set_key(key);
        request.set_prev_kv(true);
        return write(tag, command::DELETE_RANGE, request.SerializeAsString());
    }
    // Succeeds when the key is absent.
    HistoryOp& create(std::uint64_t tag, const std::string& key) {
        etcdserverpb::TxnRequest request;
        auto& compare = *request.add_compare();
        compare.set_key(key);
        compare.set_target(etcdserverpb::Compare::CREATE);
        request.add_success()->mutable_request_put()->ParseFromString(put_request(tag, key));
        request.add_failure()->mutable_request_range()->set_key(key);
        return write(tag, command::TXN, request.SerializeAsString());
    }
    HistoryOp& read(const std::string& key, std::int64_t revision) {
        etcdserverpb::RangeRequest request;
        request.set_key(key);
        HistoryOp& op = next(++tag_of_reads_, OpKind::kLinearRead);
        op.request = request.SerializeAsString();
        op.revision = revision;
        op.body = model_.range(request, revision).SerializeAsString();
        return op;
    }
    // What the store does behind the clients' backs.
    void carry_out(const HistoryOp& op) {
        model_.apply(op.command, op.request);
        note_state();
    }
    void open(HistoryOp& op) {
        op.outcome = OpOutcome::kOpen;
        op.body.clear();
    }
    void forget_newest() { states_.pop_back(); }

    std::optional<std::string> verdict() {
        const auto rebuilt = rebuild_log(history_, states_);
        return rebuilt.wrong ? rebuilt.wrong : check_linear(history_, rebuilt.commands);
    }
    [[nodiscard]] std::int64_t revision() const { return model_.revision(); }

  private:
    static std::string put_request(std::uint64_t tag, const std::string& key) {
        etcdserverpb::PutRequest request;
        request.set_key(key);
        request.set_value(tagged_value(tag, "padding"));
        return request.SerializeAsString();
    }
    HistoryOp& next(std::uint64_t tag, OpKind kind) {
        history_.push_back({.tag = tag,
                            .kind = kind,
                            .invoked = time_,
                            .returned = time_ + 5,
                            .outcome = OpOutcome::kDone});
        time_ += 10;
        return history_.back();
    }
    HistoryOp& write(std::uint64_t tag, command::CommandKind kind, std::string request) {
        const auto outcome = model_.apply(kind, request);
        HistoryOp& op = next(tag, OpKind::kWrite);
        op.command = kind;
        op.request = std::move(request);
        op.revision = outcome.revision;
        op.body = outcome.body;
        if (outcome.mutated) {
            note_state();
        }
        return op;
    }
    void note_state() {
        etcdserverpb::RangeRequest all;
        all.set_key(std::string(1, '\0'));
        all.set_range_end(std::string(1, '\0'));
        states_.push_back(model_.range(all, model_.revision()));
    }

    sim::Model model_;
    std::vector<RangeResponse> states_;
    std::vector<HistoryOp> history_ = make_history();
    sim::Time time_ = 100;
    std::uint64_t tag_of_reads_ = 1'000'000;

    // References to elements are handed out.
    static std::vector<HistoryOp> make_history() {
        std::vector<HistoryOp> history;
        history.reserve(100);
        return history;
    }
};

TEST_CASE("a right history is accepted", "[process][checker]") {
    FakeRun run;
    run.put(1, "a");
    run.create(2, "a");  // fails, changes nothing
    run.create(3, "b");
    run.remove(4, "a");
    run.remove(5, "a");  // of nothing
    run.read("b", run.revision());
    run.put(6, "a");
    CHECK(run.verdict() == std::nullopt);
}

TEST_CASE("a write without an answer may be there or not", "[process][checker]") {
    FakeRun run;
    run.put(1, "a");
    run.open(run.put(2, "a"));
    run.open(run.put(3, "b"));
    run.put(4, "a");
    CHECK(run.verdict() == std::nullopt);
    run.open(run.put(5, "c"));
    run.forget_newest();
    CHECK(run.verdict() == std::nullopt);
}

TEST_CASE("a removal without an answer is placed", "[process][checker]") {
    FakeRun run;
    run.put(1, "a");
    run.open(run.remove(2, "b"));  // of nothing
    run.open(run.remove(3, "a"));
    run.put(4, "a");
    run.open(run.remove(5, "a"));
    CHECK(run.verdict() == std::nullopt);
}

TEST_CASE("a lost write is found", "[process][checker]") {
    FakeRun run;
    run.put(1, "a");
    run.put(2, "b");
    run.forget_newest();
    CHECK(run.verdict() == "acknowledged write 2 is lost");
}

TEST_CASE("a lost removal is found", "[process][checker]") {
    FakeRun run;
    run.put(1, "a");
    run.remove(2, "a");
    run.forget_newest();
    CHECK(run.verdict() == "acknowledged write 2 is lost");
}

TEST_CASE("a stale read is found", "[process][checker]") {
    FakeRun run;
    run.put(1, "a");
    const auto before = run.revision();
    run.put(2, "a");
    run.read("a", before);
    REQUIRE(run.verdict().has_value());
    CHECK(run.verdict()->find("2 had returned from 3 before it was invoked") != std::string::npos);
}

TEST_CASE("a read of what never was is found", "[process][checker]") {
    FakeRun run;
    run.put(1, "a");
    run.read("a", run.revision()).body.clear();
    REQUIRE(run.verdict().has_value());
    CHECK(run.verdict()->find("did not see the state of that revision") != std::string::npos);
}

TEST_CASE("a write that took effect twice is found", "[process][checker]") {
    FakeRun run;
    const HistoryOp first = run.put(1, "a");
    run.put(2, "a");
    run.carry_out(first);
    CHECK(run.verdict() == "write 1 took effect twice");
}

TEST_CASE("a write that took effect after it was refused is found", "[process][checker]") {
    FakeRun run;
    run.put(1, "a").outcome = OpOutcome::kNotApplied;
    CHECK(run.verdict() == "write 1 took effect after NotApplied was answered");
}

TEST_CASE("a removal that nobody asked for is found", "[process][checker]") {
    FakeRun run;
    run.put(1, "a");
    const HistoryOp removal = run.remove(2, "a");
    run.put(3, "a");
    run.carry_out(removal);
    CHECK(run.verdict() == "revision 5: nobody removed a");
}

TEST_CASE("a value that nobody wrote is found", "[process][checker]") {
    FakeRun run;
    HistoryOp stranger = run.put(1, "a");
    etcdserverpb::PutRequest request;
    request.set_key("a");
    request.set_value(tagged_value(77, ""));
    stranger.request = request.SerializeAsString();
    run.carry_out(stranger);
    CHECK(run.verdict() == "revision 3: a value that nobody wrote");
}

TEST_CASE("an answer that is not the model's is found", "[process][checker]") {
    FakeRun run;
    run.put(1, "a");
    auto& removal = run.remove(2, "a");
    etcdserverpb::DeleteRangeResponse wrong;
    wrong.set_deleted(2);
    removal.body = wrong.SerializeAsString();
    REQUIRE(run.verdict().has_value());
    CHECK(run.verdict()->find("another body than the model") != std::string::npos);
}

TEST_CASE("tags survive in values", "[process][checker]") {
    CHECK(tag_of(tagged_value(UINT64_MAX, "x")) == UINT64_MAX);
    CHECK(tag_of("12") == std::nullopt);
    CHECK(tag_of("x;12") == std::nullopt);
    CHECK(tag_of("") == std::nullopt);
}

}  // namespace
}  // namespace cairn::process
