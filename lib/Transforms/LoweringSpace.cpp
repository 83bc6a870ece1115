//===- LoweringSpace.cpp - What else a lowering may be --------------------===//

#include "trec/Transforms/LoweringSpace.h"

#include "trec/Conversion/RowVectors.h"

#include "llvm/ADT/SetVector.h"
#include "llvm/Support/MathExtras.h"

using namespace mlir;
using namespace mlir::trec;

/// Searches of a sorted map know the rows of so many ids ahead.
static constexpr int64_t kSortedLookAhead = 8;
/// A pass of fewer accumulators waits for each of them.
static constexpr int64_t kFewestAccumulators = 4;
static constexpr int64_t kMostPasses = 4;

ArrayRef<LoweringField> mlir::trec::getLoweringFields() {
  static constexpr LoweringField fields[] = {
      LoweringField::farDistance,  LoweringField::rowsAtOnce,
      LoweringField::farGroup,     LoweringField::prefetchDistance,
      LoweringField::unpack,       LoweringField::header,
      LoweringField::accumulators, LoweringField::vectorWidth};
  return fields;
}

StringRef mlir::trec::stringifyLoweringField(LoweringField field) {
  switch (field) {
  case LoweringField::farDistance:
    return "far_distance";
  case LoweringField::rowsAtOnce:
    return "rows_at_once";
  case LoweringField::farGroup:
    return "far_group";
  case LoweringField::prefetchDistance:
    return "prefetch_distance";
  case LoweringField::unpack:
    return "unpack";
  case LoweringField::header:
    return "header";
  case LoweringField::accumulators:
    return "accumulators";
  case LoweringField::vectorWidth:
    return "vector_width";
  }
  llvm_unreachable("all fields are listed");
}

std::string mlir::trec::stringifyLowering(Attribute lowering) {
  std::string text;
  llvm::raw_string_ostream os(text);
  // The base's: the attribute's own prints its parameters alone.
  lowering.print(os);
  return text;
}

LoweringConfigAttr mlir::trec::withField(LoweringConfigAttr lowering,
                                         LoweringField field, int64_t value) {
  auto pick = [&](LoweringField of, int64_t now) {
    return of == field ? value : now;
  };
  int64_t farDistance =
      pick(LoweringField::farDistance, lowering.getFarDistance());
  int64_t rowsAtOnce =
      pick(LoweringField::rowsAtOnce, lowering.getRowsAtOnce());
  int64_t farGroup = pick(LoweringField::farGroup, lowering.getFarGroup());
  return LoweringConfigAttr::get(
      lowering.getContext(),
      pick(LoweringField::vectorWidth, lowering.getVectorWidth()),
      pick(LoweringField::accumulators, lowering.getAccumulators()),
      pick(LoweringField::prefetchDistance, lowering.getPrefetchDistance()),
      farDistance, farDistance && rowsAtOnce == 1 ? farGroup : 1, rowsAtOnce,
      UnpackMode(pick(LoweringField::unpack, int64_t(lowering.getUnpack()))),
      HeaderMode(pick(LoweringField::header, int64_t(lowering.getHeader()))),
      lowering.getFma(), lowering.getHalf(), lowering.getCertified(),
      lowering.getNumerics(), lowering.getStores(),
      lowering.getOutputDistance());
}

int64_t mlir::trec::getField(LoweringConfigAttr lowering, LoweringField field) {
  switch (field) {
  case LoweringField::farDistance:
    return lowering.getFarDistance();
  case LoweringField::rowsAtOnce:
    return lowering.getRowsAtOnce();
  case LoweringField::farGroup:
    return lowering.getFarGroup();
  case LoweringField::prefetchDistance:
    return lowering.getPrefetchDistance();
  case LoweringField::unpack:
    return int64_t(lowering.getUnpack());
  case LoweringField::header:
    return int64_t(lowering.getHeader());
  case LoweringField::accumulators:
    return lowering.getAccumulators();
  case LoweringField::vectorWidth:
    return lowering.getVectorWidth();
  }
  llvm_unreachable("all fields are listed");
}

static SmallVector<int64_t> listRowsAtOnce(const LoweringSubject &subject) {
  if (subject.remap || subject.copiesRows)
    return {};
  return {1, 2, 4, 8};
}

static SmallVector<int64_t> listFarDistances(const LoweringSubject &subject) {
  bool isSearched = subject.remap && *subject.remap != MapKind::array;
  if (isSearched || subject.size == SizeClass::secondLevel)
    return {};
  return {0, 32, 64, 128};
}

static SmallVector<int64_t> listDistances(const LoweringSubject &subject,
                                          LoweringConfigAttr lowering) {
  SmallVector<int64_t> distances;
  if (lowering.getFarDistance() || subject.size == SizeClass::secondLevel)
    distances.push_back(0);
  for (int64_t distance : {4, 8, 16, 32})
    if (subject.remap != MapKind::sorted || distance <= kSortedLookAhead)
      distances.push_back(distance);
  return distances;
}

