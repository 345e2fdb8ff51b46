// What the client library takes and gives: requests with their options, and answers.
// Plain values with the library's own strings; any thread. Fields mean what etcd's v3 API says;
// zero or empty is "not set" throughout. Each request names the answer it gets as its Response.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

namespace cairn::client {

struct ResponseHeader {
    std::uint64_t cluster_id = 0;
    std::uint64_t member_id = 0;
    std::int64_t revision = 0;
    std::uint64_t raft_term = 0;
};

struct KeyValue {
    std::string key;
    std::string value;
    std::int64_t create_revision = 0;
    std::int64_t mod_revision = 0;
    std::int64_t version = 0;
    std::int64_t lease = 0;
};

// The end of the interval of all keys that begin with `prefix`: its last byte that is not 0xff plus
// one, the rest cut; "\0" (no end) when there is none.
std::string prefix_end(std::string_view prefix);
// As range_end: every key from the first on.
inline constexpr std::string_view kFromKey{"\0", 1};

enum class SortOrder : std::uint8_t { kNone, kAscend, kDescend };
enum class SortTarget : std::uint8_t { kKey, kVersion, kCreate, kMod, kValue };

struct GetOptions {
    std::string range_end;  // exclusive; empty: the key alone
    std::int64_t limit = 0;
    std::int64_t revision = 0;
    SortOrder sort_order = SortOrder::kNone;
    SortTarget sort_target = SortTarget::kKey;
    bool serializable = false;  // from the member's own data, possibly old
    bool keys_only = false;
    bool count_only = false;
    std::int64_t min_mod_revision = 0;
    std::int64_t max_mod_revision = 0;
    std::int64_t min_create_revision = 0;
    std::int64_t max_create_revision = 0;
};

struct GetResponse {
    ResponseHeader header;
    std::vector<KeyValue> kvs;
    bool more = false;
    std::int64_t count = 0;
};

struct PutOptions {
    std::int64_t lease = 0;
    bool prev_kv = false;
    bool ignore_value = false;
    bool ignore_lease = false;
};

struct PutResponse {
    ResponseHeader header;
    std::optional<KeyValue> prev_kv;
};

struct DeleteOptions {
    std::string range_end;
    bool prev_kv = false;
};

struct DeleteResponse {
    ResponseHeader header;
    std::int64_t deleted = 0;
    std::vector<KeyValue> prev_kvs;
};

enum class CompareTarget : std::uint8_t { kVersion, kCreate, kMod, kValue, kLease };
enum class CompareResult : std::uint8_t { kEqual, kGreater, kLess, kNotEqual };

// True when <target of key> <result> <operand>; with range_end, when it is for every key there.
struct Compare {
    std::string key;
    std::string range_end;
    CompareTarget target = CompareTarget::kVersion;
    CompareResult result = CompareResult::kEqual;
    std::int64_t number = 0;  // the operand, unless the target is the value
    std::string value;        // the operand when it is
};

struct GetOp {
    using Response = GetResponse;
    std::string key;
    GetOptions options;
};

struct PutOp {
    using Response = PutResponse;
    std::string key;
    std::string value;
    PutOptions options;
};

struct DeleteOp {
    using Response = DeleteResponse;
    std::string key;
    DeleteOptions options;
};

struct TxnRequest;
struct TxnResponse;
// A nested transaction; not null.
using TxnOp = std::shared_ptr<const TxnRequest>;
using Op = std::variant<GetOp, PutOp, DeleteOp, TxnOp>;

// All compares hold: the operations of `success`; else those of `failure`; in one revision.
struct TxnRequest {
    using Response = TxnResponse;
    std::vector<Compare> compares;
    std::vector<Op> success;
    std::vector<Op> failure;
};

using OpResponse =
    std::variant<GetResponse, PutResponse, DeleteResponse, std::shared_ptr<const TxnResponse>>;

struct TxnResponse {
    ResponseHeader header;
    bool succeeded = false;
    std::vector<OpResponse> responses;  // one for each operation of the list that ran
};

struct CompactResponse {
    ResponseHeader header;
};

struct CompactRequest {
    using Response = CompactResponse;
    std::int64_t revision = 0;
    bool physical = false;
};

struct Member {
    std::uint64_t id = 0;
    std::string name;  // empty until the member has started
    std::vector<std::string> peer_urls;
    std::vector<std::string> client_urls;
    bool is_learner = false;
};

struct MemberListResponse {
    ResponseHeader header;
    std::vector<Member> members;
};

struct MemberListRequest {
    using Response = MemberListResponse;
    bool linearizable = true;
};

struct MemberAddResponse {
    ResponseHeader header;
    Member member;                // the added one
    std::vector<Member> members;  // all, it included
};

struct MemberAddRequest {
    using Response = MemberAddResponse;
    std::vector<std::string> peer_urls;
    bool is_learner = false;
};

// The other changes answer with the members after them.
struct MemberRemoveRequest {
    using Response = MemberListResponse;
    std::uint64_t id = 0;
};

struct MemberUpdateRequest {
    using Response = MemberListResponse;
    std::uint64_t id = 0;
    std::vector<std::string> peer_urls;  // instead of those it has
};

struct MemberPromoteRequest {
    using Response = MemberListResponse;
    std::uint64_t id = 0;
};

struct StatusResponse {
    ResponseHeader header;
    std::string version;
    std::int64_t db_size = 0;
    std::int64_t db_size_in_use = 0;
    std::uint64_t leader = 0;  // 0: none known
    std::uint64_t raft_index = 0;
    std::uint64_t raft_term = 0;
    std::uint64_t raft_applied_index = 0;
    std::vector<std::string> errors;
    bool is_learner = false;
    std::string storage_version;
    std::int64_t db_size_quota = 0;
};

struct StatusRequest {
    using Response = StatusResponse;
};

struct HashKvResponse {
    ResponseHeader header;
    std::uint32_t hash = 0;
    std::int64_t compact_revision = 0;
    std::int64_t hash_revision = 0;
};

struct HashKvRequest {
    using Response = HashKvResponse;
    std::int64_t revision = 0;
};

struct HashResponse {
    ResponseHeader header;
    std::uint32_t hash = 0;
};

struct HashRequest {
    using Response = HashResponse;
};

struct DefragmentResponse {
    ResponseHeader header;
};

struct DefragmentRequest {
    using Response = DefragmentResponse;
};

struct MoveLeaderResponse {
    ResponseHeader header;
};

struct MoveLeaderRequest {
    using Response = MoveLeaderResponse;
    std::uint64_t target = 0;  // the member to become leader
};

enum class AlarmType : std::uint8_t { kNone, kNoSpace, kCorrupt };

struct Alarm {
    std::uint64_t member_id = 0;
    AlarmType type = AlarmType::kNone;
};

struct AlarmListResponse {
    ResponseHeader header;
    std::vector<Alarm> alarms;
};

struct AlarmListRequest {
    using Response = AlarmListResponse;
};

// Answered with what was disarmed.
struct AlarmDisarmRequest {
    using Response = AlarmListResponse;
    Alarm alarm;
};

enum class DowngradeAction : std::uint8_t { kValidate, kEnable, kCancel };

struct DowngradeResponse {
    ResponseHeader header;
    std::string version;  // of the cluster now
};

struct DowngradeRequest {
    using Response = DowngradeResponse;
    DowngradeAction action = DowngradeAction::kValidate;
    std::string version;  // to go to, as in "3.4"
};

}  // namespace cairn::client
