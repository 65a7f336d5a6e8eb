//! Tests files that change while they are read.

use super::*;

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
            emptied_for: HOUR,
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
        emptied_for: Duration::from_secs(30),
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

/// A file that is empty at two readings is not empty for the whole time between them.
#[test]
fn a_file_that_is_written_all_the_time_is_not_empty() {
    let files = Files::new("rewritten", &[("a.yaml", "0")]);
    let mut states = FileStates::default();
    let second = Duration::from_secs(1);
    states.hold_changes(HoldTimes {
        unchanged_for: second,
        at_most: 30 * second,
        emptied_for: 30 * second,
    });
    let start = Instant::now();
    for reading in 0..100 {
        // The new content is used in each 31st reading, and the file is empty then.
        let text = match reading % 31 {
            0 if reading > 0 => String::new(),
            number => "0".repeat(number + 1),
        };
        std::fs::write(files.0.join("a.yaml"), text).unwrap();
        let mut sink = ChangingSink {
            change: None,
            texts: Vec::new(),
            kept: Vec::new(),
            problems: Vec::new(),
        };
        let now = start + second * u32::try_from(reading).unwrap();
        let paths = std::slice::from_ref(&files.0);
        let read = states.read_all(paths, now, &ReadingProgress::default(), &mut sink);
        states = read.states;
        assert_eq!(sink.kept.len(), usize::from(reading > 0), "{reading}");
    }
}

/// A sink that counts each text that is not empty as one object, and changes files while the first file is read.
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
    fn text(&mut self, file: &Path, text: &str) -> Content {
        if let Some(change) = self.change.take() {
            change();
        }
        self.texts.push(name_of(file));
        let mut content = Content::default();
        if !text.is_empty() {
            content.count(Some("ns/name"));
        }
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
