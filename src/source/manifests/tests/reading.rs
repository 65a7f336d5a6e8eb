//! Tests which objects stay if a later reading finds a broken, empty or missing file.

use super::*;

#[test]
fn a_reload_takes_changes_and_deletions() {
    let files = Files::new(
        "reload",
        &[("a.yaml", GOOD), ("b.yaml", &GOOD.replace("good", "b"))],
    );
    let metrics = metrics();
    let mut feed = ManifestSource::new([&files.0]).open(&metrics);
    assert_eq!(feed.reload().objects, 2);
    std::fs::write(files.0.join("a.yaml"), GOOD.replace("good", "new")).unwrap();
    std::fs::remove_file(files.0.join("b.yaml")).unwrap();
    assert_eq!(feed.reload().objects, 1);
    assert_eq!(samples(&metrics), [info("new")]);
}

#[cfg(target_os = "linux")]
#[test]
fn objects_stay_while_a_file_cannot_be_read() {
    let good = |name| GOOD.replace("good", name);
    let files = Files::new("io", &[("a.yaml", GOOD), ("b.yaml", &good("b"))]);
    let metrics = metrics();
    let mut feed = ManifestSource::new([&files.0]).open(&metrics);
    assert!(!feed.reload().is_partial);
    std::fs::write(files.0.join("a.yaml"), good("new")).unwrap();
    std::fs::remove_file(files.0.join("b.yaml")).unwrap();
    // The link points to a regular file whose first byte cannot be read. The error is EIO.
    std::os::unix::fs::symlink("/proc/self/mem", files.0.join("b.yaml")).unwrap();
    let report = feed.reload();
    assert!(report.is_partial, "{:?}", report.problems);
    assert_eq!((report.objects, report.kept), (1, 1));
    assert_eq!(samples(&metrics), [info("b"), info("new")]);
    std::fs::remove_file(files.0.join("b.yaml")).unwrap();
    assert!(!feed.reload().is_partial);
    assert_eq!(samples(&metrics), [info("new")]);
}

#[test]
fn a_file_that_is_cut_keeps_its_objects_until_it_is_repaired_or_deleted() {
    let named = |name| GOOD.replace("good", name);
    let two = format!("{}---\n{}", named("a1"), named("a2"));
    let files = Files::new("cut", &[("a.yaml", &two), ("b.yaml", &named("b"))]);
    let write = |name: &str, text: &str| std::fs::write(files.0.join(name), text).unwrap();
    let metrics = metrics();
    let mut feed = ManifestSource::new([&files.0]).open(&metrics);
    feed.reload();
    // The feed updates the objects of `b.yaml`, and the objects of the valid documents in `a.yaml`.
    write(
        "a.yaml",
        &format!("{}---\napiVersion: v1\nkind: Con", named("a3")),
    );
    write("b.yaml", &named("new"));
    let report = feed.reload();
    assert_eq!(
        samples(&metrics),
        ["a1", "a2", "a3", "new"].map(info),
        "{:?}",
        report.problems
    );
    assert_eq!((report.objects, report.kept), (2, 2));
    // In the text above, the last document has no name. Here, the last document is not valid YAML.
    write("a.yaml", &two[..two.len() - 20]);
    for _ in 0..2 {
        let report = feed.reload();
        assert!(!report.is_partial);
        let problems = problems(&report, &files);
        assert!(problems[0].contains("dir/a.yaml:"), "{problems:?}");
        assert!(
            problems[1].starts_with("dir/a.yaml: it cannot be read completely, so its objects of the previous reading stay (2); "),
            "{problems:?}"
        );
        assert_eq!(samples(&metrics), ["a1", "a2", "a3", "new"].map(info));
    }
    // The text is not UTF-8.
    std::fs::write(files.0.join("a.yaml"), b"\xff").unwrap();
    assert_eq!(feed.reload().kept, 3);
    assert_eq!(samples(&metrics), ["a1", "a2", "a3", "new"].map(info));
    write("a.yaml", &named("a2"));
    assert_eq!(feed.reload().kept, 0);
    assert_eq!(samples(&metrics), ["a2", "new"].map(info));
    write("a.yaml", "kind: [");
    assert_eq!(feed.reload().kept, 1);
    std::fs::remove_file(files.0.join("a.yaml")).unwrap();
    assert_eq!(feed.reload().kept, 0);
    assert_eq!(samples(&metrics), [info("new")]);
}

