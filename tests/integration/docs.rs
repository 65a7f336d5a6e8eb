//! Tests the book in `docs`. The file SUMMARY.md must list all pages, all links must resolve, and the code and the
//! numbers on the pages must be correct.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use crate::support::tools::{Directory, promtool, run, said};

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// The start of the URL of a file in the repository. The path of the file follows.
const FILE_URL: &str = concat!(env!("CARGO_PKG_REPOSITORY"), "/blob/main/");
const DIRECTORY_URL: &str = concat!(env!("CARGO_PKG_REPOSITORY"), "/tree/main/");

/// Finds the files with an extension in a directory. If `deep` is true, also searches the subdirectories.
fn files(directory: &Path, extension: &str, deep: bool, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            if deep {
                files(&path, extension, deep, found);
            }
        } else if path.extension().is_some_and(|own| own == extension) {
            found.push(path);
        }
    }
}

/// Returns the pages of the book.
fn book() -> Vec<PathBuf> {
    let mut pages = Vec::new();
    files(&root().join("docs"), "md", true, &mut pages);
    assert!(pages.len() > 60, "{pages:?}");
    pages
}

/// Returns the pages of the book, the pages at the root of the repository, and the pages in examples/cluster.
fn pages() -> Vec<PathBuf> {
    let mut pages = book();
    for directory in ["", "examples/cluster"] {
        files(&root().join(directory), "md", false, &mut pages);
    }
    pages
}

/// Returns the targets of the links of a page. Links in code are ignored.
fn links(page: &str) -> Vec<String> {
    let mut links = Vec::new();
    let mut is_code = false;
    for line in page.lines() {
        if line.trim_start().starts_with("```") {
            is_code = !is_code;
        }
        if is_code {
            continue;
        }
        let inline = line.split("](").skip(1);
        links.extend(inline.filter_map(|rest| Some(rest.split([')', ' ']).next()?.to_owned())));
        if line.starts_with('[')
            && let Some((_, target)) = line.split_once("]: ")
        {
            links.push(target.to_owned());
        }
    }
    links
}

/// Returns the anchors that GitHub and mdBook create from the headings of a page.
fn anchors(page: &str) -> BTreeSet<String> {
    let headings = page.lines().filter(|line| line.starts_with('#'));
    let titles = headings.map(|line| line.trim_start_matches('#').trim().to_lowercase());
    let is_kept = |c: char| c.is_alphanumeric() || matches!(c, ' ' | '-' | '_');
    titles
        .map(|title| title.chars().filter(|c| is_kept(*c)).collect::<String>())
        .map(|title| title.replace(' ', "-"))
        .collect()
}

/// Returns the reason why a link of a page is broken. Returns `None` if the link resolves or its target is outside the
/// repository.
fn broken(page: &Path, link: &str) -> Option<String> {
    let (target, anchor) = link.split_once('#').unwrap_or((link, ""));
    let in_repository = [FILE_URL, DIRECTORY_URL]
        .iter()
        .find_map(|url| target.strip_prefix(url));
    let file = match in_repository {
        Some(path) => root().join(path),
        None if target.contains("://") => return None,
        None if target.is_empty() => page.to_owned(),
        None => page.parent().unwrap().join(target),
    };
    let Ok(file) = file.canonicalize() else {
        return Some(format!("{}: there is no {link}", page.display()));
    };
    // The built book contains only the pages in `docs`, so a relative link on such a page must not lead to another
    // file.
    let book = root().join("docs").canonicalize().unwrap();
    if page.starts_with(&book) && in_repository.is_none() && !file.starts_with(&book) {
        let page = page.display();
        return Some(format!(
            "{page}: {link} is not in the book; write {FILE_URL}..."
        ));
    }
    if anchor.is_empty() || file.extension().is_none_or(|own| own != "md") {
        return None;
    }
    let found = anchors(&fs::read_to_string(&file).unwrap()).contains(anchor);
    (!found).then(|| format!("{}: {link}: there is no such heading", page.display()))
}

/// Returns the code blocks of a page. Each tuple has the file, the language and the code.
fn blocks(page: &str) -> Vec<(String, String, String)> {
    let mut blocks = Vec::new();
    let (mut file, mut open): (String, Option<String>) = Default::default();
    let mut code = String::new();
    for line in page.lines() {
        match (line.strip_prefix("```"), &open) {
            (Some(language), None) => open = Some(language.to_owned()),
            (Some(_), Some(language)) => {
                blocks.push((
                    std::mem::take(&mut file),
                    language.clone(),
                    std::mem::take(&mut code),
                ));
                open = None;
            }
            (None, Some(_)) => {
                code.push_str(line);
                code.push('\n');
            }
            (None, None) => {
                if let Some(name) = line.strip_prefix("<!-- file: ") {
                    file = name.trim_end_matches(" -->").to_owned();
                }
            }
        }
    }
    blocks
}

