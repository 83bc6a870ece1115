//===- FbgemmStubs.cpp - FBGEMM's operators and classes, by name only -----===//
//
// The code of an archive is resolved against operators and classes while it is
// parsed, though it is never run. Here they are declared without kernels, so
// that no library of FBGEMM is needed. Signatures are an interface: TorchRec's
// archives call these and no others; arguments of later FBGEMM releases are at
// the end and have defaults, so older archives resolve as well.
//
//===----------------------------------------------------------------------===//

#include <torch/custom_class.h>
#include <torch/library.h>

namespace {

/// Calls of these would mean that the archive was run.
[[noreturn]] void refuse() {
  TORCH_CHECK(false, "code of an archive is never run");
}

struct AtomicCounter : torch::CustomClassHolder {};
struct TensorQueue : torch::CustomClassHolder {
  explicit TensorQueue(const at::Tensor &) {}
};
struct PrunedMapCPU : torch::CustomClassHolder {};

template <typename T> using Ptr = c10::intrusive_ptr<T>;

} // namespace

/// Every batch of keyed ids passes through these.
static void declareJaggedOps(torch::Library &m) {
  m.def("asynchronous_complete_cumsum(Tensor t_in) -> Tensor");
  m.def("asynchronous_exclusive_cumsum(Tensor t_in) -> Tensor");
  m.def("asynchronous_inclusive_cumsum(Tensor t_in) -> Tensor");
  m.def("offsets_range(Tensor offsets, SymInt range_size) -> Tensor");
  m.def("lengths_range(Tensor t_in, SymInt[]? shape=None) -> Tensor");
  m.def("segment_sum_csr(SymInt batch_size, Tensor csr_seg, Tensor values) -> "
        "Tensor");
  m.def("permute_1D_sparse_data(Tensor permute, Tensor lengths, Tensor values, "
        "Tensor? weights=None, SymInt? permuted_lengths_sum=None) -> (Tensor, "
        "Tensor, Tensor?)");
  m.def("permute_2D_sparse_data(Tensor permute, Tensor lengths, Tensor values, "
        "Tensor? weights=None, SymInt? permuted_lengths_sum=None) -> (Tensor, "
        "Tensor, Tensor?)");
  m.def("permute_2D_sparse_data_input1D(Tensor permute, Tensor lengths, Tensor "
        "values, SymInt stride, Tensor? weights=None, SymInt? "
        "permuted_lengths_sum=None) -> (Tensor, Tensor, Tensor?)");
  m.def("keyed_jagged_index_select_dim1(Tensor values, Tensor lengths, Tensor "
        "offsets, Tensor indices, SymInt batch_size, Tensor? weights=None, "
        "SymInt? selected_lengths_sum=None) -> Tensor[]");
  m.def("jagged_to_padded_dense(Tensor values, Tensor[] offsets, SymInt[] "
        "max_lengths, float padding_value=0.) -> Tensor");
  m.def("jagged_2d_to_dense(Tensor values, Tensor offsets, SymInt "
        "max_sequence_length) -> Tensor");
  m.def("jagged_1d_to_dense(Tensor values, Tensor offsets, SymInt "
        "max_sequence_length, int padding_value) -> Tensor");
  m.def("dense_to_jagged(Tensor dense, Tensor[] x_offsets, SymInt? "
        "total_L=None) -> (Tensor, Tensor[])");
  m.def(
      "expand_into_jagged_permute(Tensor permute, Tensor input_offset, Tensor "
      "output_offset, SymInt output_size) -> Tensor");
  m.def("block_bucketize_sparse_features(Tensor lengths, Tensor indices, bool "
        "bucketize_pos, bool sequence, Tensor block_sizes, SymInt my_size, "
        "Tensor? weights=None, Tensor? batch_size_per_feature=None, SymInt "
        "max_B=-1, Tensor[]? block_bucketize_pos=None, bool "
        "keep_orig_idx=False, Tensor? total_num_blocks=None, Tensor? "
        "keep_orig_idx_per_feature=None) -> (Tensor, Tensor, Tensor?, Tensor?, "
        "Tensor?)");
  m.def(
      "jagged_index_select_2d_forward_v2(Tensor values, Tensor indices, Tensor "
      "input_offsets, Tensor output_offsets, int? "
      "num_dense_output_rows=None) -> Tensor");
  m.def("jagged_index_select(Tensor values, Tensor lengths, Tensor indices, "
        "int? num_dense_output_rows=None) -> Tensor[]");
}

