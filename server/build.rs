//! Makes the folder of the browser bundle, so that the server also builds before the bundle does.

fn main() -> std::io::Result<()> {
    let pkg = concat!(env!("CARGO_MANIFEST_DIR"), "/../dist/pkg");
    println!("cargo::rerun-if-changed={pkg}");
    std::fs::create_dir_all(pkg)
}