static SmallVector<int64_t> listUnpackModes(const LoweringSubject &subject,
                                            LoweringConfigAttr lowering) {
  if (subject.copiesRows || !subject.row.isQuantized() ||
      subject.row.getBits() == 8)
    return {};
  SmallVector<int64_t> modes = {int64_t(UnpackMode::convert)};
  int64_t widest = subject.level->vectorBits / 32;
  if (subject.row.getDataBytes() >= lowering.getVectorWidth() &&
      canLookUpCodes(subject.row, lowering.getVectorWidth(), *subject.level))
    modes.push_back(int64_t(UnpackMode::lookup));
  if (subject.level->shiftsLanes && lowering.getVectorWidth() <= widest)
    modes.push_back(int64_t(UnpackMode::spread));
  if (subject.level->shiftsLanes &&
      canLookUpSpread(subject.row, lowering.getVectorWidth(), *subject.level))
    modes.push_back(int64_t(UnpackMode::spread_lookup));
  return modes;
}

static SmallVector<int64_t> listHeaderModes(const LoweringSubject &subject) {
  if (subject.copiesRows || !subject.row.isQuantized() ||
      !canStoreHeaders(*subject.level))
    return {};
  return {int64_t(HeaderMode::registers), int64_t(HeaderMode::memory)};
}

/// A smaller number that needs as many passes leaves registers to other values,
/// but gives the same code.
static SmallVector<int64_t> listAccumulators(const LoweringSubject &subject,
                                             LoweringConfigAttr lowering) {
  if (subject.copiesRows)
    return {};
  RowVectors vectors = cutIntoVectors(subject.row, lowering);
  int64_t needed = vectors.pieces * vectors.perPiece;
  auto round = [&](int64_t accumulators) {
    return int64_t(llvm::alignTo(accumulators, vectors.perPiece));
  };
  int64_t held =
      std::max(lowering.getAccumulators() / vectors.perPiece, int64_t(1)) *
      vectors.perPiece;
  SmallVector<int64_t> numbers;
  for (int64_t passes = 1; passes <= kMostPasses; ++passes) {
    int64_t number = round(llvm::divideCeil(needed, passes));
    if (number <= subject.level->vectorRegisters &&
        (number >= kFewestAccumulators || passes == 1) &&
        number != std::min(held, needed))
      numbers.push_back(number);
  }
  return numbers;
}

static SmallVector<int64_t> listWidths(const LoweringSubject &subject,
                                       LoweringConfigAttr lowering) {
  int64_t widest = subject.level->vectorBits / 32;
  LoweringConfigAttr wide =
      withField(lowering, LoweringField::vectorWidth, widest);
  if (cutIntoVectors(subject.row, wide).lanes < widest)
    return {};
  return {widest, widest / 2};
}

static SmallVector<int64_t> listValues(const LoweringSubject &subject,
                                       LoweringField field,
                                       LoweringConfigAttr lowering) {
  switch (field) {
  case LoweringField::farDistance:
    return listFarDistances(subject);
  case LoweringField::rowsAtOnce:
    return listRowsAtOnce(subject);
  case LoweringField::farGroup:
    return lowering.getFarDistance() && lowering.getRowsAtOnce() == 1
               ? SmallVector<int64_t>{1, 4, 16, 64}
               : SmallVector<int64_t>{};
  case LoweringField::prefetchDistance:
    return listDistances(subject, lowering);
  case LoweringField::unpack:
    return listUnpackModes(subject, lowering);
  case LoweringField::header:
    return listHeaderModes(subject);
  case LoweringField::accumulators:
    return listAccumulators(subject, lowering);
  case LoweringField::vectorWidth:
    return listWidths(subject, lowering);
  }
  llvm_unreachable("all fields are listed");
}

SmallVector<LoweringConfigAttr>
mlir::trec::listAlternatives(const LoweringSubject &subject,
                             LoweringField field, LoweringConfigAttr lowering) {
  llvm::SmallSetVector<LoweringConfigAttr, 8> alternatives;
  for (int64_t value : listValues(subject, field, lowering))
    if (value != getField(lowering, field))
      alternatives.insert(withField(lowering, field, value));
  return alternatives.takeVector();
}

LoweringConfigAttr mlir::trec::takeSchedule(LoweringConfigAttr measured,
                                            LoweringConfigAttr model) {
  for (LoweringField field : getLoweringFields())
    model = withField(model, field, getField(measured, field));
  return model;
}

std::optional<std::string> mlir::trec::findMisfit(LoweringConfigAttr measured,
                                                  RowType row,
                                                  const CPULevel &level) {
  int64_t widest = level.vectorBits / 32;
  if (measured.getVectorWidth() > widest)
    return "its vectors are wider than the " + std::to_string(widest) +
           " lanes of " + level.name.str();
  // Narrower vectors fall back to converting.
  if (measured.looksUpCodes() && !canLookUpCodes(row, widest, level))
    return level.name.str() + " cannot look up codes of this type";
  if (measured.spreadsCodes() && !level.shiftsLanes)
    return level.name.str() + " cannot spread codes";
  if (measured.getHeader() == HeaderMode::memory && !canStoreHeaders(level))
    return level.name.str() + " cannot load headers into all lanes";
  return std::nullopt;
}