#[test]
fn links_lead_somewhere_and_those_of_the_book_stay_in_it() {
    let mut wrong = Vec::new();
    let mut followed = 0;
    for page in pages() {
        let text = fs::read_to_string(&page).unwrap();
        let page = page.canonicalize().unwrap();
        for link in links(&text) {
            followed += 1;
            wrong.extend(broken(&page, &link));
        }
    }
    assert!(followed > 150, "{followed}");
    assert!(
        wrong.is_empty(),
        "links that lead nowhere:\n{}",
        wrong.join("\n")
    );
}

#[test]
fn addresses_of_files_in_the_sources_lead_somewhere() {
    let mut sources = Vec::new();
    files(&root().join("src"), "rs", true, &mut sources);
    files(&root().join("exporter/src"), "rs", true, &mut sources);
    let mut followed = 0;
    for source in sources {
        let text = fs::read_to_string(&source).unwrap();
        for url in [FILE_URL, DIRECTORY_URL] {
            for rest in text.split(url).skip(1) {
                let is_end =
                    |c: char| c.is_whitespace() || matches!(c, '#' | ')' | '"' | '>' | '`');
                let path = rest.split(is_end).next().unwrap();
                assert!(root().join(path).exists(), "{}: {path}", source.display());
                followed += 1;
            }
        }
    }
    assert!(followed >= 2, "{followed}");
}

/// Returns code without comments, white space and trailing commas.
fn without_layout(code: &str) -> String {
    let lines = code.lines().map(|line| line.split("//").next().unwrap());
    let text: String = lines.flat_map(str::split_whitespace).collect();
    text.replace(",)", ")")
}

#[test]
fn rust_code_of_the_book_is_compiled() {
    // `src/custom_resources.rs` includes this page, so that documentation tests compile its code.
    let included = "reference/custom-resources.md";
    // This page shows the code of a test of this package, with additional comments. The code on the page is compared
    // with the code of the test.
    let extract = "explanation/testing.md";
    let tests = without_layout(include_str!("watch/faults.rs"));
    let directory = root().join("docs");
    let mut compiled = 0;
    for page in book() {
        let text = fs::read_to_string(&page).unwrap();
        let name = page.strip_prefix(&directory).unwrap().to_str().unwrap();
        for (file, language, code) in blocks(&text) {
            if !language.starts_with("rust") {
                continue;
            }
            let is_in_project = !file.is_empty() && text.contains("<!-- file: Cargo.toml -->");
            let is_test = name == extract && tests.contains(&without_layout(&code));
            assert!(
                is_in_project || is_test || name == included,
                "docs/{name}: nothing compiles this code; write `<!-- file: src/main.rs -->` in front of it:\n{code}"
            );
            compiled += 1;
        }
    }
    assert!(compiled > 15, "{compiled} blocks");
}

#[test]
fn the_summary_lists_every_page_once() {
    let directory = root().join("docs");
    let summary = fs::read_to_string(directory.join("SUMMARY.md")).unwrap();
    let mut listed = links(&summary);
    listed.sort();
    let pages = book().into_iter();
    let pages = pages.map(|page| page.strip_prefix(&directory).unwrap().to_owned());
    let mut pages: Vec<_> = pages
        .map(|page| page.to_str().unwrap().to_owned())
        .filter(|page| page != "SUMMARY.md")
        .collect();
    pages.sort();
    assert_eq!(
        listed, pages,
        "left: docs/SUMMARY.md, right: the files of docs/"
    );
    for part in ["Tutorials", "How-to guides", "Reference", "Explanation"] {
        assert!(summary.contains(&format!("\n# {part}\n")), "{part}");
    }
}

