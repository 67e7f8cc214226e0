//! A disk that is full: a message, whole files or none, and the same files once there is room.
#![allow(clippy::unwrap_used, reason = "a test may panic")]
#![cfg(target_os = "linux")]

#[path = "common/command.rs"]
mod command;
mod common;
#[path = "common/thin_model.rs"]
mod thin_model;

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::{Command, Output};

use command::{rrsis, text};
use common::{encoded, pattern, skip};
use image::ImageFormat;
use tempfile::TempDir;
use thin_model::write_thin_model;

/// Mounts a file system of `$1` KiB at `small`, of which `$2` KiB are taken, runs the rest of the
/// arguments, and keeps what is on it in `kept`.
const ON_A_SMALL_DISK: &str = r#"
mkdir -p small kept
mount -t tmpfs -o size="$1"k small small || exit 99
head -c "$2"k /dev/zero > small/taken || exit 98
shift 2
"$@"
code=$?
rm small/taken
cp -a small/. kept/
exit $code
"#;

/// Runs the command with `small` as a disk of so many KiB, the second number of them taken; `None`
/// where this system lets nobody mount one.
fn on_a_small_disk(
    folder: &Path,
    (kibibytes, taken): (u32, u32),
    arguments: &[&str],
) -> Option<Output> {
    let output = Command::new("unshare")
        .args([
            "--map-root-user",
            "--mount",
            "sh",
            "-c",
            ON_A_SMALL_DISK,
            "sh",
        ])
        .args([kibibytes.to_string(), taken.to_string()])
        .arg(env!("CARGO_BIN_EXE_rrsis"))
        .args(arguments)
        .current_dir(folder)
        .output();
    let refused = match &output {
        Err(error) => Some(error.to_string()),
        Ok(output)
            if output.status.code() == Some(99) || text(&output.stderr).contains("unshare") =>
        {
            Some(text(&output.stderr))
        }
        Ok(_) => None,
    };
    if let Some(why) = refused {
        skip(&format!(
            "no small disk can be mounted here: {}",
            why.trim()
        ));
        return None;
    }
    output.ok()
}

/// Every file below a folder, hidden ones too.
fn files(folder: &Path) -> BTreeMap<String, Vec<u8>> {
    let mut found = BTreeMap::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(next) = folders.pop() {
        for entry in fs::read_dir(next).into_iter().flatten() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else {
                let name = path.strip_prefix(folder).unwrap();
                found.insert(name.display().to_string(), fs::read(&path).unwrap());
            }
        }
    }
    found
}

fn workplace() -> TempDir {
    let folder = TempDir::new().unwrap();
    write_thin_model(&folder.path().join("model"));
    for name in ["a", "b"] {
        let image = encoded(&pattern(90, 70), 90, 70, ImageFormat::Png);
        fs::create_dir_all(folder.path().join("images")).unwrap();
        fs::write(folder.path().join(format!("images/{name}.png")), image).unwrap();
    }
    fs::write(
        folder.path().join("ask.txt"),
        "building\nroad\nwater\ncar\nbus\n",
    )
    .unwrap();
    folder
}

#[test]
fn many_masks_that_do_not_fit_are_told_and_made_later() {
    let folder = workplace();
    let path = folder.path();
    let ask = |out: &'static str| {
        let model = ["segment", "--model", "model", "--device", "cpu", "images"];
        [&model[..], &["--expressions", "ask.txt", "--out", out]].concat()
    };
    assert!(rrsis(path, &ask("whole")).status.success());
    let whole = files(&path.join("whole"));
    assert_eq!(whole.len(), 10);

    let Some(output) = on_a_small_disk(path, (16, 0), &ask("small")) else {
        return;
    };
    let said = text(&output.stdout) + &text(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(said.contains("No space left"), "{said}");
    let kept = files(&path.join("kept"));
    assert!(
        !kept.is_empty() && kept.len() < whole.len(),
        "{:?}",
        kept.keys()
    );
    for (name, file) in &kept {
        assert_eq!(Some(file), whole.get(name), "{name}");
    }

    assert!(rrsis(path, &ask("kept")).status.success());
    assert_eq!(files(&path.join("kept")), whole);
}

#[test]
fn what_does_not_fit_leaves_nothing_behind() {
    let folder = workplace();
    let path = folder.path();
    let synthetic =
        "dataset synthetic --out small/tiles --count 3 --seed 1 --size 260 200 --gsd 0.4";
    let mask = "segment images/a.png building --model model --device cpu --format geojson --gsd 1 --simplify 0 --out small/a.geojson";
    for (disk, arguments) in [((32, 0), synthetic), ((4, 4), mask)] {
        let arguments: Vec<&str> = arguments.split(' ').collect();
        let Some(output) = on_a_small_disk(path, disk, &arguments) else {
            return;
        };
        let said = text(&output.stderr);
        assert_eq!(output.status.code(), Some(1), "{arguments:?}: {said}");
        assert!(said.contains("No space left"), "{said}");
        assert!(said.contains("small/"), "which file: {said}");
        assert_eq!(files(&path.join("kept")).len(), 0, "{arguments:?}");
    }
}
