//===- TrecAttrs.td - Attributes of the trec dialect --------------*- tablegen -*-===//
//
// How rows are stored, how bags are pooled, what happens to a bad id, and how a
// group of lookups will be run.
//
//===----------------------------------------------------------------------===//

#ifndef TREC_IR_TRECATTRS_TD
#define TREC_IR_TRECATTRS_TD

include "trec/IR/TrecDialect.td"
include "mlir/IR/AttrTypeBase.td"
include "mlir/IR/EnumAttr.td"

class Trec_Enum<string name, string summary, list<I32EnumAttrCase> cases>
    : I32EnumAttr<name, summary, cases> {
  let genSpecializedAttr = 0;
  let cppNamespace = "::mlir::trec";
}

// The codes are FBGEMM's SparseType codes in `weights_tys`, and those of
// include/trec/Runtime/KernelABI.h.
def Trec_WeightsType : Trec_Enum<"WeightsType", "element type of stored rows", [
  I32EnumAttrCase<"fp32", 0>, I32EnumAttrCase<"fp16", 1>,
  I32EnumAttrCase<"int8", 2>, I32EnumAttrCase<"int4", 3>,
  I32EnumAttrCase<"int2", 4>, I32EnumAttrCase<"bf16", 5>,
  I32EnumAttrCase<"fp8", 6>]>;

def Trec_HeaderType : Trec_Enum<"HeaderType", "scale and bias in front of a row", [
  I32EnumAttrCase<"none", 0>, I32EnumAttrCase<"f16", 1>]>;

def Trec_Pooling : Trec_Enum<"Pooling", "how the rows of a bag become one row", [
  I32EnumAttrCase<"sum", 0>, I32EnumAttrCase<"mean", 1>]>;

// The codes are those of TREC_BOUNDS_* in include/trec/Runtime/ModelABI.h.
def Trec_BoundsPolicy : Trec_Enum<"BoundsPolicy", "what happens to a bad id", [
  I32EnumAttrCase<"fatal", 1>, I32EnumAttrCase<"warning", 2>,
  I32EnumAttrCase<"ignore", 3>, I32EnumAttrCase<"none", 4>]>;

def Trec_Weighting : Trec_Enum<"Weighting", "where the weights of rows come from", [
  I32EnumAttrCase<"none", 0>, I32EnumAttrCase<"sample", 1>,
  I32EnumAttrCase<"position", 2>]>;

def Trec_BadIds : Trec_Enum<"BadIds", "whether a lookup counts its bad ids", [
  I32EnumAttrCase<"counted", 0>, I32EnumAttrCase<"repeated", 1>]>;

class Trec_Attr<string name, string mnemonic_>
    : AttrDef<Trec_Dialect, name> {
  let mnemonic = mnemonic_;
}

def Trec_PoolingAttr : EnumAttr<Trec_Dialect, Trec_Pooling, "pooling"> {
  let summary = "how the rows of a bag become one row";
  let description = [{
    `sum` adds the rows; `mean` adds them and multiplies by `1.0f / n`, where `n`
    counts all ids of the bag, also the skipped -1. An empty bag gives zeros.

    ```mlir
    module attributes {trec.example = #trec.pooling<mean>} {
    }
    ```
  }];
  let assemblyFormat = "`<` $value `>`";
}

def Trec_BoundsPolicyAttr : EnumAttr<Trec_Dialect, Trec_BoundsPolicy, "bounds"> {
  let summary = "what happens to an id outside its table";
  let description = [{
    An id of -1 is legal and skipped under every policy. Any other id below 0 or
    not below the rows of the table is bad: `warning` and `ignore` use row 0
    instead (and count it; `warning` also reports the lowest one), `fatal` and
    `none` make the call fail. No policy ever reads outside a table.

    ```mlir
    module attributes {trec.example = #trec.bounds<fatal>} {
    }
    ```
  }];
  let assemblyFormat = "`<` $value `>`";
}

def Trec_RowLayoutAttr : Trec_Attr<"RowLayout", "row_layout"> {
  let summary = "where the scale, the bias and the padding of a stored row are";
  let description = [{
    `header = f16`: the row starts with its scale and its bias as two IEEE half
    floats, followed by the codes, packed low bits first. `header = none`: the
    row is its elements. A row is padded to a multiple of `align` bytes.

    ```mlir
    trec.table @t : !trec.table<10x16, int8, #trec.row_layout<header = f16, align = 16>>
    ```

    Constraints:
    * C1: `align` is from 1 to 65536.
  }];
  let parameters = (ins EnumParameter<Trec_HeaderType>:$header,
                        DefaultValuedParameter<"int64_t", "1">:$align);
  let assemblyFormat = "`<` `header` `=` $header (`,` `align` `=` $align^)? `>`";
  let genVerifyDecl = 1;
}

