//! Says when a release must be built anew for the sake of the dashboard: it carries the dashboard's files inside.

use std::{env, fs};

const BUILT: &str = "clients/dashboard/dist";

fn main() -> std::io::Result<()> {
    println!("cargo::rerun-if-changed=build.rs");
    // Every other build reads the files when they are asked for.
    if env::var("PROFILE").is_ok_and(|profile| profile == "release") {
        // What is missing counts as changed each time, and what appears later would not be seen.
        fs::create_dir_all(BUILT)?;
        println!("cargo::rerun-if-changed={BUILT}");
    }
    Ok(())
}
