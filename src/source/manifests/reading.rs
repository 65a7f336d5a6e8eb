//! [`FileStates`]: reads all files, and decides for which files the objects of the previous reading stay.
//!
//! A *reading* reads all files once. The *sink* ([`FileSink`]) is the component that receives the texts of the files. A
//! document is *broken* if it is not a Kubernetes object. The documentation of the module
//! [`manifests`](crate::source::manifests) lists the cases in which objects stay.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::ops::Bound;
use std::path::{Path, PathBuf};
use std::time::Instant;

use super::changing::{FileVersion, HoldTimes, PendingChange};
use super::paths::{files, is_stdin};
use super::progress::ReadingProgress;
use super::read;
use super::report::ManifestProblem;

/// The files of the previous reading.
///
/// During a reading, another program may be writing a file. Then the file may be empty, or have only its start. A
/// directory may be missing for a moment because another directory replaces it. So the objects of a file stay until the
/// new content of the file is certain. With [`HoldTimes`], the objects of a changed file also stay while the file
/// changes.
///
/// A program may also rename files or directories during a reading. Then the reading may find a file at neither its old
/// path nor its new path. So a reading ends with a second search for the paths of files. If the search does not find
/// the paths that were read, the paths are *unsettled*, and the objects of missing files stay.
#[derive(Clone, Debug, Default)]
pub(super) struct FileStates {
    files: BTreeMap<PathBuf, FileState>,
    /// The paths of the source that have lost all their files, and when a reading first found no files there. Some
    /// readings kept the objects of the earlier files.
    emptied: BTreeMap<PathBuf, Instant>,
    /// The number of readings in a row that ended with unsettled paths.
    unsettled: u32,
    /// For how long the objects of a changed file stay; `None` if the new content is used at once.
    hold: Option<HoldTimes>,
}

/// The maximum number of readings in a row for which unsettled paths have an effect: these readings keep the objects of
/// a missing file, and are repeated after a short pause. So even if files change all the time, deleted objects do not
/// stay forever, and the files are not read all the time.
const MAX_UNSETTLED: u32 = 3;

/// What the next reading must know about a file. If the last reading kept earlier objects of the file, `content` also
/// counts these objects.
#[derive(Clone, Copy, Debug)]
struct FileState {
    content: Content,
    /// When a reading first found the file empty, if the last reading therefore kept the earlier objects of the file.
    emptied: Option<Instant>,
    /// The number of readings in a row that have not found the file while paths were unsettled.
    missed: u32,
    /// The version whose text the sink has received last; `None` if it is not known.
    version: Option<FileVersion>,
    /// The change whose text the sink has not received yet.
    pending: Option<PendingChange>,
}

/// The numbers of documents in the text of a file.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Content {
    /// The number of objects, including objects of unknown kinds.
    pub(super) objects: usize,
    /// The number of documents that are not Kubernetes objects, for example because they are not YAML or have no name.
    pub(super) broken: usize,
    /// Whether the last document is broken. A file that is only half written ends with such a document.
    ends_broken: bool,
}

/// Receives the texts of the files that a reading reads.
pub(super) trait FileSink {
    /// Receives the text of a file, and returns the numbers of its documents.
    fn text(&mut self, file: &Path, text: &str) -> Content;

    /// Keeps the objects that the file contained at the previous reading, but does not contain now. Returns the number
    /// of these objects.
    fn keep(&mut self, file: &Path) -> usize;

    /// Receives a problem with a file or a directory.
    fn problem(&mut self, problem: ManifestProblem);
}

/// The result of a reading.
pub(super) struct Reading {
    /// The states with which the next reading compares the files.
    pub(super) states: FileStates,
    /// Whether the host must read the files again soon, because a problem may be temporary.
    pub(super) is_partial: bool,
    /// Whether paths are unsettled, so that the host must read the files again after a short pause.
    pub(super) paths_changed: bool,
    /// The number of changed files whose text the sink has not received yet, because they may still change.
    pub(super) changing: usize,
    /// The files with objects that the sink has not received, because their earlier objects stay.
    pub(super) incomplete: BTreeSet<PathBuf>,
}

