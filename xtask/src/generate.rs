//! Regenerates the files that are derived from the source, and tells whether the committed ones were right.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use super::{Failure, cargo, clients, complete, failed, root};

/// Directories that hold generated files and nothing else.
const GENERATED: [&str; 1] = ["protocol/schema"];
/// Generated files among others.
const GENERATED_FILES: [&str; 1] = ["clients/typescript/src/protocol.ts"];
/// Files that are written by hand but for the parts between marks.
const GENERATED_IN_PART: [&str; 2] = ["protocol/PROTOCOL.md", "docs/ACCESS.md"];
/// What writes them: package and example. Then come the types of the TypeScript client, from the schemas.
const GENERATORS: [(&str, &str); 2] = [("cita-protocol", "generate"), ("cita", "access")];

type Files = BTreeMap<PathBuf, Vec<u8>>;

/// Generates; with `check`, fails when that changed, added or removed a file.
pub fn run(check: bool) -> Result<(), Failure> {
    for (package, example) in GENERATORS {
        let mut build = cargo("build");
        build.args(["--quiet", "--package", package, "--example", example]);
        complete(build)?;
    }

    // What else is needed, before anything is removed.
    clients::install()?;

    let before = contents()?;
    // Removed first, so that a file that nothing generates any more does not stay.
    for file in before.keys().filter(|file| is_whole(file)) {
        fs::remove_file(root().join(file)).map_err(failed(file))?;
    }
    for (package, example) in GENERATORS {
        let mut generate = cargo("run");
        generate.args(["--quiet", "--package", package, "--example", example]);
        complete(generate)?;
    }
    clients::generate()?;

    let after = contents()?;
    let stale = differences(&before, &after);
    if check && !stale.is_empty() { Err(Failure::Stale(stale)) } else { Ok(()) }
}

fn differences(before: &Files, after: &Files) -> Vec<String> {
    let removed = before.keys().filter(|path| !after.contains_key(*path)).map(|path| (path, "nothing generates it"));
    let written = after.iter().filter_map(|(path, bytes)| match before.get(path) {
        None => Some((path, "was missing")),
        Some(old) if old != bytes => Some((path, "differed")),
        Some(_) => None,
    });
    removed.chain(written).map(|(path, what)| format!("{} ({what})", path.display())).collect()
}

fn contents() -> Result<Files, Failure> {
    let mut files = Files::new();
    for dir in GENERATED {
        collect(Path::new(dir), &mut files)?;
    }
    for file in GENERATED_FILES.map(Path::new).into_iter().filter(|file| root().join(file).exists()) {
        files.insert(file.to_owned(), fs::read(root().join(file)).map_err(failed(file))?);
    }
    for file in GENERATED_IN_PART.map(Path::new) {
        files.insert(file.to_owned(), fs::read(root().join(file)).map_err(failed(file))?);
    }
    Ok(files)
}

/// Whether all of a file is generated, so that it can be made anew from nothing.
fn is_whole(file: &Path) -> bool {
    GENERATED_IN_PART.iter().all(|partly| Path::new(partly) != file)
}

fn collect(dir: &Path, files: &mut Files) -> Result<(), Failure> {
    let entries = match fs::read_dir(root().join(dir)) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        entries => entries.map_err(failed(dir))?,
    };
    for entry in entries {
        let entry = entry.map_err(failed(dir))?;
        let path = dir.join(entry.file_name());
        if entry.file_type().map_err(failed(&path))?.is_dir() {
            collect(&path, files)?;
        } else {
            let bytes = fs::read(entry.path()).map_err(failed(&path))?;
            files.insert(path, bytes);
        }
    }
    Ok(())
}