/// What models do with the results.
static void declarePooledOps(torch::Library &m) {
  m.def(
      "permute_pooled_embs(Tensor pooled_embs, Tensor offset_dim_list, Tensor "
      "permute_list, Tensor inv_offset_dim_list, Tensor inv_permute_list) -> "
      "Tensor");
  m.def("permute_pooled_embs_auto_grad(Tensor pooled_embs, Tensor "
        "offset_dim_list, Tensor permute_list, Tensor inv_offset_dim_list, "
        "Tensor inv_permute_list) -> Tensor");
  m.def("permute_pooled_embs_auto_grad_split(Tensor pooled_embs, Tensor "
        "offset_dim_list, Tensor permute_list, Tensor inv_offset_dim_list, "
        "Tensor inv_permute_list) -> Tensor");
  m.def("permute_multi_embedding(Tensor[] pooled_embs, Tensor permutes, Tensor "
        "in_shapes, Tensor out_shapes, SymInt[] out_lengths) -> Tensor[]");
  m.def("kt_regroup_arguments(Tensor embs, str[][] keys, int[][] lengths, "
        "str[][] groups) -> (Tensor, Tensor, Tensor, int[])");
  m.def("group_index_select_dim0(Tensor[] input_group, Tensor[] indices_group) "
        "-> Tensor[]");
  m.def("permute_sequence_embeddings(Tensor permute, Tensor lengths, Tensor "
        "embeddings) -> (Tensor, Tensor)");
  m.def("regroup_keyed_tensor(Tensor[] pooled_embs, str[][] keys, int[][] "
        "lengths, str[][] groups) -> Tensor[]");
}

static void declareLookupOps(torch::Library &m) {
  m.def("bounds_check_indices(Tensor rows_per_table, Tensor(a!) indices, "
        "Tensor(b!) offsets, int bounds_check_mode, Tensor(c!) warning, "
        "Tensor(d!)? weights=None, Tensor? B_offsets=None, SymInt max_B=-1, "
        "Tensor? b_t_map=None, int info_B_num_bits=-1, int info_B_mask=-1, int "
        "bounds_check_version=1, bool prefetch_pipeline=False) -> ()");
  m.def(
      "int_nbit_split_embedding_codegen_lookup_function(Tensor dev_weights, "
      "Tensor uvm_weights, Tensor weights_placements, Tensor weights_offsets, "
      "Tensor weights_tys, Tensor D_offsets, SymInt total_D, int max_int2_D, "
      "int max_int4_D, int max_int8_D, int max_float16_D, int max_float32_D, "
      "Tensor indices, Tensor offsets, int pooling_mode, Tensor? "
      "indice_weights, int output_dtype=1, Tensor? lxu_cache_weights=None, "
      "Tensor? lxu_cache_locations=None, int? row_alignment=None, int? "
      "max_float8_D=0, int? fp8_exponent_bits=-1, int? fp8_exponent_bias=-1) "
      "-> Tensor");
  m.def("pruned_array_lookup(Tensor indices, Tensor offsets, Tensor "
        "index_remappings, Tensor index_remappings_offsets) -> Tensor");
  m.def("pruned_hashmap_lookup(Tensor indices, Tensor offsets, Tensor "
        "hash_table, Tensor hash_table_offsets) -> Tensor");
  m.def("new_unified_tensor(Tensor self, int[] sizes, bool is_host_mapped) -> "
        "Tensor");
}

