// Writes that want no effect if their answer would be too long: the same at every member, whatever
// it does on the way.
#include <string>
#include <utility>
#include <vector>

#include "fixture.h"

namespace cairn::storage::test {
namespace {

using etcdserverpb::RangeRequest;

raft::Entry bounded(Fixture& store, command::CommandKind kind,
                    const google::protobuf::MessageLite& request, std::uint64_t answer_bytes_max) {
    raft::Entry entry = store.entry(kind, request);
    Command command = decode_command(entry.payload).value();
    command.request = encode_bounded({answer_bytes_max, kind, command.request.view()});
    command.kind = command::BOUNDED;
    entry.payload = encode_command(command);
    return entry;
}

void fill(Fixture& store) {
    for (int i = 0; i < 10; ++i) {
        store.put("k" + std::to_string(i),
                  std::string(1000 + 100 * static_cast<std::size_t>(i), 'v'));
    }
}

struct Case {
    std::string name;
    command::CommandKind kind;
    std::string request;
};

std::vector<Case> cases() {
    std::vector<Case> all;
    etcdserverpb::PutRequest put = put_of("k9", "new");
    put.set_prev_kv(true);
    all.push_back({"put", command::PUT, put.SerializeAsString()});
    etcdserverpb::DeleteRangeRequest gone = delete_of("k", "l");
    gone.set_prev_kv(true);
    all.push_back({"delete", command::DELETE_RANGE, gone.SerializeAsString()});

    etcdserverpb::TxnRequest txn;
    *txn.add_success()->mutable_request_put() = put;
    *txn.add_success()->mutable_request_range() = range_of("k", "l");
    all.push_back({"txn", command::TXN, txn.SerializeAsString()});
    etcdserverpb::TxnRequest outer;
    *outer.add_success()->mutable_request_put() = put_of("outer", "1");
    *outer.add_success()->mutable_request_txn() = txn;
    *outer.add_success()->mutable_request_delete_range() = delete_of("k3");
    all.push_back({"nested txn", command::TXN, outer.SerializeAsString()});
    etcdserverpb::TxnRequest sorted;
    RangeRequest* range = sorted.add_success()->mutable_request_range();
    *range = range_of("k", "l");
    range->set_sort_target(RangeRequest::VALUE);
    range->set_sort_order(RangeRequest::DESCEND);
    *sorted.add_success()->mutable_request_put() = put;
    all.push_back({"sorted", command::TXN, sorted.SerializeAsString()});
    return all;
}

raft::Entry entry_of(Fixture& store, const Case& one, std::uint64_t answer_bytes_max) {
    etcdserverpb::PutRequest put;
    etcdserverpb::DeleteRangeRequest gone;
    etcdserverpb::TxnRequest txn;
    google::protobuf::MessageLite* request = &txn;
    if (one.kind == command::PUT) {
        request = &put;
    } else if (one.kind == command::DELETE_RANGE) {
        request = &gone;
    }
    REQUIRE(request->ParseFromString(one.request));
    return answer_bytes_max == 0 ? store.entry(one.kind, *request)
                                 : bounded(store, one.kind, *request, answer_bytes_max);
}

}  // namespace

TEST_CASE("A bounded write has its effect exactly if its answer is not too long") {
    for (const Case& one : cases()) {
        INFO(one.name);
        Fixture plain;
        fill(plain);
        const ApplyOutput wanted = plain.apply({entry_of(plain, one, 0)});
        const std::size_t bytes = wanted.results.at(0).body.size();
        REQUIRE(bytes > 1000);

        Fixture store;
        fill(store);
        const std::string before = store.show_all();
        for (const std::uint64_t less : {std::uint64_t{1}, std::uint64_t{bytes / 2}, bytes - 1}) {
            const ApplyOutput output = store.apply({entry_of(store, one, less)});
            CHECK(output.results.at(0).error == Errc::kMessageTooLarge);
            CHECK(output.results.at(0).body.empty());
            CHECK(output.results.at(0).revision == 11);
            CHECK(output.events.empty());
            CHECK(store.show_all() == before);
        }
        const ApplyOutput output = store.apply({entry_of(store, one, bytes)});
        CHECK_FALSE(output.results.at(0).error.has_value());
        CHECK(output.results.at(0).body == wanted.results.at(0).body);
        CHECK(output.results.at(0).revision == wanted.results.at(0).revision);
        CHECK(store.show_all() == plain.show_all());
    }
}

TEST_CASE("What a sort must keep is bounded, too, and what stands before in the batch stays") {
    Fixture store;
    fill(store);
    etcdserverpb::TxnRequest txn;
    *txn.add_success()->mutable_request_put() = put_of("a", "1");
    RangeRequest* range = txn.add_success()->mutable_request_range();
    *range = range_of("k", "l");
    range->set_sort_target(RangeRequest::VALUE);
    range->set_keys_only(true);  // a short answer, but by what all the values are
    const ApplyOutput refused = store.apply(
        {store.entry(command::PUT, put_of("b", "2")), bounded(store, command::TXN, txn, 10'000)});
    CHECK_FALSE(refused.results.at(0).error.has_value());
    CHECK(refused.results.at(1).error == Errc::kMessageTooLarge);
    CHECK(store.show(range_of("a", "c")) == "b=2");
    const ApplyOutput done = store.apply({bounded(store, command::TXN, txn, 15'000)});
    CHECK_FALSE(done.results.at(0).error.has_value());
    CHECK(store.show(range_of("a", "c")) == "a=1 b=2");
    // The best few of them are few.
    range->set_limit(2);
    CHECK_FALSE(
        store.apply({bounded(store, command::TXN, txn, 3'000)}).results.at(0).error.has_value());
}

TEST_CASE("A bounded command that is none is refused alike everywhere") {
    Fixture store;
    const auto outcome = [&store](std::string request) {
        raft::Entry entry = store.entry(command::PUT, put_of("a", "1"));
        Command command = decode_command(entry.payload).value();
        command.kind = command::BOUNDED;
        command.request = Bytes::copy_of(request);
        entry.payload = encode_command(command);
        return store.apply({entry}).results.at(0).error;
    };
    const std::string bound(8, '\x7f');
    CHECK(outcome("") == Errc::kMalformedRequest);
    CHECK(outcome(bound) == Errc::kMalformedRequest);
    CHECK(outcome(bound + '\x04') == Errc::kMalformedRequest);  // a compaction
    CHECK(outcome(bound + '\x0b') == Errc::kMalformedRequest);  // itself
    CHECK(outcome(bound + "\x01\xff") == Errc::kMalformedRequest);
    CHECK(outcome(bound + '\x01' + put_of("a", "1").SerializeAsString()) == std::nullopt);
    CHECK(store.show_all() == "a=1");
}

TEST_CASE("What a bounded command's answer may have is read off its entry") {
    Fixture store;
    CHECK(answer_bytes_max(store.entry(command::PUT, put_of("a", "1")).payload.view()) == 0);
    const raft::Entry entry = bounded(store, command::PUT, put_of("a", "1"), 123'456);
    CHECK(answer_bytes_max(entry.payload.view()) == 123'456);
    Command command = decode_command(entry.payload).value();
    command.user = "somebody";
    CHECK(answer_bytes_max(encode_command(command).view()) == 123'456);
    for (std::size_t size = 0; size < 60; ++size) {
        CHECK(answer_bytes_max(entry.payload.view().substr(0, size)) % 123'456 == 0);
    }
}

}  // namespace cairn::storage::test
