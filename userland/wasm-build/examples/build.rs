//! `cargo run -p pando-wasm-build --example build -- FOLDER`: builds a crate's modules and tells where they are.

fn main() {
    let dir = std::env::args().nth(1).unwrap_or_else(|| ".".to_owned());
    let mut progress = |line: &str| eprintln!("{line}");
    let options = pando_wasm_build::Options { progress: Some(&mut progress), ..Default::default() };
    match pando_wasm_build::build(std::path::Path::new(&dir), options) {
        Ok(built) => built.iter().for_each(|module| println!("{} {}", module.name, module.wasm.display())),
        Err(error) => {
            eprintln!("{error}");
            std::process::exit(1);
        }
    }
}
