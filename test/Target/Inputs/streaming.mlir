// One table whose rows of output are two cache lines.
#layout = #trec.row_layout<header = f16>
!kjt = !trec.kjt<["f"]>
!keyed = !trec.keyed_tensor<["f"], [32], f32>
module @m attributes {trec.contract = 1 : i32} {
  trec.table @t : !trec.table<1000x32, int8, #layout>
  func.func @forward(%kjt: !kjt) -> !keyed {
    %ids = trec.feature %kjt "f" : !kjt
    %checked = trec.check_bounds warning %ids in @t
    %rows = trec.lookup @t[%checked] : !trec.jagged<!trec.row<32, int8, #layout>>
    %values = trec.dequantize %rows : !trec.jagged<!trec.row<32, int8, #layout>>
    %pooled = trec.pool sum %values : !trec.jagged<!trec.dequantized<32>>
    %out = trec.keyed_tensor %pooled : (tensor<?x32xf32>) -> !keyed
    return %out : !keyed
  }
}
