//! Tests which files of a directory are read: links, pipes and missing files.

use super::*;

/// Directories of which each has two links to the next one have 2^40 paths to the last directory.
#[cfg(unix)]
#[test]
fn directories_with_two_links_to_the_next_one_are_read_once() {
    let files = Files::new("diamonds", &[]);
    let directory = |number: usize| files.0.join(format!("d{number:02}"));
    for number in 0..=40 {
        std::fs::create_dir(directory(number)).unwrap();
        if number > 0 {
            for name in ["a", "b"] {
                let link = directory(number - 1).join(name);
                std::os::unix::fs::symlink(directory(number), link).unwrap();
            }
        }
    }
    std::fs::write(directory(40).join("a.yaml"), GOOD).unwrap();
    let (sender, read) = std::sync::mpsc::channel();
    let root = directory(0);
    std::thread::spawn(move || {
        let metrics = metrics();
        let report = ManifestSource::new([&root]).open(&metrics).reload();
        #[cfg(feature = "custom-resources")]
        assert_eq!(ManifestSource::new([root]).objects().0.len(), 1);
        sender.send((report.problems.len(), samples(&metrics).len()))
    });
    let read = read.recv_timeout(Duration::from_secs(20));
    assert_eq!(read.expect("the reading does not end"), (0, 1));
}

/// Links may lead to a directory that is also a real directory of the source, and form a cycle.
#[cfg(unix)]
#[test]
fn the_path_without_links_is_the_path_of_a_directory() {
    use std::os::unix::fs::symlink;

    let files = Files::new("real-path", &[("b.yaml", GOOD)]);
    std::fs::create_dir_all(files.0.join("c/below")).unwrap();
    std::fs::write(files.0.join("c/below/a.yaml"), GOOD).unwrap();
    for (target, link) in [
        ("c/below", "a"),
        ("c", "b"),
        ("..", "c/a"),
        (".", "c/below/z"),
    ] {
        symlink(target, files.0.join(link)).unwrap();
    }
    let mut problems = Vec::new();
    let found = super::super::paths::files(&files.0, &ReadingProgress::default(), &mut problems);
    assert_eq!(
        found,
        ["b.yaml", "c/below/a.yaml"].map(|name| files.0.join(name))
    );
    assert!(problems.is_empty(), "{problems:?}");
}

/// With a list of the directory for each link, the search would list 50 million entries.
#[cfg(unix)]
#[test]
fn a_directory_with_many_links_to_it_is_listed_once() {
    let files = Files::new("many-links", &[]);
    std::fs::create_dir(files.0.join("z")).unwrap();
    for number in 0..5_000 {
        std::fs::write(files.0.join(format!("z/f{number}")), "").unwrap();
    }
    for number in 0..10_000 {
        std::os::unix::fs::symlink("z", files.0.join(format!("l{number}"))).unwrap();
    }
    let (root, (sender, found)) = (files.0.clone(), std::sync::mpsc::channel());
    std::thread::spawn(move || {
        let found = super::super::paths::files(&root, &ReadingProgress::default(), &mut Vec::new());
        sender.send(found)
    });
    let found = found.recv_timeout(Duration::from_secs(20));
    assert!(found.expect("the search does not end").is_empty());
}

/// A mounted ConfigMap with the item `below/a.yaml` has the link `below -> ..data/below`.
#[cfg(unix)]
#[test]
fn a_link_to_a_directory_in_a_hidden_directory_is_followed() {
    use std::os::unix::fs::symlink;

    let files = Files::new("hidden-directory", &[]);
    std::fs::create_dir_all(files.0.join("..1/below")).unwrap();
    std::fs::write(files.0.join("..1/below/a.yaml"), GOOD).unwrap();
    symlink("..1", files.0.join("..data")).unwrap();
    symlink("..data/below", files.0.join("below")).unwrap();
    let metrics = metrics();
    let report = ManifestSource::new([&files.0]).open(&metrics).reload();
    assert_eq!((report.problems.len(), samples(&metrics).len()), (0, 1));
}

