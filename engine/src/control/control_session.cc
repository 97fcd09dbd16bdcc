/// @file
/// Answers the requests of one control connection from the store.
#include "control/control_session.h"

#include <new>
#include <optional>
#include <utility>
#include <variant>

#include "control/report_codec.h"
#include "no_memory.h"

namespace vectolith::engine {
namespace {

/// A scan's batch is sent once it is this long: long enough to hide the round trip, short enough to
/// be stopped quickly.
constexpr std::size_t kScanBatchBytes = 256U << 10;

using AnyFamily = std::variant<Family, RecordFamily>;

/// The family of this name, whichever its kind. Errors: kNotFound, kClosed.
Result<AnyFamily> find_family(Store& store, std::string_view name) {
  auto vectors = store.family(name);
  if (vectors.has_value()) return AnyFamily(*std::move(vectors));
  if (vectors.error().code() != ErrorCode::kWrongFamily) return std::unexpected(std::move(vectors).error());
  VECTOLITH_TRY_ASSIGN(auto records, store.existing_record_family(name));
  return AnyFamily(std::move(records));
}

ControlRow row_of(const VectorView& view) {
  return {view.key(), view.sequence(), view.created_at_s(), view.bytes()};
}

ControlRow row_of(const Record& record) {
  return {record.key, record.sequence, static_cast<std::uint32_t>(record.created_at_ms / 1'000),
          record.payload};
}

/// A peer's malformed bytes are its bad argument; kCorruption is kept for the store's own bytes.
Error bad_request(const Error& error) {
  if (error.code() != ErrorCode::kCorruption) return error;
  return Error(ErrorCode::kInvalidArgument, "the request breaks the control protocol")
      .with_found(error.to_string());
}

template <class T>
Result<T> as_request(Result<T> decoded) {
  if (!decoded.has_value()) return std::unexpected(bad_request(decoded.error()));
  return decoded;
}

template <class Value>
ControlFrame answer(ControlVerb verb, const Value& value) {
  ControlFrame frame(verb);
  encode_control(frame.payload(), value);
  return frame;
}

}  // namespace

/// Marks the session as waiting for its peer, so that the watcher can end the wait.
class ControlSession::Waiting {
 public:
  Waiting(ControlSession& session, std::chrono::nanoseconds limit) noexcept : session_(session) {
    const auto now_ns = session.context_.environment.steady_ns();
    session.overdue_at_ns_.store(now_ns + static_cast<std::uint64_t>(limit.count()),
                                 std::memory_order_relaxed);
  }
  Waiting(const Waiting&) = delete;
  ~Waiting() { session_.overdue_at_ns_.store(0, std::memory_order_relaxed); }

 private:
  ControlSession& session_;
};

/// Gathers rows into batches. After each batch the peer says whether it wants more, so a scan that
/// nobody reads any longer ends, and at most one batch is under way.
class ControlSession::ScanStream {
 public:
  explicit ScanStream(ControlSession& session) : session_(session) {}

  /// False when the scan is to end: the peer stopped it or went away.
  bool add(const ControlRow& row) {
    encode_control(batch_.payload(), row);
    ++rows_;
    return batch_.payload_bytes() < kScanBatchBytes || flush();
  }
  /// Sends what is left.
  bool finish() { return stopped_ || batch_.payload_bytes() == 0 || flush(); }
  [[nodiscard]] ScanEnd end() const noexcept { return {rows_}; }

 private:
  bool flush() {
    ControlFrame full(ControlVerb::kScanBatch);
    std::swap(full, batch_);
    stopped_ = !session_.send(std::move(full)) || !wants_more();
    return !stopped_;
  }

  bool wants_more() {
    const auto header = session_.read_header(session_.context_.patience.within_request);
    if (!header.has_value()) return session_.end_after(header.error());
    const auto payload = session_.read_payload(*header);
    if (!payload.has_value()) return session_.end_after(payload.error());
    if (header->verb == ControlVerb::kScanMore) return true;
    if (header->verb == ControlVerb::kScanCancel) return false;
    return session_.end_after(
        Error(ErrorCode::kInvalidArgument, "only kScanMore or kScanCancel may follow a batch of a scan"));
  }

