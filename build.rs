//! Compiles the one C file: the variadic functions of the module API.

fn main() {
    println!("cargo::rerun-if-changed=src/module/variadic.c");
    cc::Build::new().file("src/module/variadic.c").warnings(true).compile("mortise_variadic");
}
