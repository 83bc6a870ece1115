// Rows of several types; one table of unknown rows.
#quantized = #trec.row_layout<header = f16, align = 16>
#plain = #trec.row_layout<header = none>
!kjt = !trec.kjt<["a", "b", "c"]>
!keyed = !trec.keyed_tensor<["a", "b", "c"], [100, 64, 24], f32>
module @tables attributes {trec.contract = 1 : i32} {
  trec.table @ta : !trec.table<2000x100, int4, #quantized>
  trec.table @tb : !trec.table<20000x64, int8, #quantized>
  trec.table @tc : !trec.table<?x24, fp16, #plain>
  func.func @forward(%kjt: !kjt) -> !keyed {
    %a = trec.feature %kjt "a" : !kjt
    %ca = trec.check_bounds warning %a in @ta
    %ra = trec.lookup @ta[%ca] : !trec.jagged<!trec.row<100, int4, #quantized>>
    %va = trec.dequantize %ra : !trec.jagged<!trec.row<100, int4, #quantized>>
    %pa = trec.pool sum %va : !trec.jagged<!trec.dequantized<100>>
    %b = trec.feature %kjt "b" : !kjt
    %cb = trec.check_bounds warning %b in @tb
    %rb = trec.lookup @tb[%cb] : !trec.jagged<!trec.row<64, int8, #quantized>>
    %vb = trec.dequantize %rb : !trec.jagged<!trec.row<64, int8, #quantized>>
    %pb = trec.pool mean %vb : !trec.jagged<!trec.dequantized<64>>
    %c = trec.feature %kjt "c" : !kjt
    %cc = trec.check_bounds warning %c in @tc
    %rc = trec.lookup @tc[%cc] : !trec.jagged<!trec.row<24, fp16, #plain>>
    %vc = trec.dequantize %rc : !trec.jagged<!trec.row<24, fp16, #plain>>
    %pc = trec.pool sum %vc : !trec.jagged<!trec.dequantized<24>>
    %out = trec.keyed_tensor %pa, %pb, %pc : (tensor<?x100xf32>, tensor<?x64xf32>, tensor<?x24xf32>) -> !keyed
    return %out : !keyed
  }
}
