//! Tests the landing page in a real browser: Debian's Chromium, in headless mode.

use super::api::Api;
use super::support::{Directory, Exporter, eventually, get};
use crate::tools::tool;

/// Returns the page as Chromium renders it; `None` if Chromium is not installed.
fn chromium(arguments: &[&str], url: &str) -> Option<Vec<u8>> {
    let mut chromium = tool("chromium", &["--version"], "chromium")?;
    let profile = Directory::new("chromium");
    let output = chromium
        .args([
            "--headless",
            "--no-sandbox",
            "--disable-gpu",
            "--virtual-time-budget=2000",
        ])
        .arg(format!("--user-data-dir={}", profile.str()))
        .args(arguments)
        .arg(url)
        .output()
        .unwrap();
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
    // The script of the page hides the search button. So if the button is hidden, the script has run.
    assert!(dom.contains("<button hidden=\"\">"), "{dom}");
    assert_eq!(shown(&dom), ["kube_node_spec_unschedulable"]);

    // Without JavaScript, the search button is visible.
    let page = get(&exporter.main, "/?q=cordoned", &[("accept", "text/html")]).text();
    assert!(page.contains("<button>Search</button>"), "{page}");
    assert_eq!(shown(&page), ["kube_node_spec_unschedulable"]);

    // If the user searches, the results (families) come before the resources. Otherwise, the resources come first.
    let headings =
        |page: &str| ["families", "resources"].map(|id| page.find(&format!("<h2 id=\"{id}\"")));
    let [families, resources] = headings(&page);
    assert!(families.is_some() && families < resources, "{page}");
    let [families, resources] =
        headings(&get(&exporter.main, "/", &[("accept", "text/html")]).text());
    assert!(resources.is_some() && resources < families);
}

/// Returns the families that the page shows.
fn shown(page: &str) -> Vec<String> {
    let families = page.split("<details class=\"family").skip(1);
    let families = families.filter_map(|family| {
        let (head, rest) = family.split_once('>')?;
        let (_, rest) = rest.split_once("<code>")?;
        let is_hidden = head.contains(" hidden");
        let name = rest.split_once("</code>")?.0;
        (!is_hidden).then(|| name.replace("<wbr>", ""))
    });
    families.collect()
}

/// Clicks on buttons in table headers, and returns the page as Chromium then renders it. Returns `None` if Chromium is
/// not installed.
fn clicked(directory: &Directory, page: &str, buttons: &[&str]) -> Option<String> {
    let clicks = buttons.iter().map(|name| {
        format!(
            "[...document.querySelectorAll('th button')].find(own => own.textContent === '{name}').click();"
        )
    });
    let script = format!("<script>{}</script></body>", clicks.collect::<String>());
    let file = directory.write("page.html", &page.replace("</body>", &script));
    let dom = chromium(&["--dump-dom"], &format!("file://{file}"))?;
    Some(String::from_utf8(dom).unwrap())
}

#[test]
fn tables_are_sorted_by_the_buttons_of_their_heads() {
    let exporter = Exporter::start(&["--resources=pods,nodes,services"]);
    let page = get(&exporter.main, "/", &[("accept", "text/html")]).text();
    let directory = Directory::new("sorted");
    let dom = |buttons: &[&str]| clicked(&directory, &page, buttons);
    let order = |dom: &str| {
        let names = ["nodes", "pods", "services"];
        let at = |name: &&str| dom.find(&format!("?resources={name}\""));
        let mut names = names.to_vec();
        names.sort_by_key(at);
        names
    };
    let Some(served) = dom(&[]) else { return };
    assert_eq!(order(&served), ["pods", "nodes", "services"]);
    let by_name = dom(&["Resource"]).unwrap();
    assert_eq!(order(&by_name), ["nodes", "pods", "services"]);
    assert!(
        by_name.contains("aria-sort=\"ascending\"><button"),
        "{by_name}"
    );
    let by_series = dom(&["Series", "Series"]).unwrap();
    assert_eq!(order(&by_series), ["services", "nodes", "pods"]);
    assert_eq!(by_series.matches("aria-sort=\"").count(), 1);
}