#[cfg(unix)]
#[test]
fn a_named_pipe_in_a_directory_is_skipped_and_many_problems_of_a_file_are_counted() {
    let directory = std::env::temp_dir().join(format!("manifests-pipe-{}", std::process::id()));
    std::fs::create_dir_all(&directory).unwrap();
    let empty = "{}\n".repeat(5_000);
    std::fs::write(directory.join("a.jsonl"), &empty).unwrap();
    std::fs::write(
        directory.join("b.yaml"),
        "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: b}\n",
    )
    .unwrap();
    let pipe = directory.join("pipe.yaml");
    let made = std::process::Command::new("mkfifo").arg(&pipe).status();
    assert!(made.unwrap().success());
    let metrics = StateMetrics::builder().default_resources().build().unwrap();
    let report = ManifestSource::new([&directory]).open(&metrics).reload();
    assert_eq!((report.objects, report.is_partial), (1, false));
    let count: usize = report.problems.iter().map(ManifestProblem::count).sum();
    assert_eq!((report.problems.len(), count), (7, 5_001), "{report:?}");
    let of_pipe =
        |own: &&ManifestProblem| matches!(own, ManifestProblem::Read { path, .. } if *path == pipe);
    let problem = report.problems.iter().find(of_pipe).unwrap().to_string();
    assert!(problem.contains("it is a named pipe"), "{problem}");
    #[cfg(feature = "custom-resources")]
    {
        let (_, problems) = ManifestSource::new([&directory]).objects();
        assert_eq!(problems.len(), 1, "{problems:?}");
    }
    std::fs::remove_dir_all(&directory).unwrap();
}

#[cfg(unix)]
#[test]
fn objects_stay_while_the_target_of_a_link_is_missing() {
    use std::os::unix::fs::symlink;

    let named = |name| GOOD.replace("good", name);
    let files = Files::new("links", &[("a.yaml", GOOD)]);
    let targets = Files::new("targets", &[("b.yaml", &named("b"))]);
    let path = |name: &str| targets.0.join(name);
    std::fs::create_dir(path("below")).unwrap();
    std::fs::write(path("below/c.yaml"), named("c")).unwrap();
    symlink(path("b.yaml"), files.0.join("b.yaml")).unwrap();
    symlink(path("below"), files.0.join("below")).unwrap();
    let metrics = metrics();
    let mut feed = ManifestSource::new([&files.0]).open(&metrics);
    feed.reload();
    for name in ["b.yaml", "below"] {
        std::fs::rename(path(name), path("away")).unwrap();
        for _ in 0..2 {
            let report = feed.reload();
            let problems = problems(&report, &files);
            assert_eq!(samples(&metrics), ["b", "c", "good"].map(info));
            assert_eq!((report.kept, report.is_partial), (1, false), "{problems:?}");
            assert!(problems[0].contains(&format!("dir/{name}")), "{problems:?}");
            let kept = format!("dir/{name}: it cannot be read completely, so its objects ");
            assert!(problems[1].starts_with(&kept), "{problems:?}");
        }
        std::fs::rename(path("away"), path(name)).unwrap();
        assert_eq!(feed.reload().kept, 0);
        assert_eq!(samples(&metrics), ["b", "c", "good"].map(info));
    }
    std::fs::remove_file(path("b.yaml")).unwrap();
    assert_eq!(feed.reload().kept, 1);
    for name in ["b.yaml", "below"] {
        std::fs::remove_file(files.0.join(name)).unwrap();
    }
    assert_eq!(feed.reload().kept, 0);
    assert_eq!(samples(&metrics), [info("good")]);
}

#[test]
fn a_lack_of_descriptors_may_pass_and_a_missing_file_is_missing() {
    use std::io;
    let problem = |source| ManifestProblem::Read {
        path: PathBuf::from("a"),
        source,
    };
    for code in [5, 23, 24] {
        assert!(
            problem(io::Error::from_raw_os_error(code)).is_temporary(),
            "{code}"
        );
    }
    for kind in [io::ErrorKind::NotFound, io::ErrorKind::PermissionDenied] {
        assert!(!problem(kind.into()).is_temporary(), "{kind}");
    }
}

#[test]
fn a_missing_file_is_a_problem_not_a_panic() {
    let report = ManifestSource::new(["/nonexistent/file.yaml"])
        .open(&metrics())
        .reload();
    assert_eq!(report.objects, 0);
    let problem = report.problems[0].to_string();
    assert!(
        problem.starts_with("cannot read /nonexistent/file.yaml: "),
        "{problem}"
    );
}
