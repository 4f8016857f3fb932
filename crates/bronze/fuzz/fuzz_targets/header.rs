//! Headers of arbitrary bytes.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| medallion_bronze_fuzz::check_header(data));