#[test]
fn each_object_that_stays_counts_once_even_if_it_only_provides_joined_labels() {
    let pod = "apiVersion: v1\nkind: Pod\nmetadata: {name: p, namespace: shop}\n";
    let namespace =
        "apiVersion: v1\nkind: Namespace\nmetadata: {name: shop, labels: {team: blue}}\n";
    let twice = format!("{namespace}---\n{namespace}");
    let files = Files::new("counted", &[("a.yaml", pod), ("b.yaml", &twice)]);
    let metrics = StateMetrics::builder()
        .built_in([BuiltIn::Pods])
        .allow_metrics(["^kube_pod_info$"])
        .join_labels("pods=[namespace/team]".parse().unwrap())
        .build()
        .unwrap();
    let mut feed = ManifestSource::new([&files.0]).open(&metrics);
    assert_eq!(feed.reload().objects, 1);
    let before = samples(&metrics);
    assert!(before[0].contains("\"blue\""), "{before:?}");
    std::fs::write(files.0.join("b.yaml"), "kind: [").unwrap();
    let report = feed.reload();
    assert_eq!(
        (report.objects, report.kept),
        (1, 1),
        "{:?}",
        report.problems
    );
    let problems = problems(&report, &files);
    assert!(problems[1].contains("stay (1); "), "{problems:?}");
    assert_eq!(samples(&metrics), before);
}

#[test]
fn documents_that_were_always_broken_keep_no_objects() {
    let named = |name| GOOD.replace("good", name);
    let broken = "kind: [\n---\n";
    let both = format!("{broken}{}---\n{}", named("a"), named("b"));
    let files = Files::new("broken-before", &[("a.yaml", &both)]);
    let metrics = metrics();
    let mut feed = ManifestSource::new([&files.0]).open(&metrics);
    feed.reload();
    assert_eq!(samples(&metrics), ["a", "b"].map(info));
    std::fs::write(files.0.join("a.yaml"), broken.to_owned() + &named("b")).unwrap();
    assert_eq!(feed.reload().kept, 0);
    assert_eq!(samples(&metrics), [info("b")]);
}

#[test]
fn a_file_that_ends_in_a_broken_document_keeps_its_objects_if_it_becomes_shorter() {
    let named = |name| GOOD.replace("good", name);
    let whole = format!("{}---\n{}---\nkind: Pod\n", named("a"), named("b"));
    let files = Files::new("cut-with-broken", &[("a.yaml", &whole)]);
    let metrics = metrics();
    let mut feed = ManifestSource::new([&files.0]).open(&metrics);
    feed.reload();
    // The number of broken documents stays the same.
    std::fs::write(
        files.0.join("a.yaml"),
        format!("{}---\nkind: P", named("a")),
    )
    .unwrap();
    for _ in 0..2 {
        assert_eq!(feed.reload().kept, 1);
        assert_eq!(samples(&metrics), ["a", "b"].map(info));
    }
    std::fs::write(files.0.join("a.yaml"), named("a")).unwrap();
    assert_eq!(feed.reload().kept, 0);
    assert_eq!(samples(&metrics), [info("a")]);
}

/// Changes of other files cause readings. So a number of readings is no time.
#[test]
fn with_held_changes_the_objects_of_an_emptied_file_or_directory_stay_for_a_time() {
    let hour = Duration::from_secs(3600);
    for (at_most, stays) in [(hour, true), (Duration::ZERO, false)] {
        let files = Files::new("emptied-for", &[("b.yaml", "# b\n")]);
        std::fs::create_dir(files.0.join("a")).unwrap();
        std::fs::write(files.0.join("a/a.yaml"), GOOD).unwrap();
        let metrics = metrics();
        let paths = [files.0.join("a"), files.0.join("b.yaml")];
        let feed = ManifestSource::new(paths).open(&metrics);
        let mut feed = feed.hold_changes(Duration::ZERO, at_most);
        feed.reload();
        std::fs::remove_file(files.0.join("a/a.yaml")).unwrap();
        let rest = if stays {
            vec![info("good")]
        } else {
            Vec::new()
        };
        for reading in 0..4 {
            feed.reload();
            if reading > 0 {
                assert_eq!(samples(&metrics), rest, "{at_most:?}, reading {reading}");
            }
        }
        std::fs::write(files.0.join("a/a.yaml"), GOOD).unwrap();
        feed.reload();
        std::fs::write(files.0.join("a/a.yaml"), "").unwrap();
        for reading in 0..4 {
            feed.reload();
            if reading > 1 {
                assert_eq!(samples(&metrics), rest, "{at_most:?}, reading {reading}");
            }
        }
    }
}