def Trec_BagAttr : Trec_Attr<"Bag", "bag"> {
  let summary = "one lookup of a group: a feature, its table, its place in the output";
  let description = [{
    The bags of `feature` are looked up in `table`. In a KeyedTensor they are
    pooled into the columns that start at `column`; in a dict of JaggedTensors
    `column` is the index of their key; in a dict of tensors they are pooled into
    columns of the tensor with index `output`. The feature is one of the batch
    with index `batch` of the group. With `bad_ids = repeated` another lookup of
    the model has the same ids, table and map and counts the bad ones; this one
    counts none. With `weights` each row is weighted by its position in its bag,
    by the `trec.parameter` of that name. With `remap` ids are mapped to the rows
    of the table by that `trec.parameter`, as `trec.remap` does. With `length`
    each of the bags has so many ids, as `trec.feature` promises.

    ```mlir
    module attributes {trec.plain = #trec.bag<@ads, "ad_id", 128>,
                       trec.weighted = #trec.bag<@ads, "ad_id", 0, weights = @ad_weights>,
                       trec.pruned = #trec.bag<@ads, "ad_id", 0, remap = @ad_map>,
                       trec.promised = #trec.bag<@ads, "ad_id", 0, length = 20>,
                       trec.regrouped = #trec.bag<@ads, "ad_id", 0, batch = 1, output = 2>,
                       trec.again = #trec.bag<@ads, "ad_id", 64, batch = 1, bad_ids = repeated>} {
    }
    ```

    Constraints:
    * C1: `column`, `batch` and `output` are not negative.
    * C2: `length` is from 0 to 2147483647.
  }];
  let parameters = (ins "::mlir::FlatSymbolRefAttr":$table,
                        "::mlir::StringAttr":$feature, "int64_t":$column,
                        OptionalParameter<"::mlir::FlatSymbolRefAttr">:$weights,
                        OptionalParameter<"::mlir::FlatSymbolRefAttr">:$remap,
                        DefaultValuedParameter<"int64_t", "0">:$batch,
                        DefaultValuedParameter<"int64_t", "0">:$output,
                        DefaultValuedParameter<"::mlir::trec::BadIds", "::mlir::trec::BadIds::counted">:$bad_ids,
                        OptionalParameter<"std::optional<int64_t>">:$length);
  let assemblyFormat = [{
    `<` $table `,` $feature `,` $column
    (`,` struct($weights, $remap, $batch, $output, $bad_ids, $length)^)? `>`
  }];
  let genVerifyDecl = 1;
}

def Trec_MapKind : Trec_Enum<"MapKind", "how a map of ids is stored", [
  I32EnumAttrCase<"array", 0>, I32EnumAttrCase<"hash_table", 1>,
  I32EnumAttrCase<"sorted", 2>]>;

def Trec_MapAttr : Trec_Attr<"Map", "map"> {
  let summary = "how a `trec.parameter` maps ids to the rows of a table";
  let description = [{
    What `trec.remap` does with an id, and how the entries of the map are stored:

    * `array`: entry i is the row of id i, and ids are below the number of
      entries. Stored as `tensor<Nxi32>`;
    * `hash_table`: the entries are slots of an id and its row, and -1 in place
      of an id is an empty slot. The slot of an id is its hash, the finaliser of
      32-bit MurmurHash3, modulo the number of slots, or the next one in the
      circle that has the id; an empty slot on the way there says that there is
      none, and gives -1. Ids are below `ids`. Stored as `tensor<Nx2xi32>`;
    * `sorted`: the entries are pairs of an id and its row, by rising id; of
      equal ids the first counts. An id that is not there goes to row N - 1, and
      all ids of 64 bits are searched for, -1 among them. Stored as
      `tensor<Nx2xi64>`.

    ```mlir
    trec.parameter @ads maps <array> : tensor<1000xi32>
    trec.parameter @pages maps <hash_table, ids = 1000> : tensor<512x2xi32>
    trec.parameter @users maps <sorted> : tensor<?x2xi64>
    ```

    Constraints:
    * C1: only a hash table has `ids`, from 0 to 2147483648, which stands for all
      that an id of 32 bits can be.
  }];
  let parameters = (ins EnumParameter<Trec_MapKind>:$kind,
                        DefaultValuedParameter<"int64_t", "kAllIds">:$ids);
  let assemblyFormat = "`<` $kind (`,` `ids` `=` $ids^)? `>`";
  let genVerifyDecl = 1;
  let extraClassDeclaration = [{
    /// Bounds nothing: 1 + the largest id of 32 bits.
    static constexpr int64_t kAllIds = int64_t(1) << 31;

    /// The type of the elements of an entry, and their number.
    ::mlir::IntegerType getElementType() const;
    int64_t getEntryWidth() const {
      return getKind() == ::mlir::trec::MapKind::array ? 1 : 2;
    }
    /// 1 + the largest id that is in bounds, for a map of so many entries;
    /// nothing where all ids are.
    std::optional<int64_t> getNumIds(int64_t entries) const;
  }];
}

