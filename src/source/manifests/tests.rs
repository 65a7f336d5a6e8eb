//! Tests feeds of manifests: which objects are read from files, which problems are reported, and what a reload changes.

use std::path::{Path, PathBuf};
#[cfg(feature = "custom-resources")]
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use kube::core::{ApiResource, DynamicObject, GroupVersionKind};

use super::changing::HoldTimes;
use super::reading::{Content, FileSink, FileStates};
use super::*;
use crate::exposition::{ExpositionFilter, Format};
use crate::resource::Scope;
#[cfg(feature = "custom-resources")]
use crate::source::Source;
use crate::source::health::{FeedOrigin, ReadinessPolicy, ResourceState};
use crate::{BuiltIn, Collector, Family, StateMetrics};

/// A directory with files. When the value is dropped, the directory is deleted.
struct Files(PathBuf);

impl Files {
    fn new(name: &str, files: &[(&str, &str)]) -> Self {
        static MADE: AtomicUsize = AtomicUsize::new(0);
        let number = MADE.fetch_add(1, Ordering::Relaxed);
        let directory = std::env::temp_dir().join(format!(
            "ksm-manifests-{}-{number}-{name}",
            std::process::id()
        ));
        std::fs::create_dir_all(&directory).unwrap();
        for (name, text) in files {
            std::fs::write(directory.join(name), text).unwrap();
        }
        Self(directory)
    }
}

impl Drop for Files {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

fn metrics() -> StateMetrics {
    StateMetrics::builder()
        .built_in([BuiltIn::ConfigMaps, BuiltIn::Namespaces])
        .allow_metrics(["_info$", "namespace_status_phase"])
        .build()
        .unwrap()
}

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
    let found = super::paths::files(&files.0, &ReadingProgress::default(), &mut problems);
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
        let found = super::paths::files(&root, &ReadingProgress::default(), &mut Vec::new());
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

/// Returns the samples and the problems of some files. The name of the directory is removed from the problems.
fn load(name: &str, files: &[(&str, &str)]) -> (Vec<String>, Vec<String>) {
    let directory = Files::new(name, files);
    let metrics = metrics();
    let report = ManifestSource::new([&directory.0]).open(&metrics).reload();
    let prefix = format!("{}/", directory.0.display());
    let problems = report
        .problems
        .iter()
        .map(|problem| problem.to_string().replace(&prefix, ""));
    (samples(&metrics), problems.collect())
}

fn samples(metrics: &StateMetrics) -> Vec<String> {
    let text = metrics
        .exposition(Format::Text, ExpositionFilter::default())
        .to_string();
    text.lines()
        .filter(|line| !line.starts_with('#'))
        .map(String::from)
        .collect()
}

fn info(name: &str) -> String {
    format!("kube_configmap_info{{namespace=\"ns\",configmap=\"{name}\"}} 1")
}

const GOOD: &str = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: good, namespace: ns}\n";