#[test]
fn a_resource_that_never_had_an_event_is_sorted_last_in_both_orders() {
    let api = Api::start(&[]);
    api.revoke("nodes");
    let url = format!("--apiserver={}", api.url);
    let exporter = Exporter::serving(&[&url, "--resources=nodes,pods,services"]);
    let page = eventually("the lists are complete", || {
        let ready = exporter.get("/readyz").status == 200;
        let page = get(&exporter.main, "/", &[("accept", "text/html")]).text();
        (ready && page.contains("data-value=\"\">never<")).then_some(page)
    });
    let directory = Directory::new("never");
    for (buttons, order) in [
        (&["Last event"][..], "descending"),
        (&["Last event"; 2], "ascending"),
    ] {
        let Some(dom) = clicked(&directory, &page, buttons) else {
            return;
        };
        assert!(dom.contains(&format!("aria-sort=\"{order}\"")), "{dom}");
        let at = ["pods", "services", "nodes"];
        let at = at.map(|name| dom.find(&format!("?resources={name}\"")).unwrap());
        assert!(at[2] > at[0].max(at[1]), "{at:?}: {dom}");
    }
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

/// An HTML page that shows the landing page in a frame. The frame is as wide as a phone. The frame is necessary because
/// some versions of Chromium cannot have such a narrow window.
const FRAME: &str = r#"<!doctype html><iframe src="page.html" width="390" height="844" style="border: 0"></iframe>
<script>addEventListener("message", event => { document.title = event.data; })</script>"#;

/// A script that reports by how many pixels the page is wider than the window. The script also reports each name that
/// is broken inside a word, and each table that is too wide.
const MEASURE: &str = r#"<script>addEventListener("load", () => {
  for (const details of document.querySelectorAll("details")) details.open = true;
  const broken = [];
  for (const name of document.querySelectorAll("tbody th, summary code")) {
    const walker = document.createTreeWalker(name, NodeFilter.SHOW_TEXT);
    let text = "", last = null;
    while (walker.nextNode()) {
      const node = walker.currentNode;
      for (let at = 0; at < node.length; at++) {
        const range = document.createRange();
        range.setStart(node, at);
        range.setEnd(node, at + 1);
        const place = range.getBoundingClientRect();
        if (place.width === 0) continue;
        if (last !== null && place.top > last + 4 && !/[-_./: ]$/.test(text) && node.data[at] !== " "
            && !(at === 0 && node.previousSibling?.nodeName === "WBR"))
          broken.push(name.textContent.trim() + " after " + text);
        text += node.data[at];
        last = place.top;
      }
    }
  }
  const page = document.documentElement;
  const isWide = table => table.scrollWidth > table.clientWidth;
  const wide = [...document.querySelectorAll(".scroll")].filter(isWide);
  broken.push(...wide.map(table => table.ariaLabel + " is too wide"));
  parent.postMessage(page.scrollWidth - page.clientWidth + ";" + JSON.stringify(broken), "*");
})</script></body>"#;

#[test]
fn the_page_fits_a_phone_and_breaks_names_between_words() {
    let directory = Directory::new("phone");
    let config = directory.write("config.yaml", "portt: 1\n");
    let resources = |content| directory.write("custom-resources.yaml", content);
    let flag = "--custom-resource-state-config-file";
    let custom = resources("spec: { resources: [] }\n");
    let exporter = Exporter::start(&["--config", &config, flag, &custom]);
    // This scrape adds rows to the tables about scrapes.
    exporter.metrics("");
    // The content of this file is invalid, so the table of files shows its longest texts.
    resources("spec: [\n");
    let page = eventually("the page has the states of the files", || {
        let page = get(&exporter.main, "/", &[("accept", "text/html")]).text();
        let states = ["in use, 1 key ignored", "an older content is in use"];
        (states.iter().all(|state| page.contains(state))).then_some(page)
    });
    assert!(
        page.contains("<code>kube_<wbr>pod_<wbr>status_<wbr>phase</code>"),
        "{page}"
    );
    directory.write("page.html", &page.replace("</body>", MEASURE));
    let file = directory.write("frame.html", FRAME);
    let Some(dom) = chromium(&["--dump-dom"], &format!("file://{file}")) else {
        return;
    };
    let dom = String::from_utf8(dom).unwrap();
    assert!(dom.contains("<title>0;[]</title>"), "{dom}");
}
