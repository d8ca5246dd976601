//! Lets the installed trainer find libtorch in the `lib` folder beside it.

fn main() {
    println!("cargo:rustc-link-arg-bins=-Wl,-rpath,$ORIGIN/lib");
    println!("cargo:rerun-if-changed=build.rs");
}
