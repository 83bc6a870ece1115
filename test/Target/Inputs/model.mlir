// Two tables, one of them looked up twice.
#layout = #trec.row_layout<header = f16, align = 16>
!kjt = !trec.kjt<["ad_id", "user_id"]>
!keyed = !trec.keyed_tensor<["ad_id", "user_id", "user_id@again"], [128, 64, 64], f32>

module @sparse attributes {trec.contract = 1 : i32} {
  trec.table @ads : !trec.table<1000x128, int8, #layout>
  trec.table @users : !trec.table<?x64, int4, #layout>
  func.func @forward(%kjt: !kjt) -> !keyed {
    %ad = trec.feature %kjt "ad_id" : !kjt
    %ad_checked = trec.check_bounds warning %ad in @ads
    %ad_rows = trec.lookup @ads[%ad_checked] : !trec.jagged<!trec.row<128, int8, #layout>>
    %ad_values = trec.dequantize %ad_rows : !trec.jagged<!trec.row<128, int8, #layout>>
    %ad_pooled = trec.pool sum %ad_values : !trec.jagged<!trec.dequantized<128>>
    %user = trec.feature %kjt "user_id" : !kjt
    %user_checked = trec.check_bounds warning %user in @users
    %user_rows = trec.lookup @users[%user_checked] : !trec.jagged<!trec.row<64, int4, #layout>>
    %user_values = trec.dequantize %user_rows : !trec.jagged<!trec.row<64, int4, #layout>>
    %user_pooled = trec.pool sum %user_values : !trec.jagged<!trec.dequantized<64>>
    %again_checked = trec.check_bounds warning %ad in @users
    %again_rows = trec.lookup @users[%again_checked] : !trec.jagged<!trec.row<64, int4, #layout>>
    %again_values = trec.dequantize %again_rows : !trec.jagged<!trec.row<64, int4, #layout>>
    %again_pooled = trec.pool mean %again_values : !trec.jagged<!trec.dequantized<64>>
    %out = trec.keyed_tensor %ad_pooled, %user_pooled, %again_pooled
      : (tensor<?x128xf32>, tensor<?x64xf32>, tensor<?x64xf32>) -> !keyed
    return %out : !keyed
  }
}