def Trec_LoweringConfigAttr : Trec_Attr<"LoweringConfig", "lowering_config"> {
  let summary = "how a group of lookups will be run on a CPU";
  let description = [{
    Written by `trec-select-lowering`, by a test or by a tuner; obeyed by
    `convert-trec-to-vector`. No value changes a bit of the output, but for
    `numerics = relaxed`.

    * `vector_width`: fp32 lanes of one accumulator, or of the vector by which
      stored rows are copied;
    * `accumulators`: accumulators held in registers over a bag; a wider row is
      pooled in several passes over its bag;
    * `prefetch_distance`: rows between the one that is fetched into the first
      level of the cache and the one that is added; 0 fetches nothing there;
    * `far_distance`: rows between the one that is fetched into the second level
      and the one that is added; 0 fetches nothing there;
    * `far_group`: rows that are fetched into the second level together; 0: as
      many as suit the machine, the row and the table
      (lib/Runtime/NearTables.c). Of a sorted map only 8 ids ahead are known:
      nothing is fetched farther ahead;
    * `rows_at_once`: rows of a bag whose ids are checked, and whose later rows
      are fetched, in one step; those that are left over go one by one. So do
      those of a step with an id that is bad or -1, and all whose ids are mapped;
    * `unpack`: how INT4 and INT2 codes become floats: `convert` takes the bytes
      of a row apart, one in each lane, and shifts, masks and converts them;
      `lookup` permutes a constant vector by them instead, where the vectors are
      as wide as the CPU's permutation (16 lanes, or 8 for INT2). `spread` puts
      the bytes of a vector's codes into all of its lanes, each of which shifts
      its own down: narrow rows fill vectors that way. `spread_lookup` does so
      too and permutes a constant by them, where `lookup` could; else it
      converts;
    * `header`: how the scale and the bias of a row of codes get into all lanes:
      `registers` shuffles them; `memory` stores them on the stack and has all
      lanes loaded from there, for CPUs that load more vectors at once than they
      shuffle. Rows of fewer than 4 lanes shuffle, as do bags of one id each
      and, unless codes are spread, bags of fewer rows than a step;
    * `fma`: `hardware`, or `library` for CPUs without it: an unweighted sum of
      codes then multiplies and adds, which is exact, and anything else calls
      `fmaf`;
    * `half`: `hardware` converts half floats with the CPU's instructions,
      `integer` with integer arithmetic of the same result;
    * `certified`: how the rows of integer codes of a bag are added whose sums
      are exact in any order, up to the length that the runtime has certified
      for its table. `in_order` knows no such bags. `bias_once` adds codes times
      scale to the accumulators, and the sum of the biases at the end.
      `row_pairs` does so for two rows of INT2 at a time: it makes a vector of
      the 16 sums that a code of each can have, and adds a permutation of it by
      the codes. Where the pieces of a row have fewer than 16 lanes, or codes
      are spread, it is `bias_once`;
    * `numerics`: `fbgemm` gives FBGEMM's bits; `relaxed` adds the rows of every
      bag as `certified` says, weighted ones too;
    * `stores`: `cached` brings each line of the output into the cache before it
      is written. `streaming` also has code that writes around the cache, which
      runs where the runtime says that a call's outputs are more than the cache
      can keep, and that few rows are read for each (lib/Runtime/OutputStores.h);
    * `output_distance`: bags between the one whose row of the output is fetched
      and the one that is pooled, where the runtime says that outputs are more
      than the second level of the cache keeps. 0 fetches the row of the bag
      that is pooled next, to write it. Without pooling none is fetched.

    ```mlir
    module attributes {trec.example = #trec.lowering_config<
        vector_width = 4, accumulators = 8, prefetch_distance = 0, fma = library, half = integer>} {
    }
    ```

    Constraints:
    * C1: `vector_width` is a power of two, at most 64.
    * C2: `accumulators` is from 1 to 64.
    * C3: `prefetch_distance` and `far_distance` are not negative.
    * C4: `far_group` is 0 or a power of two, at most 64.
    * C5: `numerics` is `relaxed` only where `certified` is not `in_order`.
    * C6: `rows_at_once` is a power of two, at most 16.
    * C7: `far_group` is 1 where `rows_at_once` is more: steps are groups.
    * C8: `output_distance` is not negative.
    * C9: `header` is `memory` only where `half` is `hardware`: it takes AVX.
  }];
  let parameters = (ins "int64_t":$vector_width, "int64_t":$accumulators,
                        "int64_t":$prefetch_distance,
                        DefaultValuedParameter<"int64_t", "0">:$far_distance,
                        DefaultValuedParameter<"int64_t", "1">:$far_group,
                        DefaultValuedParameter<"int64_t", "1">:$rows_at_once,
                        DefaultValuedParameter<"::mlir::trec::UnpackMode", "::mlir::trec::UnpackMode::convert">:$unpack,
                        DefaultValuedParameter<"::mlir::trec::HeaderMode", "::mlir::trec::HeaderMode::registers">:$header,
                        DefaultValuedParameter<"::mlir::trec::FmaMode", "::mlir::trec::FmaMode::hardware">:$fma,
                        DefaultValuedParameter<"::mlir::trec::HalfMode", "::mlir::trec::HalfMode::hardware">:$half,
                        DefaultValuedParameter<"::mlir::trec::RowArithmetic", "::mlir::trec::RowArithmetic::in_order">:$certified,
                        DefaultValuedParameter<"::mlir::trec::Numerics", "::mlir::trec::Numerics::fbgemm">:$numerics,
                        DefaultValuedParameter<"::mlir::trec::StoreMode", "::mlir::trec::StoreMode::cached">:$stores,
                        DefaultValuedParameter<"int64_t", "0">:$output_distance);
  let extraClassDeclaration = [{
    /// Whether each lane has all codes of a vector and shifts its own down.
    bool spreadsCodes() const {
      return getUnpack() == ::mlir::trec::UnpackMode::spread ||
             getUnpack() == ::mlir::trec::UnpackMode::spread_lookup;
    }
    /// Whether codes permute a constant vector where the CPU can.
    bool looksUpCodes() const {
      return getUnpack() == ::mlir::trec::UnpackMode::lookup ||
             getUnpack() == ::mlir::trec::UnpackMode::spread_lookup;
    }
  }];
  let assemblyFormat = "`<` struct(params) `>`";
  let genVerifyDecl = 1;
}

