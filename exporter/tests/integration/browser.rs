//! The landing page in a real browser: Debian's Chromium, in headless mode.

use std::process::Command;

use super::support::{Directory, Exporter, get};

/// The page as Chromium renders it; `None` if there is no Chromium.
fn chromium(arguments: &[&str], url: &str) -> Option<Vec<u8>> {
    let profile = Directory::new("chromium");
    let output = Command::new("chromium")
        .args([
            "--headless",
            "--no-sandbox",
            "--disable-gpu",
            "--virtual-time-budget=2000",
        ])
        .arg(format!("--user-data-dir={}", profile.str()))
        .args(arguments)
        .arg(url)
        .output();
    let Ok(output) = output else {
        eprintln!("SKIPPED: there is no chromium; apt-get install chromium");
        return None;
    };
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    Some(output.stdout)
}

#[test]
fn the_page_works_in_a_browser_with_and_without_javascript() {
    let exporter = Exporter::start(&["--resources=pods,nodes"]);
    let url = format!("http://{}/?q=cordoned", exporter.main);
    let Some(dom) = chromium(&["--dump-dom"], &url) else {
        return;
    };
    let dom = String::from_utf8(dom).unwrap();
    // The script replaces the button, so this shows that it ran to its end.
    assert!(dom.contains("<button hidden=\"\">"), "{dom}");
    let hidden = |dom: &str| {
        dom.matches("<details hidden").count() + dom.matches("class=\"silent\" hidden").count()
    };
    let shown = dom.matches("<details").count() - hidden(&dom);
    assert_eq!(shown, 1, "only the family that was searched for shows");
    assert!(
        dom.contains("<details><summary><code>kube_node_spec_unschedulable</code>"),
        "{dom}"
    );

    // Without JavaScript, the page is unchanged and has a button.
    let page = get(&exporter.main, "/?q=cordoned", &[("accept", "text/html")]).text();
    assert!(page.contains("<button>Search</button>"), "{page}");
    assert_eq!(page.matches("<details").count() - hidden(&page), 1);
}

#[test]
fn the_page_is_light_or_dark_as_the_browser_wants() {
    let exporter = Exporter::start(&["--resources=pods"]);
    let directory = Directory::new("pictures");
    let picture = |name: &str, scheme: &str| {
        let path = directory.path().join(name);
        let screenshot = format!("--screenshot={}", path.display());
        let scheme = format!("--blink-settings=preferredColorScheme={scheme}");
        let arguments = [&*screenshot, "--window-size=800,600", &*scheme];
        chromium(&arguments, &format!("http://{}/", exporter.main))?;
        Some(std::fs::read(path).unwrap())
    };
    let (Some(dark), Some(light)) = (picture("dark.png", "0"), picture("light.png", "1")) else {
        return;
    };
    assert!(dark.starts_with(b"\x89PNG") && light.starts_with(b"\x89PNG"));
    assert_ne!(dark, light);
}
