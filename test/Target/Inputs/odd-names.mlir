// Names that would break a header that did not expect them.
#layout = #trec.row_layout<header = f16>
!kjt = !trec.kjt<["a-b_2", "a-b", "a_b", "*/ int x;", "\0Anew", "\C3\A9t\C3\A9 \\", "?\3F/", "/* open"]>
!keyed = !trec.keyed_tensor<["*/ int y;"], [8], bf16>

module @"name */ \22 \\ \0A" attributes {trec.contract = 1 : i32} {
  trec.table @"t */ \\" : !trec.table<10x8, int8, #layout>
  func.func @forward(%kjt: !kjt) -> !keyed {
    %ids = trec.feature %kjt "a-b" : !kjt
    %checked = trec.check_bounds ignore %ids in @"t */ \\"
    %rows = trec.lookup @"t */ \\"[%checked] : !trec.jagged<!trec.row<8, int8, #layout>>
    %values = trec.dequantize %rows : !trec.jagged<!trec.row<8, int8, #layout>>
    %pooled = trec.pool sum %values : !trec.jagged<!trec.dequantized<8>>
    %half = trec.cast_output %pooled : tensor<?x8xf32> -> tensor<?x8xbf16>
    %out = trec.keyed_tensor %half : (tensor<?x8xbf16>) -> !keyed
    return %out : !keyed
  }
}