/// A reading in progress.
struct Progress<'a> {
    before: &'a FileStates,
    /// When the reading began.
    now: Instant,
    sink: &'a mut dyn FileSink,
    reading: Reading,
    /// The files that the reading has found.
    found: BTreeSet<PathBuf>,
    /// Whether a file or directory has vanished after the reading had found it.
    has_vanished: bool,
}

// === impl Content ===

impl Content {
    /// Counts a document. `key` is the key of its object. Without a key, the document is broken. For example, a program
    /// may have written only the start of the document.
    pub(super) fn count(&mut self, key: Option<&str>) {
        match key {
            Some(_) => self.objects += 1,
            None => self.broken += 1,
        }
        self.ends_broken = key.is_none();
    }

    /// Whether the file was probably cut after the content `before` was read.
    fn is_cut(&self, before: &Self) -> bool {
        let is_shorter = self.objects + self.broken < before.objects + before.broken;
        self.broken > before.broken || (self.ends_broken && is_shorter)
    }
}

// === impl FileStates ===

impl FileStates {
    /// Lets the objects of changed files stay for these times.
    pub(super) fn hold_changes(&mut self, times: HoldTimes) {
        self.hold = Some(times);
    }

    /// Reads all files at and below the paths, except standard input. `now` is the time at which the reading begins.
    pub(super) fn read_all(
        &self,
        paths: &[PathBuf],
        now: Instant,
        progress: &ReadingProgress,
        sink: &mut dyn FileSink,
    ) -> Reading {
        let reading = Reading {
            states: Self {
                hold: self.hold,
                ..Self::default()
            },
            is_partial: false,
            paths_changed: false,
            changing: 0,
            incomplete: BTreeSet::new(),
        };
        let mut own = Progress {
            before: self,
            now,
            sink,
            reading,
            found: BTreeSet::new(),
            has_vanished: false,
        };
        let roots: Vec<_> = paths.iter().filter(|path| !is_stdin(path)).collect();
        for root in &roots {
            own.read_path(root, progress);
        }
        let mut found = BTreeSet::new();
        for root in roots {
            found.extend(files(root, progress, &mut Vec::new()));
        }
        own.settle(&found);
        progress.end();
        own.reading
    }

    /// Returns the states of the files at and below `paths`, for a feed that continues after this reading.
    pub(super) fn at(&self, paths: &[PathBuf], hold: Option<HoldTimes>) -> Self {
        let files = paths.iter().flat_map(|path| self.below(path));
        let emptied = self.emptied.iter();
        let emptied = emptied.filter(|(path, _)| paths.contains(path));
        Self {
            files: files.map(|(file, state)| (file.clone(), state)).collect(),
            emptied: emptied
                .map(|(path, since)| (path.clone(), *since))
                .collect(),
            unsettled: 0,
            hold,
        }
    }

    /// The times that [`Self::hold_changes`] has set.
    pub(super) fn hold(&self) -> Option<HoldTimes> {
        self.hold
    }

    /// Whether a file or directory that a reading found empty at the time `since` is certainly empty. Without
    /// [`HoldTimes`], the host decides when the next reading begins, so the next reading decides. With them, changes of
    /// other files may cause readings at any time.
    fn stays_empty(&self, since: Instant, now: Instant) -> bool {
        self.hold
            .is_none_or(|hold| now.duration_since(since) >= hold.emptied_for)
    }

    /// Returns the files of the previous reading at and below a path.
    fn below<'a>(&'a self, path: &'a Path) -> impl Iterator<Item = (&'a PathBuf, FileState)> {
        let from = (Bound::Included(path), Bound::Unbounded);
        let files = self.files.range::<Path, _>(from);
        let below = files.take_while(move |(file, _)| file.starts_with(path));
        below.map(|(file, state)| (file, *state))
    }
}

