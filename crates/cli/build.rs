//! How the program is linked.

fn main() {
    println!("cargo:rerun-if-changed=crates/cli/build.rs");
    let target = |key: &str| std::env::var(format!("CARGO_CFG_TARGET_{key}")).unwrap_or_default();
    let is_static = target("FEATURE").split(',').any(|feature| feature == "crt-static");
    // A program that may be loaded anywhere has 350,000 addresses put right before its first line runs, most of them in
    // the engines' tables: 6 ms, a fifth of a night without changes. This one reads files and listens to nobody.
    if target("OS") == "linux" && target("ENV") == "gnu" && !is_static {
        println!("cargo:rustc-link-arg-bins=-no-pie");
    }
}
