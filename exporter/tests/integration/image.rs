//! Tests the container image. The test builds the image from the last stage of the Dockerfile. But the exporter in the
//! image comes from the build of this test, not from the first stage. The test starts the image as a user without
//! privileges, on a read-only root filesystem.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde_json::{Value, json};

use super::support::{CLUSTER, Directory, Exporter, PORTS, PROGRAM};
use super::tools::tool;

/// The name of an environment variable. The variable can contain the path of a program for the image, such as a static
/// build. If the variable is not set, the image contains the exporter from the build of this test.
const IMAGE_PROGRAM: &str = "IMAGE_PROGRAM";

/// A script that starts a program in the same way as a container runtime. Only the mounts are writable; all other
/// directories are read-only. The process runs as a user without privileges and without groups.
const START: &str = r#"
set -e
root=$1 user=$2
shift 2
mount --bind "$root" "$root"
mount -t proc proc "$root/proc"
mount --bind "$MANIFESTS" "$root/manifests"
mount -o remount,bind,ro "$root"
exec chroot --userspec="$user" --groups="${user#*:}" "$root" "$@"
"#;

/// The command `buildah`, which stores its images in a temporary directory.
struct Buildah {
    directory: Directory,
}

// === impl Buildah ===

impl Buildah {
    fn run(&self, args: &[&str]) -> String {
        let own = |name: &str| self.directory.path().join(name);
        let output = Command::new("buildah")
            .arg("--root")
            .arg(own("root"))
            .arg("--runroot")
            .arg(own("run"))
            // The storage driver `vfs` works without support by the kernel.
            .arg("--storage-driver=vfs")
            .args(args)
            .stdin(Stdio::null())
            .output()
            .unwrap();
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "buildah {args:?}: {stderr}");
        String::from_utf8(output.stdout).unwrap().trim().to_owned()
    }
}

/// Finds all files in a directory and its subdirectories, as paths relative to `root`.
fn files(directory: &Path, root: &Path, found: &mut BTreeSet<String>) {
    for entry in fs::read_dir(directory).unwrap() {
        let entry = entry.unwrap();
        if entry.file_type().unwrap().is_dir() {
            files(&entry.path(), root, found);
        } else {
            let path = entry.path();
            found.insert(path.strip_prefix(root).unwrap().display().to_string());
        }
    }
}

/// Returns the shared libraries that a program needs. A static program needs no libraries.
fn libraries(program: &Path) -> Vec<PathBuf> {
    let output = Command::new("ldd").arg(program).output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    let words = text.split_whitespace();
    words
        .filter(|word| word.starts_with('/'))
        .map(|word| PathBuf::from(word.trim_end_matches(':')))
        .collect()
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to.parent().unwrap()).unwrap();
    fs::copy(from, to).unwrap_or_else(|error| panic!("{}: {error}", from.display()));
}

/// Returns `buildah` if it is installed and the user may mount filesystems. Otherwise, prints a remark and returns
/// `None`.
fn buildah() -> Option<Buildah> {
    tool("buildah", &["version"], "buildah")?;
    tool("unshare", &["--mount", "true"], "unshare, as root,")?;
    Some(Buildah {
        directory: Directory::new("image"),
    })
}

#[test]
fn the_image_has_only_the_program_and_certificates_and_starts_as_an_ordinary_user() {
    let Some(buildah) = buildah() else {
        return;
    };
    let directory = buildah.directory.path();
    let program = std::env::var_os(IMAGE_PROGRAM).map_or(PathBuf::from(PROGRAM), PathBuf::from);
    // This directory replaces the first stage: it contains the files that the last stage copies from the first stage.
    let built = directory.join("built");
    let certificates = Path::new("etc/ssl/certs/ca-certificates.crt");
    let copied = built.join("kube-state-metrics");
    copy(&program, &copied);
    // A debug build of the exporter consists mostly of debug information. The test removes this information, because
    // buildah would copy it several times.
    let _ = Command::new("strip").arg(&copied).status();
    fs::create_dir_all(built.join("etc/ssl/certs")).unwrap();
    fs::write(built.join(certificates), "certificates\n").unwrap();
    let dockerfile = concat!(env!("CARGO_MANIFEST_DIR"), "/../Dockerfile");
    let dockerfile = fs::read_to_string(dockerfile).unwrap();
    let last = dockerfile.find("FROM scratch\n").unwrap();
    let file = buildah
        .directory
        .write("Containerfile", &dockerfile[last..]);
    let empty = directory.join("empty");
    fs::create_dir(&empty).unwrap();
    buildah.run(&[
        "build",
        "--isolation=chroot",
        &format!("--build-context=build={}", built.display()),
        &format!("--file={file}"),
        "--tag=test",
        empty.to_str().unwrap(),
    ]);

    let image: Value =
        serde_json::from_str(&buildah.run(&["inspect", "--type=image", "test"])).unwrap();
    let config = &image["OCIv1"]["config"];
    assert_eq!(config["User"], "65534:65534");
    assert_eq!(
        config["ExposedPorts"],
        json!({ "8080/tcp": {}, "8081/tcp": {} })
    );
    let container = buildah.run(&["from", "test"]);
    let root = PathBuf::from(buildah.run(&["mount", &container]));
    let mut found = BTreeSet::new();
    files(&root, &root, &mut found);
    let expected = ["kube-state-metrics", certificates.to_str().unwrap()].map(String::from);
    assert_eq!(found, BTreeSet::from(expected));

    // The exporter from the build of this test needs shared libraries. The program that the Dockerfile builds is
    // static.
    for library in libraries(&program) {
        copy(&library, &root.join(library.strip_prefix("/").unwrap()));
    }
    for mounted in ["proc", "manifests"] {
        fs::create_dir(root.join(mounted)).unwrap();
    }
    let entrypoint = config["Entrypoint"].as_array().unwrap().iter();
    let mut command = Command::new("unshare");
    command
        .env("MANIFESTS", CLUSTER)
        .args(["--mount", "sh", "-c", START, "sh"])
        .arg(&root)
        .arg(config["User"].as_str().unwrap())
        .args(entrypoint.map(|word| word.as_str().unwrap()))
        // If a flag is repeated, the last value takes precedence.
        .arg("--manifests=/manifests")
        .args(PORTS);
    let exporter = Exporter::of_command(&mut command);
    assert_eq!(exporter.get("/readyz").status, 200);
    assert!(exporter.metrics("").contains("kube_pod_info{"));
    assert!(exporter.own("process_resident_memory_bytes").is_some());

    let of_process =
        |file: &str| fs::read_to_string(format!("/proc/{}/{file}", exporter.pid())).unwrap();
    let status = of_process("status");
    for line in [
        "Uid:\t65534\t65534\t65534\t65534",
        "Gid:\t65534\t65534\t65534\t65534",
    ] {
        assert!(status.contains(line), "{status}");
    }
    assert!(status.contains("CapEff:\t0000000000000000"), "{status}");
    let mounts = of_process("mountinfo");
    let root = mounts
        .lines()
        .find(|line| line.split(' ').nth(4) == Some("/"))
        .unwrap();
    assert!(root.split(' ').nth(5).unwrap().starts_with("ro"), "{root}");
}