#[test]
fn documents_lists_and_json_lines_are_all_read() {
    let (samples, problems) = load(
        "forms",
        &[
            (
                "a.yaml",
                &format!("# comment\n---\n{GOOD}---\n{}", GOOD.replace("good", "two")),
            ),
            (
                "b.json",
                r#"{"apiVersion":"v1","kind":"List","items":[
                    {"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"listed","namespace":"ns"}}]}"#,
            ),
            (
                "c.jsonl",
                "{\"apiVersion\":\"v1\",\"kind\":\"ConfigMap\",\"metadata\":{\"name\":\"l1\",\"namespace\":\"ns\"}}\n\
                 {\"apiVersion\":\"v1\",\"kind\":\"ConfigMap\",\"metadata\":{\"name\":\"l2\",\"namespace\":\"ns\"}}\n",
            ),
            (
                "d.yml",
                "apiVersion: v1\nkind: ConfigMapList\nitems:\n- metadata: {name: typed, namespace: ns}\n",
            ),
            ("ignored.txt", "not a manifest"),
        ],
    );
    assert_eq!(problems, [""; 0]);
    let expected = ["good", "l1", "l2", "listed", "two", "typed"].map(info);
    let sorted: std::collections::BTreeSet<_> = samples.into_iter().collect();
    assert_eq!(sorted, expected.into_iter().collect());
}

#[test]
fn directives_and_byte_order_marks_may_precede_each_document() {
    let named = |name: &str| GOOD.replace("good", name);
    let json = |name: &str| {
        format!(
            "{{\"apiVersion\":\"v1\",\"kind\":\"ConfigMap\",\"metadata\":{{\"name\":\"{name}\",\"namespace\":\"ns\"}}}}\n"
        )
    };
    let tagged = named("!s!str tagged");
    let directives = format!(
        "%YAML 1.2\n---\n{}...\n# next\n%YAML 1.2\n---\n{}...\n%TAG !s! tag:yaml.org,2002:\n---\n{tagged}...\n",
        named("a"),
        named("b")
    );
    let marks = format!(
        "\u{feff}{}\u{feff}---\n{}---\n\u{feff}{}",
        named("c"),
        named("d"),
        named("e")
    );
    let (samples, problems) = load(
        "marks",
        &[
            ("a.yaml", &directives),
            ("b.yaml", &marks),
            (
                "c.json",
                &format!("\u{feff}{}\u{feff}{}", json("f"), json("g")),
            ),
        ],
    );
    assert_eq!(problems, [""; 0]);
    assert_eq!(
        samples,
        ["a", "b", "c", "d", "e", "f", "g", "tagged"].map(info)
    );
    // A broken document after directives is reported with its line.
    let broken = format!("{}...\n%YAML 1.2\n---\nkind: [\n", named("a"));
    let (_, problems) = load("broken-directive", &[("a.yaml", &broken)]);
    assert!(
        problems.len() == 1 && problems[0].starts_with("a.yaml:"),
        "{problems:?}"
    );
}

#[test]
fn yaml_may_begin_with_a_brace() {
    let flow = |name: &str| {
        format!("{{apiVersion: v1, kind: ConfigMap, metadata: {{name: {name}, namespace: ns}}}}\n")
    };
    let json = |name: &str| {
        format!(
            "{{\"apiVersion\":\"v1\",\"kind\":\"ConfigMap\",\"metadata\":{{\"name\":\"{name}\",\"namespace\":\"ns\"}}}}\n"
        )
    };
    let (samples, problems) = load(
        "braces",
        &[
            ("a.yaml", &flow("flow")),
            ("b.yaml", &format!("{}---\n{}", json("j1"), json("j2"))),
            (
                "c.yaml",
                &format!("{}{}---\n{GOOD}", json("j3"), json("j4")),
            ),
        ],
    );
    assert_eq!(problems, [""; 0]);
    let expected = ["flow", "good", "j1", "j2", "j3", "j4"].map(info);
    let sorted: std::collections::BTreeSet<_> = samples.into_iter().collect();
    assert_eq!(sorted, expected.into_iter().collect());
}

#[test]
fn yaml_may_look_like_json() {
    let map = |name: &str| {
        format!(
            "{{\"apiVersion\": \"v1\", \"kind\": \"ConfigMap\", # a comment\n \"metadata\": {{\"name\": {name}, \"namespace\": ns,}},}}\n"
        )
    };
    let json = r#"{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"j","namespace":"ns"}}"#;
    let files = [
        ("a.yaml", format!("{}---\n{}", map("one"), map("two"))),
        ("b.yaml", format!("[{}]", map("three"))),
        // The text is neither JSON nor YAML. In this case, the error of the JSON decoder is reported.
        ("c.jsonl", format!("{{\"a\": oops}}\n{json}")),
        ("d.yaml", map("x, \"name\": y")),
    ];
    let files: Vec<_> = (files.iter())
        .map(|(name, text)| (*name, text.as_str()))
        .collect();
    let (samples, problems) = load("flow", &files);
    assert_eq!(samples, ["j", "one", "three", "two"].map(info));
    assert_eq!(
        problems,
        [
            "c.jsonl:1: not valid JSON at column 7; the document is skipped",
            "d.yaml:2: the key `name` is given twice, in lines 2 and 2; remove one; the document is \
             skipped",
        ]
    );
}

#[test]
fn a_key_that_is_given_twice_in_json_is_an_error_with_both_places() {
    let (samples, problems) = load(
        "twice",
        &[
            (
                "a.json",
                "{\"apiVersion\":\"v1\",\"kind\":\"ConfigMap\",\n\"metadata\":{\"name\":\"a\",\"namespace\":\"ns\"},\n\
                 \"metadata\":{\"name\":\"b\",\"namespace\":\"ns\"}}",
            ),
            (
                "b.jsonl",
                "{\"apiVersion\":\"v1\",\"kind\":\"ConfigMap\",\"metadata\":{\"name\":\"a\",\"namespace\":\"ns\"}}\n\
                 {\"apiVersion\":\"v1\",\"kind\":\"ConfigMap\",\"metadata\":{\"name\":\"b\",\"namespace\":\"ns\",\"name\":\"c\"}}\n",
            ),
        ],
    );
    assert_eq!(samples, [info("a")]);
    assert_eq!(
        problems,
        [
            "a.json:3: the key `metadata` is given twice, in lines 2 and 3; remove one; the document is \
             skipped",
            "b.jsonl:2: the key `name` is given twice in line 2, at columns 51 and 79; remove one; the \
             document is skipped",
        ]
    );
}

#[test]
fn a_list_with_null_as_items_is_empty() {
    let (samples, problems) = load(
        "null",
        &[
            ("a.yaml", "apiVersion: v1\nkind: List\nitems: null\n"),
            (
                "b.json",
                r#"{"apiVersion":"v1","kind":"ConfigMapList","items":null}"#,
            ),
        ],
    );
    assert_eq!((samples.len(), problems), (0, Vec::new()));
}

#[test]
fn broken_json_is_read_in_time_that_grows_with_its_size() {
    let files = [
        ("a.json", "{\"a\":[\n".repeat(200_000)),
        ("b.json", "{\"a\":[\n".repeat(20_000) + "oops"),
        ("c.json", "{\"a\":oops,\n".repeat(20_000)),
        ("d.json", "{\"a\":[\n{\"b\":oops\n".repeat(20_000)),
    ];
    let files: Vec<_> = (files.iter())
        .map(|(name, text)| (*name, text.as_str()))
        .collect();
    let start = std::time::Instant::now();
    let (_, problems) = load("broken", &files);
    assert!(start.elapsed().as_secs() < 20, "{:?}", start.elapsed());
    let of = |name: &str| (problems.iter().filter(|own| own.starts_with(name))).count();
    assert_eq!(
        of("a.json"),
        1,
        "the rest is inside a value that does not end"
    );
    assert_eq!(of("c.json"), 6);
    let more = "c.json: 19995 more documents and objects are skipped; the reasons of the first ones are reported above";
    assert!(problems.iter().any(|own| own == more), "{problems:?}");
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

#[test]
fn yaml_has_the_content_that_kubectl_gives_it() {
    let map = |name: &str, more: &str| {
        format!(
            "---\napiVersion: v1\nkind: ConfigMap\nmetadata: {{name: {name}, namespace: ns}}\n{more}"
        )
    };
    let text = [
        map("octal", "immutable: off\n"),
        map("on", ""),
        map("'on'", ""),
        map("'0644'", ""),
        map("0644", ""),
        map("merged", "data: &a {x: y}\nbinaryData: {<<: *a}\n"),
        map("twice", "metadata: {name: second, namespace: ns}\n"),
    ];
    let (samples, problems) = load("dialect", &[("a.yaml", &text.concat())]);
    assert_eq!(samples, ["0644", "merged", "octal", "on"].map(info));
    assert_eq!(
        problems,
        [
            "a.yaml:7: metadata.name must be a string; put it in quotes; the document is skipped",
            "a.yaml:19: metadata.name must be a string; put it in quotes; the document is skipped",
            "a.yaml:32: the key `metadata` is given twice, in lines 31 and 32; remove one; the \
             document is skipped",
        ]
    );
}

#[test]
fn lists_are_one_level_deep_and_nesting_is_limited() {
    let good =
        r#"{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"good","namespace":"ns"}}"#;
    let list = |items: &str| format!(r#"{{"apiVersion":"v1","kind":"List","items":[{items}]}}"#);
    let deep = |open: &str, close: &str, levels| open.repeat(levels) + &close.repeat(levels);
    let lists = deep(
        r#"{"apiVersion":"v1","kind":"List","items":["#,
        "]}",
        20_000,
    );
    let files = [
        ("a.json", list(&format!("{good},{}", list(good)))),
        ("b.json", deep("[", "]", 200_000)),
        ("c.json", "[".repeat(200_000)),
        ("d.json", lists),
        ("e.yaml", format!("a: {}", deep("[", "]", 200_000))),
        ("f.yaml", deep("- ", "", 200_000)),
        ("g.yaml", deep("? ", "", 200_000)),
        ("h.json", format!("[{good},[{good}]]")),
    ];
    let files: Vec<_> = files
        .iter()
        .map(|(name, text)| (*name, text.as_str()))
        .collect();
    let start = std::time::Instant::now();
    let (samples, problems) = load("deep", &files);
    assert!(start.elapsed().as_secs() < 10, "{:?}", start.elapsed());
    assert_eq!(samples, [info("good")]);
    assert_eq!(problems.len(), 8, "{problems:?}");
    assert_eq!(
        problems[0],
        "a.json:1: item 1 of the list is a list; move its items to the outer list; the document is skipped"
    );
    for (problem, file) in problems.iter().zip(&files) {
        assert!(problem.starts_with(file.0), "{problem}");
    }
}

#[test]
fn a_broken_document_is_named_with_its_line_and_the_others_count() {
    let broken = format!(
        "{GOOD}---\napiVersion: v1\nkind: [\n---\n{}",
        GOOD.replace("good", "two")
    );
    let (samples, problems) = load("broken", &[("a.yaml", &broken)]);
    assert_eq!(samples, [info("good"), info("two")]);
    assert_eq!(problems.len(), 1, "{problems:?}");
    assert!(problems[0].starts_with("a.yaml:"), "{problems:?}");
    assert!(problems[0].contains("not valid YAML"), "{problems:?}");
}

#[test]
fn a_broken_json_line_does_not_hide_the_next() {
    let line = |name: &str| {
        format!(
            "{{\"apiVersion\":\"v1\",\"kind\":\"ConfigMap\",\"metadata\":{{\"name\":\"{name}\",\"namespace\":\"ns\"}}}}\n"
        )
    };
    let text = format!("{}{{\"apiVersion\": oops}}\n{}", line("a"), line("b"));
    let (samples, problems) = load("line", &[("a.jsonl", &text)]);
    assert_eq!(samples, [info("a"), info("b")]);
    assert_eq!(
        problems,
        ["a.jsonl:2: not valid JSON at column 16; the document is skipped"]
    );
}

#[test]
fn unknown_kinds_and_undecodable_objects_are_reported_and_unregistered_ones_counted() {
    let (samples, problems) = load(
        "unknown",
        &[(
            "a.yaml",
            &format!(
                "kind: Widget\napiVersion: acme.dev/v1\n---\napiVersion: v1\nkind: Secret\n---\n\
                 metadata: {{}}\n---\n\
                 apiVersion: v1\nkind: Namespace\nmetadata: {{name: odd}}\nstatus: {{phase: 7}}\n---\n{GOOD}"
            ),
        )],
    );
    assert_eq!(samples, [info("good")]);
    assert_eq!(
        problems,
        [
            "a.yaml:1: no metrics for acme.dev/v1 Widget; the object is skipped",
            "a.yaml:7: not a Kubernetes object: apiVersion is missing; the document is skipped",
            "a.yaml:9: cannot decode Namespace odd: expected a string at status.phase; the object \
             yields no metrics until it is corrected",
        ]
    );
}

#[test]
fn an_object_that_one_collector_cannot_read_keeps_the_samples_of_the_others() {
    let gvk = GroupVersionKind::gvk("", "v1", "ConfigMap");
    let seen = Family::gauge("configmap_seen", "Always 1.").reads(["metadata.name"]);
    let seen = seen.generate(|_: &DynamicObject, s| s.value(1));
    let seen = Collector::dynamic(&ApiResource::from_gvk(&gvk), Scope::Namespaced).family(seen);
    let metrics = StateMetrics::builder()
        .built_in([BuiltIn::ConfigMaps])
        .collector(seen)
        .build()
        .unwrap();
    let files = Files::new(
        "collectors",
        &[(
            "a.yaml",
            "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a, creationTimestamp: soon}\n",
        )],
    );
    let report = ManifestSource::new([&files.0]).open(&metrics).reload();
    let problem = &report.problems[0];
    assert!(
        matches!(problem, ManifestProblem::Decode { .. }),
        "{problem}"
    );
    let samples = samples(&metrics);
    let [sample] = &samples[..] else {
        panic!("{samples:?}");
    };
    assert!(sample.starts_with("configmap_seen"), "{sample}");
}

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

/// Returns the problems of a report. In each text, `dir` replaces the path of the directory.
fn problems(report: &LoadReport, files: &Files) -> Vec<String> {
    let directory = files.0.display().to_string();
    let problems = report.problems.iter().map(ToString::to_string);
    problems.map(|own| own.replace(&directory, "dir")).collect()
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
            "dir/a.yaml: it has become empty; its objects stay, and the next reading removes them if it is still empty"
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

/// The texts of a file with some objects, as a YAML list and as JSON lines.
fn texts_with(names: impl Iterator<Item = u32> + Clone) -> [(&'static str, String); 2] {
    let items = names.clone().map(|name| {
        format!("- apiVersion: v1\n  kind: ConfigMap\n  metadata:\n    name: m{name}\n    namespace: ns\n")
    });
    let lines = names.map(|name| {
        let metadata = format!("{{\"name\":\"m{name}\",\"namespace\":\"ns\"}}");
        format!("{{\"apiVersion\":\"v1\",\"kind\":\"ConfigMap\",\"metadata\":{metadata}}}\n")
    });
    let list = format!(
        "apiVersion: v1\nkind: List\nitems:\n{}",
        items.collect::<String>()
    );
    [("a.yaml", list), ("a.jsonl", lines.collect())]
}

fn infos(names: impl Iterator<Item = u32>) -> Vec<String> {
    let mut infos: Vec<_> = names.map(|name| info(&format!("m{name}"))).collect();
    infos.sort_unstable();
    infos
}

fn sorted_samples(metrics: &StateMetrics) -> Vec<String> {
    let mut samples = samples(metrics);
    samples.sort_unstable();
    samples
}

const HOUR: Duration = Duration::from_secs(3600);

#[test]
fn a_file_that_is_written_in_place_never_shows_fewer_objects() {
    use std::io::Write;

    for ((name, before), (_, after)) in texts_with(0..20).iter().zip(texts_with(10..40)) {
        let files = Files::new("in-place", &[(name, before), ("b.yaml", GOOD)]);
        let metrics = metrics();
        let feed = ManifestSource::new([&files.0]).open(&metrics);
        let mut feed = feed.hold_changes(HOUR, HOUR);
        assert_eq!(feed.reload().changing, 0);
        let old: Vec<_> = [infos(0..20), vec![info("good")]].concat();
        let (mut old, mut new) = (old, infos(10..40));
        old.sort_unstable();
        assert_eq!(sorted_samples(&metrics), old);
        // The first step only empties the file.
        let mut file = std::fs::File::create(files.0.join(name)).unwrap();
        for piece in [&[][..]].into_iter().chain(after.as_bytes().chunks(97)) {
            file.write_all(piece).unwrap();
            let report = feed.reload();
            assert_eq!((report.changing, report.kept), (1, 20));
            assert!(report.problems.is_empty() && !report.is_partial);
            assert_eq!(sorted_samples(&metrics), old, "{name}");
        }
        // Meanwhile, other files are read as usual.
        std::fs::remove_file(files.0.join("b.yaml")).unwrap();
        std::fs::write(files.0.join("c.yaml"), GOOD.replace("good", "other")).unwrap();
        feed.reload();
        old.retain(|sample| *sample != info("good"));
        old.push(info("other"));
        old.sort_unstable();
        assert_eq!(sorted_samples(&metrics), old);
        feed = feed.hold_changes(Duration::ZERO, HOUR);
        assert_eq!(feed.reload().changing, 0);
        new.push(info("other"));
        new.sort_unstable();
        assert_eq!(sorted_samples(&metrics), new);
    }
}

/// A sink that records the lengths of the texts.
#[derive(Default)]
struct LengthSink {
    lengths: Vec<usize>,
    kept: usize,
}

impl FileSink for LengthSink {
    fn text(&mut self, _file: &Path, text: &str) -> Content {
        self.lengths.push(text.len());
        Content::default()
    }

    fn keep(&mut self, _file: &Path) -> usize {
        self.kept += 1;
        1
    }

    fn problem(&mut self, problem: ManifestProblem) {
        panic!("{problem}");
    }
}

/// The text of a file is incomplete if the file changes between the check of its version and the end of the read.
#[test]
fn a_text_is_not_used_if_its_file_changes_while_it_is_read() {
    const LENGTH: usize = 16 << 20;

    let text = "x".repeat(LENGTH);
    for delay in 0..24 {
        let files = Files::new("during", &[("a.yaml", &text)]);
        let mut states = FileStates::default();
        states.hold_changes(HoldTimes {
            unchanged_for: HOUR,
            at_most: HOUR,
        });
        let mut sink = LengthSink::default();
        let mut read = || {
            let paths = std::slice::from_ref(&files.0);
            let progress = ReadingProgress::default();
            states = (states.read_all(paths, Instant::now(), &progress, &mut sink)).states;
        };
        read();
        let start = std::sync::Barrier::new(2);
        std::thread::scope(|scope| {
            scope.spawn(|| {
                let path = files.0.join("a.yaml");
                let file = std::fs::File::options().write(true).open(path).unwrap();
                start.wait();
                let end = Instant::now() + delay * Duration::from_micros(400);
                while Instant::now() < end {}
                file.set_len(1).unwrap();
            });
            start.wait();
            read();
        });
        // The second reading has used the whole text, or no text.
        assert!(sink.lengths.iter().all(|length| *length == LENGTH));
        assert_eq!(sink.lengths.len() + sink.kept, 2);
    }
}

/// Reads the files of a directory at a time. Returns the names of the files that were read, and the names of the files
/// whose objects stay.
#[cfg(unix)]
fn read_at(states: &mut FileStates, root: &Path, now: Instant) -> (String, String) {
    let mut sink = ChangingSink {
        change: None,
        texts: Vec::new(),
        kept: Vec::new(),
        problems: Vec::new(),
    };
    let progress = ReadingProgress::default();
    let reading = states.read_all(&[root.to_owned()], now, &progress, &mut sink);
    *states = reading.states;
    assert_eq!(
        (reading.changing, sink.problems.len()),
        (sink.kept.len(), 0)
    );
    (sink.texts.join(" "), sink.kept.join(" "))
}

#[cfg(unix)]
#[test]
fn a_changed_file_is_read_when_it_is_unchanged_and_a_renamed_file_at_once() {
    let files = Files::new("held", &[("a.yaml", "0"), ("b.yaml", "0")]);
    let (root, path) = (files.0.as_path(), |name: &str| files.0.join(name));
    let mut states = FileStates::default();
    states.hold_changes(HoldTimes {
        unchanged_for: Duration::from_secs(1),
        at_most: Duration::from_secs(30),
    });
    let start = Instant::now();
    let mut length = 1;
    let mut write = |name: &str| {
        length += 1;
        std::fs::write(path(name), "x".repeat(length)).unwrap();
    };
    let mut read = |milliseconds: u64| {
        let now = start + Duration::from_millis(milliseconds);
        let (texts, kept) = read_at(&mut states, root, now);
        format!("{texts} | {kept}")
    };
    assert_eq!(read(0), "a.yaml b.yaml | ");
    assert_eq!(read(100), "a.yaml b.yaml | ");
    write("a.yaml");
    assert_eq!(read(200), "b.yaml | a.yaml");
    assert_eq!(read(1_100), "b.yaml | a.yaml");
    write("a.yaml");
    assert_eq!(read(1_200), "b.yaml | a.yaml");
    assert_eq!(read(2_199), "b.yaml | a.yaml");
    assert_eq!(read(2_200), "a.yaml b.yaml | ");
    // A renamed file is another file, and complete. If a program then changes it in place, it is held back.
    write("a.tmp");
    std::fs::rename(path("a.tmp"), path("a.yaml")).unwrap();
    assert_eq!(read(2_300), "a.yaml b.yaml | ");
    write("a.yaml");
    assert_eq!(read(2_400), "b.yaml | a.yaml");
    write("a.tmp");
    std::fs::rename(path("a.tmp"), path("a.yaml")).unwrap();
    assert_eq!(read(2_500), "a.yaml b.yaml | ");
    // A new file is read at once, and a deleted file loses its objects.
    write("c.yaml");
    assert_eq!(read(2_600), "a.yaml b.yaml c.yaml | ");
    write("c.yaml");
    assert_eq!(read(2_700), "a.yaml b.yaml | c.yaml");
    std::fs::remove_file(path("c.yaml")).unwrap();
    assert_eq!(read(2_800), "a.yaml b.yaml | ");
    // A file that changes all the time is read 30 s after its first change.
    for round in 0..3 {
        let first = 3_000 + round * 31_000;
        for change in 0..60 {
            write("b.yaml");
            assert_eq!(read(first + change * 500), "a.yaml | b.yaml");
        }
        write("b.yaml");
        assert_eq!(read(first + 30_000), "a.yaml b.yaml | ");
    }
}

/// A sink that counts each text as one object, and changes files while the first file is read.
struct ChangingSink<'a> {
    change: Option<&'a mut dyn FnMut()>,
    texts: Vec<String>,
    kept: Vec<String>,
    problems: Vec<String>,
}

fn name_of(file: &Path) -> String {
    file.file_name().unwrap().to_string_lossy().into_owned()
}

impl FileSink for ChangingSink<'_> {
    fn text(&mut self, file: &Path, _text: &str) -> Content {
        if let Some(change) = self.change.take() {
            change();
        }
        self.texts.push(name_of(file));
        let mut content = Content::default();
        content.count(Some("ns/name"));
        content
    }

    fn keep(&mut self, file: &Path) -> usize {
        self.kept.push(name_of(file));
        1
    }

    fn problem(&mut self, problem: ManifestProblem) {
        self.problems.push(problem.to_string());
    }
}

/// Reads the files of a directory, and calls `change` while the first file is read. Returns the names of the files that
/// were read, the names of the files whose objects stay, the problems, and whether paths have changed.
fn read_while(
    states: &mut FileStates,
    root: &Path,
    change: &mut dyn FnMut(),
) -> (String, String, Vec<String>, bool) {
    let mut sink = ChangingSink {
        change: Some(change),
        texts: Vec::new(),
        kept: Vec::new(),
        problems: Vec::new(),
    };
    let progress = ReadingProgress::default();
    let reading = states.read_all(&[root.to_owned()], Instant::now(), &progress, &mut sink);
    *states = reading.states;
    assert!(reading.is_partial || !reading.paths_changed);
    (
        sink.texts.join(" "),
        sink.kept.join(" "),
        sink.problems,
        reading.paths_changed,
    )
}

#[test]
fn files_that_are_renamed_during_a_reading_keep_their_objects() {
    let files = Files::new("renamed", &[("a.yaml", GOOD), ("m.yaml", GOOD)]);
    let (root, path) = (files.0.as_path(), |name: &str| files.0.join(name));
    let below = path("m");
    std::fs::create_dir(&below).unwrap();
    std::fs::write(below.join("x.yaml"), GOOD).unwrap();
    let mut states = FileStates::default();
    let rename = |from: &str, to: &str| std::fs::rename(path(from), path(to)).unwrap();
    let (texts, _, _, changed) = read_while(&mut states, root, &mut || {});
    assert_eq!((&*texts, changed), ("a.yaml x.yaml m.yaml", false));
    // The reading has found the file at its old path, and opens this path later.
    let (texts, kept, problems, changed) =
        read_while(&mut states, root, &mut || rename("m.yaml", "n.yaml"));
    assert_eq!((&*texts, &*kept), ("a.yaml x.yaml", "m.yaml"));
    let problem = "files were added, renamed or deleted while the manifests were read; the previous objects of missing \
                   files stay until the next reading (1)";
    assert_eq!((problems, changed), (vec![problem.to_owned()], true));
    // The same with a directory.
    let (_, kept, _, changed) = read_while(&mut states, root, &mut || rename("m", "z"));
    assert_eq!((&*kept, changed), ("x.yaml m.yaml", true));
    // The files do not change any more.
    let (texts, kept, problems, changed) = read_while(&mut states, root, &mut || {});
    assert_eq!((&*texts, &*kept), ("a.yaml n.yaml x.yaml", ""));
    assert_eq!((problems, changed), (vec![], false));
    // A file that is deleted before a reading is deleted, also for this reading.
    std::fs::remove_file(path("n.yaml")).unwrap();
    let (texts, kept, ..) = read_while(&mut states, root, &mut || {});
    assert_eq!((&*texts, &*kept), ("a.yaml x.yaml", ""));
}

#[test]
fn a_directory_that_changes_all_the_time_keeps_a_deleted_file_for_three_readings() {
    let files = Files::new("restless", &[("a.yaml", GOOD), ("b.yaml", GOOD)]);
    let mut states = FileStates::default();
    read_while(&mut states, &files.0, &mut || {});
    std::fs::remove_file(files.0.join("b.yaml")).unwrap();
    let readings = (0..5).map(|number| {
        let add = &mut || std::fs::write(files.0.join(format!("{number}.yaml")), GOOD).unwrap();
        let (_, kept, _, changed) = read_while(&mut states, &files.0, add);
        (kept, changed)
    });
    let readings: Vec<_> = readings.collect();
    let expected = [true, true, true, false, false].map(|changed| {
        let kept = if changed { "b.yaml" } else { "" };
        (kept.to_owned(), changed)
    });
    assert_eq!(readings, expected);
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

#[test]
fn resources_are_complete_once_the_manifests_have_been_read() {
    let files = Files::new("health", &[("a.yaml", "kind: Broken")]);
    let metrics = metrics();
    let mut feed = ManifestSource::new([&files.0]).open(&metrics);
    let health = feed.health();
    let readiness = health.readiness(ReadinessPolicy::Default);
    assert_eq!(
        readiness.to_string(),
        "not ready: 0 of 2 resources complete\n\
         waiting for: configmaps, namespaces (not started)\n"
    );
    assert_eq!(feed.reload().problems.len(), 1);
    let readiness = health.readiness(ReadinessPolicy::Strict);
    assert_eq!(readiness.to_string(), "ready: 2 of 2 resources complete\n");
    for resource in health.resources() {
        assert_eq!(resource.source, FeedOrigin::Manifests);
        assert_eq!(resource.state, ResourceState::Synced);
    }
    drop(feed);
    assert_eq!(health.resources()[0].state, ResourceState::Stopped);
}

#[cfg(feature = "custom-resources")]
mod custom {
    use super::*;
    use crate::custom_resources::{Config, DefinitionChanges};

    const CONFIG: &str = "
spec:
  resources:
  - groupVersionKind: { group: acme.dev, kind: '*' }
    metricNamePrefix: acme
    labelsFromPath: { name: [metadata, name] }
    metrics:
    - { name: size, each: { type: Gauge, gauge: { path: [spec, size] } } }
  - groupVersionKind: { group: '', version: v1, kind: ConfigMap }
    metricNamePrefix: map
    labelsFromPath: { name: [metadata, name] }
    metrics:
    - name: mode_info
      each: { type: Info, info: { path: [data], labelsFromPath: { mode: [mode] } } }
";

    const MAP: &str = "\
kind: ConfigMap
apiVersion: v1
metadata: {name: a, namespace: ns}
data: {mode: fast}
";

    const DEFINITION: &str = "
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {name: policies.acme.dev}
spec:
  group: acme.dev
  scope: Cluster
  names: {kind: Policy, plural: policies}
  versions: [{name: v1, served: true}]
";

    fn object(kind: &str, name: &str, size: u32) -> String {
        format!(
            "---\napiVersion: acme.dev/v1\nkind: {kind}\nmetadata: {{name: {name}}}\nspec: {{size: {size}}}\n"
        )
    }

    fn metrics() -> StateMetrics {
        StateMetrics::builder()
            .built_in([BuiltIn::ConfigMaps])
            .allow_metrics(["kube_configmap_info", "^acme_", "^map_"])
            .custom_resources(&Config::parse(CONFIG).unwrap())
            .build()
            .unwrap()
    }

    fn sample(kind: &str, name: &str, size: u32) -> String {
        format!(
            "acme_size{{customresource_group=\"acme.dev\",customresource_kind=\"{kind}\",\
             customresource_version=\"v1\",name=\"{name}\"}} {size}"
        )
    }

    #[test]
    fn kinds_are_those_of_definitions_and_of_objects_and_go_with_them() {
        let files = Files::new("kinds", &[("a.yaml", MAP)]);
        let write = |name: &str, text: String| std::fs::write(files.0.join(name), text).unwrap();
        let metrics = metrics();
        let mut feed = ManifestSource::new([&files.0]).open(&metrics);
        let report = feed.reload();
        assert_eq!((report.objects, report.problems.len()), (1, 0));
        assert_eq!(report.definitions, DefinitionChanges::default());
        let mode = "map_mode_info{customresource_group=\"\",customresource_kind=\"ConfigMap\",\
                    customresource_version=\"v1\",mode=\"fast\",name=\"a\"} 1";
        let maps = [mode.to_owned(), super::info("a")];
        assert_eq!(samples(&metrics), maps);

        // The plural name of a kind and its scope are known only from a definition.
        write("b.yaml", DEFINITION.to_owned() + &object("Policy", "p", 1));
        write("c.yaml", object("Widget", "w", 2));
        let report = feed.reload();
        assert!(report.problems.is_empty(), "{:?}", report.problems);
        assert_eq!(report.objects, 3);
        let known = |known, added, updated, deleted| DefinitionChanges {
            known,
            added,
            updated,
            deleted,
        };
        assert_eq!(report.definitions, known(1, 1, 0, 0));
        let names: Vec<_> = metrics
            .stores()
            .iter()
            .map(|store| store.resource().name().into_owned())
            .collect();
        assert_eq!(
            names,
            [
                "/v1, Resource=configmaps",
                "acme.dev/v1, Resource=policies",
                "acme.dev/v1, Resource=widgets",
                "configmaps"
            ]
        );
        let all = samples(&metrics);
        assert!(all.contains(&sample("Policy", "p", 1)) && all.contains(&sample("Widget", "w", 2)));
        assert_eq!(all.len(), 4);

        // The files have not changed, so no definition has changed.
        assert_eq!(feed.reload().definitions, known(1, 0, 0, 0));
        assert_eq!(samples(&metrics), all);
        write(
            "b.yaml",
            DEFINITION.replace("served: true", "served: true, storage: true")
                + &object("Policy", "q", 5),
        );
        std::fs::remove_file(files.0.join("c.yaml")).unwrap();
        assert_eq!(feed.reload().definitions, known(1, 0, 1, 0));
        let all = samples(&metrics);
        assert!(
            all.contains(&sample("Policy", "q", 5)) && all.len() == 3,
            "{all:?}"
        );
        std::fs::remove_file(files.0.join("b.yaml")).unwrap();
        assert_eq!(feed.reload().definitions, known(0, 0, 0, 1));
        assert_eq!(samples(&metrics), maps);
        assert_eq!(metrics.stores().len(), 2);
    }

    #[test]
    fn kinds_stay_while_their_file_is_cut_or_empty() {
        let text = DEFINITION.to_owned() + &object("Policy", "p", 1) + &object("Widget", "w", 2);
        let files = Files::new("cut-kinds", &[("a.yaml", &text), ("b.yaml", MAP)]);
        let write = |text: &str| std::fs::write(files.0.join("a.yaml"), text).unwrap();
        let metrics = metrics();
        let mut feed = ManifestSource::new([&files.0]).open(&metrics);
        feed.reload();
        let all = samples(&metrics);
        assert_eq!(all.len(), 4, "{all:?}");
        for cut in ["", "kind: ["] {
            write(cut);
            let report = feed.reload();
            assert_eq!(
                (report.definitions.known, report.definitions.deleted),
                (1, 0)
            );
            assert_eq!(report.kept, 2);
            assert_eq!(samples(&metrics), all);
            write(&text);
            assert_eq!(feed.reload().kept, 0);
            assert_eq!(samples(&metrics), all);
        }
        // The file `b.yaml` has an object of a built-in kind. This kind has two linked stores: one for its built-in
        // families, and one for its configured families.
        std::fs::write(files.0.join("b.yaml"), "kind: [").unwrap();
        assert_eq!(feed.reload().kept, 1);
        assert_eq!(samples(&metrics), all);
        write("");
        feed.reload();
        assert_eq!(feed.reload().definitions.deleted, 1);
        assert_eq!(samples(&metrics).len(), 2);
    }

    #[test]
    fn kinds_stay_while_their_file_changes() {
        let text = DEFINITION.to_owned() + &object("Policy", "p", 1) + &object("Widget", "w", 2);
        let files = Files::new("changing-kinds", &[("a.yaml", &text), ("b.yaml", MAP)]);
        let write = |text: &str| std::fs::write(files.0.join("a.yaml"), text).unwrap();
        let metrics = metrics();
        let feed = ManifestSource::new([&files.0]).open(&metrics);
        let mut feed = feed.hold_changes(HOUR, HOUR);
        feed.reload();
        let all = samples(&metrics);
        for incomplete in ["", &object("Policy", "p", 1), DEFINITION] {
            write(incomplete);
            let report = feed.reload();
            let definitions = (report.definitions.known, report.definitions.deleted);
            assert_eq!((definitions, report.changing), ((1, 0), 1));
            assert_eq!(samples(&metrics), all);
        }
        write(&object("Widget", "w", 2));
        let mut feed = feed.hold_changes(Duration::ZERO, HOUR);
        feed.reload();
        let report = feed.reload();
        assert_eq!((report.definitions.known, report.changing), (0, 0));
        assert!(samples(&metrics).len() < all.len());
    }

    #[tokio::test]
    async fn a_running_source_reads_again_for_resources_that_a_configuration_adds() {
        let files = Files::new("running", &[("a.yaml", &object("Widget", "w", 2))]);
        let metrics = metrics();
        let reloads = Arc::new(AtomicUsize::new(0));
        let counted = Arc::clone(&reloads);
        let feed = ManifestSource::new([&files.0]).open(&metrics);
        let feed = feed.on_reload(move |report| {
            assert_eq!(report.objects, 1);
            counted.fetch_add(1, Ordering::Relaxed);
        });
        let health = feed.health();
        let running = tokio::spawn(Box::new(feed).run());
        health.ready(ReadinessPolicy::Strict).await;
        assert_eq!(samples(&metrics), [sample("Widget", "w", 2)]);

        let other = Config::parse(&CONFIG.replace("name: size", "name: other")).unwrap();
        metrics.custom_resources().set_config(Some(&other)).unwrap();
        assert!(!health.readiness(ReadinessPolicy::Strict).ready);
        health.ready(ReadinessPolicy::Strict).await;
        let other = sample("Widget", "w", 2).replace("acme_size", "acme_other");
        assert_eq!(samples(&metrics), [other]);
        assert_eq!(reloads.load(Ordering::Relaxed), 2);
        running.abort();
    }

    #[test]
    fn another_configuration_is_fed_by_the_next_reading() {
        let files = Files::new("configuration", &[("a.yaml", &object("Widget", "w", 2))]);
        let metrics = metrics();
        let mut feed = ManifestSource::new([&files.0]).open(&metrics);
        feed.reload();
        let other = Config::parse(&CONFIG.replace("name: size", "name: other")).unwrap();
        metrics.custom_resources().set_config(Some(&other)).unwrap();
        assert!(samples(&metrics).is_empty());
        feed.reload();
        assert_eq!(
            samples(&metrics),
            [sample("Widget", "w", 2).replace("acme_size", "acme_other")]
        );
    }
}