def Trec_UnpackMode : Trec_Enum<"UnpackMode", "how packed codes become floats", [
  I32EnumAttrCase<"convert", 0>, I32EnumAttrCase<"lookup", 1>,
  I32EnumAttrCase<"spread", 2>, I32EnumAttrCase<"spread_lookup", 3>]>;

def Trec_HeaderMode : Trec_Enum<"HeaderMode", "how scale and bias get into all lanes", [
  I32EnumAttrCase<"registers", 0>, I32EnumAttrCase<"memory", 1>]>;

def Trec_FmaMode : Trec_Enum<"FmaMode", "where a fused multiply-add is computed", [
  I32EnumAttrCase<"hardware", 0>, I32EnumAttrCase<"library", 1>]>;

def Trec_HalfMode : Trec_Enum<"HalfMode", "how half floats are converted", [
  I32EnumAttrCase<"hardware", 0>, I32EnumAttrCase<"integer", 1>]>;

def Trec_RowArithmetic : Trec_Enum<"RowArithmetic", "how rows of integer codes are added", [
  I32EnumAttrCase<"in_order", 0>, I32EnumAttrCase<"bias_once", 1>,
  I32EnumAttrCase<"row_pairs", 2>]>;

def Trec_StoreMode : Trec_Enum<"StoreMode", "how outputs are written", [
  I32EnumAttrCase<"cached", 0>, I32EnumAttrCase<"streaming", 1>]>;

def Trec_Numerics : Trec_Enum<"Numerics", "whose numbers a model computes", [
  I32EnumAttrCase<"fbgemm", 0>, I32EnumAttrCase<"relaxed", 1>]>;