/// FBGEMM's cache for tables in host memory: in the code of every table batch,
/// in use on GPUs only.
static void declareCacheOps(torch::Library &m) {
  m.def(
      "linearize_cache_indices(Tensor cache_hash_size_cumsum, Tensor indices, "
      "Tensor offsets, Tensor? B_offsets=None, int max_B=-1, int "
      "indices_base_offset=0) -> Tensor");
  m.def("lxu_cache_lookup(Tensor linear_cache_indices, Tensor lxu_cache_state, "
        "int invalid_index=-1, bool gather_cache_stats=False, Tensor(a!)? "
        "uvm_cache_stats=None, Tensor? num_uniq_cache_indices=None, "
        "Tensor(b!)? lxu_cache_locations_output=None) -> Tensor");
  m.def("direct_mapped_lxu_cache_lookup(Tensor linear_cache_indices, Tensor "
        "lxu_cache_state, int invalid_index=-1, bool gather_cache_stats=False, "
        "Tensor(a!)? uvm_cache_stats=None) -> Tensor");
  m.def("lru_cache_populate_byte(Tensor weights, Tensor hash_size_cumsum, int "
        "total_cache_hash_size, Tensor cache_index_table_map, Tensor "
        "weights_offsets, Tensor weights_tys, Tensor D_offsets, Tensor "
        "linear_cache_indices, Tensor(a!) lxu_cache_state, Tensor(b!) "
        "lxu_cache_weights, int time_stamp, Tensor(c!) lru_state, int "
        "row_alignment=16, bool gather_cache_stats=False, Tensor(d!)? "
        "uvm_cache_stats=None) -> ()");
  m.def("direct_mapped_lru_cache_populate_byte(Tensor weights, Tensor "
        "hash_size_cumsum, int total_cache_hash_size, Tensor "
        "cache_index_table_map, Tensor weights_offsets, Tensor weights_tys, "
        "Tensor D_offsets, Tensor linear_cache_indices, Tensor(a!) "
        "lxu_cache_state, Tensor(b!) lxu_cache_weights, int time_stamp, "
        "Tensor(c!) lru_state, Tensor(d!) lxu_cache_miss_timestamp, int "
        "row_alignment=16, bool gather_cache_stats=False, Tensor(e!)? "
        "uvm_cache_stats=None) -> ()");
  m.def("lfu_cache_populate_byte(Tensor weights, Tensor "
        "cache_hash_size_cumsum, int total_cache_hash_size, Tensor "
        "cache_index_table_map, Tensor weights_offsets, Tensor weights_tys, "
        "Tensor D_offsets, Tensor linear_cache_indices, Tensor(a!) "
        "lxu_cache_state, Tensor(b!) lxu_cache_weights, Tensor(c!) lfu_state, "
        "int row_alignment=16) -> ()");
}

static void declareClasses(torch::Library &m) {
  m.class_<AtomicCounter>("AtomicCounter")
      .def(torch::init<>())
      .def("increment", [](const Ptr<AtomicCounter> &) -> int64_t { refuse(); })
      .def("decrement", [](const Ptr<AtomicCounter> &) -> int64_t { refuse(); })
      .def("reset", [](const Ptr<AtomicCounter> &) -> void { refuse(); })
      .def("get", [](const Ptr<AtomicCounter> &) -> int64_t { refuse(); })
      .def("set", [](const Ptr<AtomicCounter> &, int64_t) -> void { refuse(); })
      .def_pickle([](const Ptr<AtomicCounter> &) -> std::string { refuse(); },
                  [](std::string) -> Ptr<AtomicCounter> { refuse(); });
  using Queue = c10::Dict<std::string, at::Tensor>;
  m.class_<TensorQueue>("TensorQueue")
      .def(torch::init<at::Tensor>())
      .def("push",
           [](const Ptr<TensorQueue> &, at::Tensor) -> void { refuse(); })
      .def("pop", [](const Ptr<TensorQueue> &) -> at::Tensor { refuse(); })
      .def("top", [](const Ptr<TensorQueue> &) -> at::Tensor { refuse(); })
      .def("size", [](const Ptr<TensorQueue> &) -> int64_t { refuse(); })
      .def_pickle([](const Ptr<TensorQueue> &) -> Queue { refuse(); },
                  [](Queue) -> Ptr<TensorQueue> { refuse(); });
  m.class_<PrunedMapCPU>("PrunedMapCPU")
      .def(torch::init<>())
      .def("insert",
           [](const Ptr<PrunedMapCPU> &, at::Tensor, at::Tensor, at::Tensor,
              int64_t) -> void { refuse(); })
      .def("lookup",
           [](const Ptr<PrunedMapCPU> &, at::Tensor, at::Tensor) -> at::Tensor {
             refuse();
           })
      .def_pickle([](const Ptr<PrunedMapCPU> &) -> std::string { refuse(); },
                  [](std::string) -> Ptr<PrunedMapCPU> { refuse(); });
}

TORCH_LIBRARY(fbgemm, m) {
  declareJaggedOps(m);
  declarePooledOps(m);
  declareLookupOps(m);
  declareCacheOps(m);
  declareClasses(m);
}
