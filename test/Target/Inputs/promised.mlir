// A model whose bags have twenty ids each.
#layout = #trec.row_layout<header = f16, align = 16>
!kjt = !trec.kjt<["f"]>
!out = !trec.keyed_tensor<["f"], [128], f16>
module @promised attributes {trec.contract = 1 : i32} {
  trec.table @t : !trec.table<1000x128, int8, #layout>
  func.func @forward(%kjt: !kjt) -> !out {
    %ids = trec.feature %kjt "f" length 20 : !kjt
    %checked = trec.check_bounds warning %ids in @t
    %rows = trec.lookup @t[%checked] : !trec.jagged<!trec.row<128, int8, #layout>>
    %values = trec.dequantize %rows : !trec.jagged<!trec.row<128, int8, #layout>>
    %pooled = trec.pool sum %values : !trec.jagged<!trec.dequantized<128>>
    %cast = trec.cast_output %pooled : tensor<?x128xf32> -> tensor<?x128xf16>
    %out = trec.keyed_tensor %cast : (tensor<?x128xf16>) -> !out
    return %out : !out
  }
}