def Trec_GPULoweringConfigAttr : Trec_Attr<"GPULoweringConfig", "gpu_lowering_config"> {
  let summary = "how a group of lookups will be run on a GPU";
  let description = [{
    Written by `trec-select-gpu-lowering`, by a test or by a tuner; obeyed by
    `convert-trec-to-gpu`. A row is cut into units, one load each: a word of 4
    bytes of rows of codes, whose headers leave no more aligned, 16 bytes of
    others. Rows are added in the order of their ids, but for parts of bags: no
    value but `numerics` and `bag_parts` changes a bit of the output.

    * `lanes`: lanes of a warp that share a row. A warp works on `32 / lanes` bags
      at a time, or with parts on as many parts;
    * `units_per_lane`: units of a row that a lane sums. A wider row is pooled in
      several passes over its bag;
    * `rows_in_flight`: rows of a bag that are loaded before the first is added.
      Without pooling: ids that the lanes of a group work on at a time;
    * `warps`: warps of a block;
    * `blocks_per_sm`: blocks that registers are left for on a multiprocessor; 0:
      no bound;
    * `numerics`: whose bits: `fbgemm` FBGEMM's on GPUs, `cpu` those of its CPU
      kernels; `relaxed`: the elements are FBGEMM's on GPUs, the order in which they
      are added is any;
    * `few_lanes`, `few_units_per_lane`, `few_rows_in_flight`: the first three
      where a launch has fewer bags than keep the device busy; 0: as those;
    * `stages`: how many times `rows_in_flight` rows of a bag shared memory holds.
      Rows come there while others are added, however many registers there are;
      0: rows come into registers;
    * `few_stages`: the same where a launch has few bags. Where there are so few that
      each has a block, the stages of all its warps hold rows of that bag;
    * `few_blocks_per_sm`: `blocks_per_sm` of kernels for few bags; 0: the same;
    * `evict_first`: whether rows that come into registers, and their headers, are
      the first to leave the first level of the cache;
    * `bag_parts`: groups of `lanes` lanes that share a bag. Each adds every so
      many-th row, and their sums are added at the end. A schedule of their own for
      few bags has one.

    ```mlir
    module attributes {trec.example = #trec.gpu_lowering_config<
        lanes = 32, units_per_lane = 1, rows_in_flight = 8, numerics = cpu>} {
    }
    ```

    Constraints:
    * C1: `lanes` is a power of two, at most 32.
    * C2: `units_per_lane` is from 1 to 8.
    * C3: `rows_in_flight` is from 1 to 32.
    * C4: `warps` is a power of two, at most 32.
    * C5: `blocks_per_sm` and `few_blocks_per_sm` are from 0 to 32.
    * C6: what is given for few bags is given whole, and as C1 to C3 and C7 say.
    * C7: `stages` is 0 or from 2 to 16; unless it is 0, `rows_in_flight` is even
      and at most `lanes`.
    * C8: `bag_parts` is a power of two, `lanes` times it at most 32; more than 1
      only where `numerics` is `relaxed` and `stages` 0.
  }];
  let parameters = (ins "int64_t":$lanes, "int64_t":$units_per_lane, "int64_t":$rows_in_flight,
                        DefaultValuedParameter<"int64_t", "4">:$warps,
                        DefaultValuedParameter<"int64_t", "8">:$blocks_per_sm,
                        DefaultValuedParameter<"::mlir::trec::GPUNumerics", "::mlir::trec::GPUNumerics::fbgemm">:$numerics,
                        DefaultValuedParameter<"int64_t", "0">:$few_lanes,
                        DefaultValuedParameter<"int64_t", "0">:$few_units_per_lane,
                        DefaultValuedParameter<"int64_t", "0">:$few_rows_in_flight,
                        DefaultValuedParameter<"int64_t", "0">:$stages,
                        DefaultValuedParameter<"int64_t", "0">:$few_stages,
                        DefaultValuedParameter<"int64_t", "0">:$few_blocks_per_sm,
                        DefaultValuedParameter<"bool", "false">:$evict_first,
                        DefaultValuedParameter<"int64_t", "1">:$bag_parts);
  let extraClassDeclaration = [{
    /// Lanes of a warp that share a bag.
    int64_t getLanesPerBag() const { return getLanes() * getBagParts(); }
    GPULoweringConfigAttr withEvictFirst(bool evictFirst) const;
    /// The schedule where a launch has few bags, as one of its own.
    GPULoweringConfigAttr getForFewBags() const;
  }];
  let assemblyFormat = "`<` struct(params) `>`";
  let genVerifyDecl = 1;
}

// The codes are those of trec_gpu_image in include/trec/Runtime/DeviceABI.h.
def Trec_GPUNumerics : Trec_Enum<"GPUNumerics", "whose numbers a GPU computes", [
  I32EnumAttrCase<"fbgemm", 0>, I32EnumAttrCase<"cpu", 1>,
  I32EnumAttrCase<"relaxed", 2>]>;

#endif // TREC_IR_TRECATTRS_TD