#[test]
fn an_emptied_file_or_directory_keeps_its_objects_for_one_more_reading() {
    let named = |name| GOOD.replace("good", name);
    let files = Files::new("emptied", &[("a.yaml", GOOD), ("b.yaml", &named("b"))]);
    let write = |name: &str, text: &str| std::fs::write(files.0.join(name), text).unwrap();
    let metrics = metrics();
    let mut feed = ManifestSource::new([&files.0]).open(&metrics);
    feed.reload();
    // An editor truncates the file, and then writes it.
    write("a.yaml", "");
    let report = feed.reload();
    assert!(report.is_partial);
    assert_eq!(
        problems(&report, &files),
        [
            "dir/a.yaml: it has become empty; its objects stay, and a later reading removes them if it is still empty"
        ]
    );
    assert_eq!(samples(&metrics), ["b", "good"].map(info));
    write("a.yaml", &named("a"));
    assert!(!feed.reload().is_partial);
    assert_eq!(samples(&metrics), ["a", "b"].map(info));
    // A file that stays empty has no objects.
    write("a.yaml", "# nothing\n");
    assert!(feed.reload().is_partial);
    assert_eq!(samples(&metrics), ["a", "b"].map(info));
    assert!(!feed.reload().is_partial);
    assert_eq!(samples(&metrics), [info("b")]);
    // If a file system is not mounted, its mount point is an empty directory.
    for name in ["a.yaml", "b.yaml"] {
        std::fs::remove_file(files.0.join(name)).unwrap();
    }
    let report = feed.reload();
    assert!(report.is_partial);
    assert!(problems(&report, &files)[0].starts_with("dir: it has become empty; "));
    assert_eq!(samples(&metrics), [info("b")]);
    let report = feed.reload();
    assert!(!report.is_partial && report.problems.is_empty());
    assert!(samples(&metrics).is_empty());
}

#[test]
fn joined_labels_stay_while_the_file_of_their_object_is_cut() {
    let namespace = "apiVersion: v1\nkind: Namespace\nmetadata: {name: ns, labels: {team: x}}\n";
    let files = Files::new("cut-joins", &[("a.yaml", GOOD), ("n.yaml", namespace)]);
    let joined = "kube_configmap_info{namespace=\"ns\",configmap=\"good\",team=\"x\"} 1";
    // In the first case, the namespaces only provide labels. In the second case, they also have samples.
    for resources in [
        &[BuiltIn::ConfigMaps][..],
        &[BuiltIn::ConfigMaps, BuiltIn::Namespaces],
    ] {
        let metrics = StateMetrics::builder()
            .built_in(resources.iter().copied())
            .allow_metrics(["kube_configmap_info"])
            .join_label("configmaps", crate::registry::Join::namespace_label("team"))
            .build()
            .unwrap();
        let write = |text: &str| std::fs::write(files.0.join("n.yaml"), text).unwrap();
        write(namespace);
        let mut feed = ManifestSource::new([&files.0]).open(&metrics);
        feed.reload();
        assert_eq!(samples(&metrics), [joined]);
        write("kind: [");
        feed.reload();
        assert_eq!(samples(&metrics), [joined]);
        std::fs::remove_file(files.0.join("n.yaml")).unwrap();
        feed.reload();
        assert_eq!(samples(&metrics), [info("good")]);
    }
}

#[test]
fn a_path_of_the_source_that_vanishes_keeps_its_objects() {
    let named = |name| GOOD.replace("good", name);
    let files = Files::new("vanished", &[("a.yaml", GOOD)]);
    let below = files.0.join("below");
    std::fs::create_dir(&below).unwrap();
    std::fs::write(below.join("b.yaml"), named("b")).unwrap();
    let metrics = metrics();
    let paths = [files.0.join("a.yaml"), below.clone()];
    let mut feed = ManifestSource::new(paths).open(&metrics);
    feed.reload();
    let away = files.0.join("away");
    std::fs::rename(&below, &away).unwrap();
    std::fs::write(files.0.join("a.yaml"), named("new")).unwrap();
    for _ in 0..2 {
        let report = feed.reload();
        assert!(report.is_partial);
        let problems = problems(&report, &files);
        assert!(
            problems[0].starts_with("cannot read dir/below: "),
            "{problems:?}"
        );
        assert!(
            problems[1].starts_with("dir/below: it cannot be read completely, so its objects of the previous reading stay (1); "),
            "{problems:?}"
        );
        assert_eq!(samples(&metrics), ["b", "new"].map(info));
    }
    std::fs::rename(&away, &below).unwrap();
    let report = feed.reload();
    assert!(!report.is_partial && report.problems.is_empty());
    assert_eq!(samples(&metrics), ["b", "new"].map(info));
}