#[test]
fn the_guide_has_all_how_tos_and_leads_into_the_book() {
    let module = fs::read_to_string(root().join("src/guide.rs")).unwrap();
    let addresses = fs::read_to_string(root().join("src/guide/links.md")).unwrap();
    let addresses: BTreeSet<_> = addresses.lines().collect();
    let docs = root().join("docs").canonicalize().unwrap();
    let mut how_tos = Vec::new();
    files(&docs.join("how-to"), "md", false, &mut how_tos);
    let parts = module.lines().filter_map(|line| line.split_once(" => \""));
    let pages = parts.map(|(_, page)| docs.join(page.trim_end_matches("\",")).with_extension("md"));
    let pages: Vec<_> = pages.collect();
    for page in &how_tos {
        assert!(
            pages.contains(page),
            "src/guide.rs lacks {}",
            page.display()
        );
    }
    let mut used = BTreeSet::new();
    for page in pages {
        let text = fs::read_to_string(&page).unwrap();
        for link in links(&text) {
            if link.contains("://") || link.starts_with('#') {
                continue;
            }
            let (path, anchor) = link.split_once('#').unwrap_or((&link, ""));
            let file = page.parent().unwrap().join(path).canonicalize().unwrap();
            let path = file.strip_prefix(&docs).unwrap().to_str().unwrap();
            let anchor = if anchor.is_empty() {
                String::new()
            } else {
                format!("#{anchor}")
            };
            let name = format!("{}{anchor}", path.trim_end_matches(".md"));
            // Rustdoc includes the page, but a relative link does not resolve in rustdoc. Therefore, the page must use
            // reference links.
            let (page, definition) = (page.display(), format!("[{name}]: {link}"));
            assert!(
                text.lines().any(|line| line == definition),
                "{page}: write [...][{name}] for ({link}), and {definition} at the end"
            );
            let address = format!("[{name}]: {FILE_URL}docs/{path}{anchor}");
            assert!(
                addresses.contains(&*address),
                "src/guide/links.md lacks {address}"
            );
            used.insert(address);
        }
    }
    assert_eq!(
        used.len(),
        addresses.len(),
        "src/guide/links.md has more than {used:?}"
    );
}

#[test]
fn the_versions_are_those_of_the_manifest() {
    let manifest = fs::read_to_string(root().join("Cargo.toml")).unwrap();
    let page = fs::read_to_string(root().join("docs/reference/versions.md")).unwrap();
    let row = page.lines().find(|line| line.starts_with("| 0.")).unwrap();
    let cells: Vec<_> = row.split('|').map(str::trim).collect();
    let value = |start: &str| {
        let line = manifest.lines().find_map(|line| line.strip_prefix(start));
        line.unwrap().split('"').nth(1).unwrap()
    };
    assert!(
        value("version = ").starts_with(cells[1].split(' ').next().unwrap()),
        "{row}"
    );
    assert_eq!(cells[2], value("kube = "));
    assert_eq!(cells[3], value("k8s-openapi = "));
    assert_eq!(cells[5], format!("{} or newer", value("rust-version = ")));
    // The versions of Kubernetes for which `.ci/run versions` builds.
    let steps = fs::read_to_string(root().join(".ci/run")).unwrap();
    let versions = steps
        .lines()
        .find_map(|line| line.trim().strip_prefix("for version in "));
    let versions: Vec<_> = versions
        .unwrap()
        .trim_end_matches("; do")
        .split(' ')
        .collect();
    assert_eq!(cells[4], format!("{} to {}", versions[0], versions[1]));
}

#[test]
fn a_family_for_a_custom_resource_and_its_test_take_at_most_thirty_lines() {
    let page = fs::read_to_string(root().join("docs/how-to/test-a-family.md")).unwrap();
    let blocks = blocks(&page);
    let (.., code) = blocks
        .iter()
        .find(|(file, ..)| file == "src/lib.rs")
        .unwrap();
    for part in ["CustomResource", "Family::gauge", "#[test]", "assert_eq"] {
        assert!(code.contains(part), "{part} is not in\n{code}");
    }
    let lines = code.lines().filter(|line| !line.trim().is_empty()).count();
    assert!(lines <= 30, "{lines} lines");
}

#[test]
fn the_queries_of_the_pages_are_valid() {
    let Some(mut promtool) = promtool() else {
        return;
    };
    let directory = Directory::new("pages");
    let mut files = vec![directory.path().join("queries.yaml")];
    let mut rules = String::from("groups:\n- name: pages\n  rules:\n");
    for page in pages() {
        let text = fs::read_to_string(&page).unwrap();
        for (_, _, query) in blocks(&text)
            .iter()
            .filter(|(_, language, _)| language == "promql")
        {
            rules.push_str("  - alert: Query\n    expr: |\n");
            for line in query.lines() {
                rules.push_str(&format!("      {line}\n"));
            }
        }
        for (_, _, whole) in blocks(&text)
            .iter()
            .filter(|(_, _, code)| code.starts_with("groups:\n"))
        {
            files.push(directory.path().join(format!("{}.yaml", files.len())));
            fs::write(&files[files.len() - 1], whole).unwrap();
        }
    }
    fs::write(&files[0], rules).unwrap();
    let output = run(
        promtool
            .args(["check", "rules", "--lint=none"])
            .args(&files),
        b"",
    );
    assert!(output.status.success(), "{}", said(&output));
}