// === impl Progress ===

impl Progress<'_> {
    /// Reads all files at and below `root`, a path of the source.
    fn read_path(&mut self, root: &Path, progress: &ReadingProgress) {
        let mut problems = Vec::new();
        let files = files(root, progress, &mut problems);
        if files.is_empty() && problems.is_empty() && self.was_just_emptied(root) {
            return;
        }
        for file in files {
            self.found.insert(file.clone());
            progress.begin(&file);
            self.read_file(file, &mut problems);
        }
        for problem in problems {
            self.unreadable(problem, root);
        }
    }

    /// Reads a file, or keeps its objects if the file may still change.
    fn read_file(&mut self, file: PathBuf, problems: &mut Vec<ManifestProblem>) {
        let hold = self.before.hold;
        let before = self.before.files.get(&file).copied();
        let version = hold.and_then(|_| FileVersion::at(&file));
        if let (Some(hold), Some(before), Some(version)) = (hold, before, version)
            && let Some(used) = before.version
            && !hold.uses(used, before.pending, version, self.now)
        {
            return self.hold(file, before, version);
        }
        let text = match read::file(&file) {
            Ok(text) => text,
            Err(source) => return problems.push(ManifestProblem::Read { path: file, source }),
        };
        // If the file has changed since its version was checked, the text may be incomplete.
        if let (Some(hold), Some(before), Some(version)) = (hold, before, version)
            && !hold.is_over(before.pending, self.now)
            && let Some(after) = FileVersion::at(&file)
            && version.is_changed_in_place(&after)
        {
            return self.hold(file, before, after);
        }
        self.read_text(file, &text, version);
    }

    /// Keeps the objects of a file that has the version `version` and may still change.
    fn hold(&mut self, file: PathBuf, before: FileState, version: FileVersion) {
        self.sink.keep(&file);
        self.reading.changing += 1;
        self.misses(&file, before);
        let pending = PendingChange::continued(before.pending, version, self.now);
        let state = FileState {
            // A file that has content now has not been empty for the whole time.
            emptied: before.emptied.filter(|_| version.is_empty()),
            missed: 0,
            pending: Some(pending),
            ..before
        };
        self.reading.states.files.insert(file, state);
    }

    /// Returns `true` if the directory `root` has lost all its files since the last reading. In this case, the objects
    /// of the files stay until the next reading.
    ///
    /// The directory may be a mount point whose file system is not mounted at the moment.
    fn was_just_emptied(&mut self, root: &Path) -> bool {
        let before = self.before;
        let since = before.emptied.get(root).copied();
        if since.is_none() && before.below(root).next().is_none() {
            return false;
        }
        let emptied = &mut self.reading.states.emptied;
        emptied.insert(root.to_owned(), since.unwrap_or(self.now));
        if since.is_some_and(|since| before.stays_empty(since, self.now)) {
            return false;
        }
        self.keep_below(root);
        self.emptied(root);
        true
    }

    fn read_text(&mut self, file: PathBuf, text: &str, version: Option<FileVersion>) {
        let content = self.sink.text(&file, text);
        let before = self.before.files.get(&file).copied();
        let is_empty = content.objects + content.broken == 0;
        let new = FileState {
            content,
            emptied: None,
            missed: 0,
            version,
            pending: None,
        };
        let state = match before {
            Some(before) if is_empty && self.keeps_emptied(&before) => {
                self.sink.keep(&file);
                self.misses(&file, before);
                self.emptied(&file);
                FileState {
                    content: before.content,
                    emptied: before.emptied.or(Some(self.now)),
                    ..new
                }
            }
            // A broken document alone is not enough. Otherwise the objects of a file with a broken document would stay
            // forever: no edit of the file could remove an object.
            Some(before) if content.is_cut(&before.content) => {
                let count = self.sink.keep(&file);
                if count > 0 {
                    let path = file.clone();
                    self.sink.problem(ManifestProblem::Kept { path, count });
                }
                // A feed that continues after the reading of another feed does not know the earlier objects.
                if count > 0 || content.objects < before.content.objects {
                    self.misses(&file, before);
                }
                let objects = before.content.objects.max(content.objects);
                let content = Content {
                    objects,
                    ..before.content
                };
                FileState { content, ..new }
            }
            _ => new,
        };
        self.reading.states.files.insert(file, state);
    }

    /// Reports a file or a directory that cannot be read, and keeps its objects.
    ///
    /// If a file or a directory below `root` has vanished, somebody has deleted or renamed it, so this is not a
    /// problem. If `root` itself is missing, its objects stay, because the source names `root`. If a symbolic link has
    /// no target, the objects below the link also stay, because the link still exists.
    fn unreadable(&mut self, problem: ManifestProblem, root: &Path) {
        let is_temporary = problem.is_temporary();
        let ManifestProblem::Read { path, source } = &problem else {
            return self.sink.problem(problem);
        };
        let is_absent = source.kind() == io::ErrorKind::NotFound;
        if is_absent && path != root && !is_link_without_target(path) {
            self.has_vanished = true;
            return;
        }
        let is_missing = is_absent && path == root;
        let path = path.clone();
        self.sink.problem(problem);
        self.reading.is_partial |= is_temporary;
        let count = self.keep_below(&path);
        if count > 0 {
            // The host may not notice that a missing directory exists again. So the host must read the files again
            // soon.
            self.reading.is_partial |= is_missing;
            self.sink.problem(ManifestProblem::Kept { path, count });
        }
    }

    /// Ends the reading. `found` contains the files that exist after all files were read. If paths are unsettled, keeps
    /// the objects of the files that this reading has not found.
    fn settle(&mut self, found: &BTreeSet<PathBuf>) {
        if self.found == *found && !self.has_vanished {
            return;
        }
        let before = self.before;
        let unsettled = before.unsettled.saturating_add(1);
        let states = &mut self.reading.states;
        states.unsettled = unsettled;
        self.reading.paths_changed = unsettled <= MAX_UNSETTLED;
        self.reading.is_partial |= self.reading.paths_changed;
        let mut count = 0;
        for (file, state) in &before.files {
            if states.files.contains_key(file) || state.missed >= MAX_UNSETTLED {
                continue;
            }
            count += self.sink.keep(file);
            if state.content.objects > 0 {
                self.reading.incomplete.insert(file.clone());
            }
            let missed = state.missed + 1;
            states
                .files
                .insert(file.clone(), FileState { missed, ..*state });
        }
        if count > 0 {
            self.sink.problem(ManifestProblem::Missing { count });
        }
    }

    /// Keeps the objects of the files at and below `path` that the current reading has not read. Returns the number of
    /// these objects.
    fn keep_below(&mut self, path: &Path) -> usize {
        let (before, mut kept) = (self.before, 0);
        for (file, state) in before.below(path) {
            if !self.reading.states.files.contains_key(file) {
                kept += self.sink.keep(file);
                self.misses(file, state);
                self.reading.states.files.insert(file.clone(), state);
            }
        }
        kept
    }

    /// Records that the earlier objects of a file stay.
    fn misses(&mut self, file: &Path, before: FileState) {
        if before.content.objects > 0 {
            self.reading.incomplete.insert(file.to_owned());
        }
    }

    /// Whether the objects of a file that is empty now stay.
    fn keeps_emptied(&self, before: &FileState) -> bool {
        let is_over = |since| self.before.stays_empty(since, self.now);
        before.content.objects > 0 && !before.emptied.is_some_and(is_over)
    }

    fn emptied(&mut self, path: &Path) {
        self.reading.is_partial = true;
        let path = path.to_owned();
        self.sink.problem(ManifestProblem::Emptied { path });
    }
}

fn is_link_without_target(path: &Path) -> bool {
    let is_link = path
        .symlink_metadata()
        .is_ok_and(|metadata| metadata.is_symlink());
    is_link && !path.exists()
}