  ControlSession& session_;
  ControlFrame batch_{ControlVerb::kScanBatch};
  std::uint64_t rows_ = 0;
  bool stopped_ = false;
};

ControlSession::ControlSession(ControlContext& context, std::unique_ptr<Connection> connection) noexcept
    : context_(context), connection_(std::move(connection)) {}

void ControlSession::shutdown_if_overdue(std::uint64_t now_ns) noexcept {
  const auto overdue_at_ns = overdue_at_ns_.load(std::memory_order_relaxed);
  if (overdue_at_ns != 0 && now_ns >= overdue_at_ns) shutdown();
}

bool ControlSession::serve_one() noexcept {
  try {
    return serve_request();
  } catch (const std::bad_alloc&) {
    return end();  // In the middle of a frame, perhaps: nothing tells where the next one starts.
  }
}

bool ControlSession::serve_request() {
  request_ = 0;
  const auto header = read_header(context_.patience.between_requests);
  if (!header.has_value()) return end_after(header.error());
  request_ = header->request;
  const auto payload = read_payload(*header);
  if (!payload.has_value()) return end_after(payload.error());

  auto result = catch_no_memory([&] { return run(header->verb, *payload); });
  if (ended()) return false;
  return result.has_value() ? send(*std::move(result)) : send_error(result.error());
}

Result<ControlHeader> ControlSession::read_header(std::chrono::nanoseconds limit) {
  const Waiting waiting(*this, limit);
  return read_control_header(*connection_, ControlRole::kServer);
}

Result<std::vector<std::byte>> ControlSession::read_payload(const ControlHeader& header) {
  if (header.payload_bytes == 0) return read_control_payload(*connection_, header);
  const Waiting waiting(*this, context_.patience.within_request);
  return read_control_payload(*connection_, header);
}

bool ControlSession::send(ControlFrame frame) {
  Result<void> sent;
  {
    const Waiting waiting(*this, context_.patience.within_request);
    sent = write_control_frame(*connection_, std::move(frame), request_);
  }
  if (sent.has_value()) return true;
  return sent.error().code() == ErrorCode::kLimit ? send_error(sent.error()) : end();
}

bool ControlSession::send_error(const Error& error) { return send(answer(ControlVerb::kError, error)); }

bool ControlSession::end() noexcept {
  shutdown();
  ended_.store(true, std::memory_order_release);
  return false;
}

/// After bytes that are no frame nothing tells where the next one starts: say why, then end.
bool ControlSession::end_after(const Error& error) {
  const bool peer_gone = error.code() == ErrorCode::kClosed || error.code() == ErrorCode::kIo;
  if (!peer_gone) send_error(bad_request(error));
  return end();
}

Result<ControlFrame> ControlSession::run(ControlVerb verb, std::span<const std::byte> payload) {
  switch (verb) {
    case ControlVerb::kGet: return get(payload);
    case ControlVerb::kPut: return put(payload);
    case ControlVerb::kErase: return erase(payload);
    case ControlVerb::kScan: return scan(payload);
    case ControlVerb::kScrub: return scrub(payload);
    default: break;
  }
  VECTOLITH_TRY(as_request(decode_empty(payload)));
  switch (verb) {
    case ControlVerb::kHello: return ControlFrame(ControlVerb::kHelloAnswer);
    case ControlVerb::kStats: return stats();
    case ControlVerb::kFamilies: return families();
    case ControlVerb::kSync: return sync();
    case ControlVerb::kFsck: return fsck();
    default:
      return fail(ErrorCode::kInvalidArgument, "kScanMore and kScanCancel only follow a batch of a scan");
  }
}

Result<ControlFrame> ControlSession::stats() const {
  const auto stats = context_.store.stats();
  if (stats.is_partial) return std::unexpected(Error(ErrorCode::kNoMemory));
  return answer(ControlVerb::kStatsAnswer, stats);
}

Result<ControlFrame> ControlSession::families() const {
  const auto families = context_.store.families();
  return answer(ControlVerb::kFamiliesAnswer, std::span<const FamilyInfo>(families));
}

Result<ControlFrame> ControlSession::get(std::span<const std::byte> payload) const {
  VECTOLITH_TRY_ASSIGN(const auto request, as_request(decode_get_request(payload)));
  VECTOLITH_TRY_ASSIGN(const auto family, find_family(context_.store, request.family));
  if (const auto* vectors = std::get_if<Family>(&family)) {
    VECTOLITH_TRY_ASSIGN(const auto found, vectors->get(request.key));
    const auto row = found.has_value() ? std::optional(row_of(**found)) : std::nullopt;
    return answer(ControlVerb::kGetAnswer, row);
  }
  VECTOLITH_TRY_ASSIGN(const auto found, std::get<RecordFamily>(family).get(request.key));
  const auto row = found.has_value() ? std::optional(row_of(*found)) : std::nullopt;
  return answer(ControlVerb::kGetAnswer, row);
}

Result<ControlFrame> ControlSession::put(std::span<const std::byte> payload) const {
  VECTOLITH_TRY_ASSIGN(const auto request, as_request(decode_put_request(payload)));
  VECTOLITH_TRY_ASSIGN(auto family, find_family(context_.store, request.family));
  WriteOptions options;
  options.durability = request.durability;
  options.replace = request.replace;
  VECTOLITH_TRY_ASSIGN(
      const auto result,
      std::visit([&](auto& target) { return target.put(request.key, request.vector, options); }, family));
  return answer(ControlVerb::kPutAnswer, result);
}

Result<ControlFrame> ControlSession::erase(std::span<const std::byte> payload) const {
  VECTOLITH_TRY_ASSIGN(const auto request, as_request(decode_erase_request(payload)));
  VECTOLITH_TRY_ASSIGN(auto family, find_family(context_.store, request.family));
  VECTOLITH_TRY_ASSIGN(
      const auto result,
      std::visit([&](auto& target) { return target.erase(request.key, request.durability); }, family));
  return answer(ControlVerb::kEraseAnswer, result);
}

Result<ControlFrame> ControlSession::sync() const {
  VECTOLITH_TRY(context_.store.sync());
  return ControlFrame(ControlVerb::kSyncAnswer);
}

Result<ControlFrame> ControlSession::scan(std::span<const std::byte> payload) {
  VECTOLITH_TRY_ASSIGN(const auto request, as_request(decode_scan_request(payload)));
  VECTOLITH_TRY_ASSIGN(const auto family, find_family(context_.store, request.family));
  ScanStream stream(*this);
  const auto visit = [&stream](const auto& row) { return stream.add(row_of(row)); };
  const auto scanned = std::visit([&visit](const auto& source) { return source.for_each(visit); }, family);
  // Rows read before a damaged one are good: the peer gets them, and then the error.
  stream.finish();
  if (!scanned.has_value()) return std::unexpected(scanned.error());
  return answer(ControlVerb::kScanEnd, stream.end());
}

Result<ControlFrame> ControlSession::fsck() const {
  if (!context_.fsck)
    return fail(ErrorCode::kUnsupported, "the owner of the store offers no fsck of the open store");
  if (context_.fsck_running.exchange(true))
    return fail(ErrorCode::kBusy, "an fsck of the store is already running");
  const auto report = catch_no_memory(context_.fsck);
  context_.fsck_running.store(false);
  if (!report.has_value()) return std::unexpected(report.error());
  return answer(ControlVerb::kFsckAnswer, *report);
}

Result<ControlFrame> ControlSession::scrub(std::span<const std::byte> payload) const {
  VECTOLITH_TRY_ASSIGN(const auto request, as_request(decode_scrub_request(payload)));
  if (!context_.scrub)
    return fail(ErrorCode::kUnsupported, "the owner of the store offers no scrub of the open store");
  if (context_.fsck_running.exchange(true))
    return fail(ErrorCode::kBusy, "an fsck or scrub of the store is already running");
  const auto report = catch_no_memory([&] { return context_.scrub(request.from, request.bytes_max); });
  context_.fsck_running.store(false);
  if (!report.has_value()) return std::unexpected(report.error());
  return answer(ControlVerb::kScrubAnswer, *report);
}

}  // namespace vectolith::engine
