//===- DeviceReport.cpp - Telling the host what went wrong ----------------===//

#include "DeviceReport.h"
#include "trec/Runtime/DeviceABI.h"

using namespace mlir;
using namespace mlir::trec;

/// Orders what a thread does for all that see the memory, the host included.
void DeviceReport::fence() {
  LLVM::FenceOp::create(b, LLVM::AtomicOrdering::acq_rel, StringRef());
}

void DeviceReport::count(Value badIds) {
  Value counter = field(offsetof(trec_gpu_report, count));
  LLVM::AtomicRMWOp::create(b, LLVM::AtomicBinOp::add, b.pointer(counter),
                            badIds, LLVM::AtomicOrdering::monotonic);
}

/// Whether the place is lower than the one that is there: a graver kind, else
/// the batch, then the position, then the bag.
Value DeviceReport::isLower(const ReportPlace &place) {
  struct Key {
    int64_t offset;
    Value value;
    Predicate isLower;
  };
  // From the least key to the first: each decides where those before it agree.
  Key keys[] = {
      {offsetof(trec_gpu_report, bag), place.bag, Predicate::slt},
      {offsetof(trec_gpu_report, position), place.position, Predicate::slt},
      {offsetof(trec_gpu_report, batch), place.batch, Predicate::slt},
      {offsetof(trec_gpu_report, kind), place.kind, Predicate::sgt}};
  Value lower = b.boolean(false);
  for (const Key &key : keys) {
    Value there = read(key.offset);
    Value isSame = b.compare(Predicate::eq, key.value, there);
    Value isLower = b.compare(key.isLower, key.value, there);
    lower = b.either(isLower, b.both(isSame, lower));
  }
  return lower;
}

/// The host has taken the place that is there, or this one is lower.
Value DeviceReport::isToBeWritten(const ReportPlace &place) {
  Value epoch = read(offsetof(trec_gpu_report, epoch));
  Value placeEpoch = read(offsetof(trec_gpu_report, place_epoch));
  Value isTaken = b.compare(Predicate::ne, placeEpoch, epoch);
  return b.either(isTaken, isLower(place));
}

/// Whether a lower place is there for certain, read without the lock. Where a
/// batch is full of bad ids, few threads have to wait for each other.
Value DeviceReport::isSettled(const ReportPlace &place) {
  Value before = read(offsetof(trec_gpu_report, lock));
  fence();
  Value isLower = isToBeWritten(place);
  fence();
  Value after = read(offsetof(trec_gpu_report, lock));
  Value isSame = b.compare(Predicate::eq, before, after);
  Value isFree = b.compare(Predicate::eq, b.both(before, 1), 0);
  Value isConsistent = b.both(isSame, isFree);
  Value isHigher = b.exclusive(isLower, b.boolean(true));
  return b.both(isConsistent, isHigher);
}

/// Takes the lock if it still has the even value `free`. Threads of this device
/// alone compete for it, and a wider scope is not allowed on host memory.
Value DeviceReport::tryLock(Value free) {
  Value isEven = b.compare(Predicate::eq, b.both(free, 1), 0);
  return b
      .branch(
          isEven, b.getI1Type(),
          [&] {
            Value lock = field(offsetof(trec_gpu_report, lock));
            Value taken = b.add(free, 1);
            Value pair = LLVM::AtomicCmpXchgOp::create(
                b, b.pointer(lock), free, taken, LLVM::AtomicOrdering::acq_rel,
                LLVM::AtomicOrdering::monotonic, "device");
            Value found = LLVM::ExtractValueOp::create(b, pair, 0);
            return SmallVector<Value>{b.compare(Predicate::eq, found, free)};
          },
          [&] { return SmallVector<Value>{b.boolean(false)}; })
      .front();
}

void DeviceReport::writeLocked(const ReportPlace &place, Value free) {
  fence();
  Value isWritten = isToBeWritten(place);
  b.doIf(isWritten, [&] {
    set(offsetof(trec_gpu_report, kind), place.kind);
    set(offsetof(trec_gpu_report, batch), place.batch);
    set(offsetof(trec_gpu_report, bag), place.bag);
    set(offsetof(trec_gpu_report, sample), place.sample);
    set(offsetof(trec_gpu_report, begin), place.begin);
    set(offsetof(trec_gpu_report, position), place.position);
    set(offsetof(trec_gpu_report, value), place.value);
    set(offsetof(trec_gpu_report, place_epoch),
        read(offsetof(trec_gpu_report, epoch)));
  });
  fence();
  Value next = b.add(free, 2);
  set(offsetof(trec_gpu_report, lock), b.select(isWritten, next, free));
}

void DeviceReport::write(const ReportPlace &place) {
  Value isOpen = b.exclusive(isSettled(place), b.boolean(true));
  b.doIf(isOpen, [&] {
    scf::WhileOp::create(
        b, TypeRange(), ValueRange(),
        [&](OpBuilder &, Location, ValueRange) {
          Value free = read(offsetof(trec_gpu_report, lock));
          Value isMine = tryLock(free);
          b.doIf(isMine, [&] { writeLocked(place, free); });
          Value isOthers = b.exclusive(isMine, b.boolean(true));
          scf::ConditionOp::create(b, isOthers, ValueRange());
        },
        [&](OpBuilder &, Location, ValueRange) {
          scf::YieldOp::create(b, ValueRange());
        });
  });
}
